"""What there is to see now: the last picture, its mask, its faces. A sink that any may look at."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from configs.settings import Settings
from stream.composer import NO_SIGNAL
from stream.effects import matte
from stream.frame import FrameResult
from stream.web.heard import Heard
from stream.web.tally import Tally

Image = NDArray[np.uint8]

View = Literal["picture", "mask"]

CARD_SIZE = (360, 640)
CARD_GROUND, CARD_INK, CARD_FAINT = (24, 27, 31), (214, 218, 223), (92, 100, 109)

ASKED_SECONDS = 2.0
"""A mask is drawn, and pictures are kept to be in step with sound, for so long after somebody asked."""

MOST_RECENT = 12
"""Pictures that are kept so."""


@dataclass(frozen=True, slots=True)
class FaceSeen:
    """A face as the page lists it.

    Attributes:
        track_id, state, coverage: as in the masks; coverage 0-1, None of one that is waited for.
        carried: for so many frames the network has not looked at it.
        certainty: how far the privacy policy believes it; empty where there is none.
    """

    track_id: int
    state: str
    coverage: float | None
    carried: int
    certainty: str = ""


@dataclass(frozen=True, slots=True)
class Seen:
    """One moment. Never changed: the next one takes its place.

    Attributes:
        number: rises by one.
        image, mask: (H, W, 3) uint8 RGB; ``mask`` is None where nobody has asked for it.
        faces: in the picture, and those that are waited for.
        signal: whether the picture is of a frame that came, not of one that fills a gap.
        covered: why the privacy policy covers all of it; empty where it does not.
        time_seconds: on the stream's timeline.
    """

    number: int
    image: Image
    mask: Image | None = None
    faces: tuple[FaceSeen, ...] = ()
    signal: bool = False
    covered: str = ""
    time_seconds: float = 0.0


class Board:
    """Shows the newest result to whoever looks; is a ``Sink``.

    One thread writes; readers in any thread take ``seen``, which is replaced as a whole.

    Args:
        settings: how the mask is drawn.

    Attributes:
        seen: what there is to see.
        tally: counted over all that was written.
        heard: what there is to hear.
        private: whether the policy is one that hides.
        note: why nothing comes, where that is known.
    """

    def __init__(self, settings: Settings) -> None:
        self.notes: list[str] = []
        self.note = ""
        self.tally, self.heard = Tally(), Heard()
        self.private = settings.privacy.policy != "open"
        self.seen = Seen(0, card("nothing comes in"))
        self._matte = matte(settings)
        self._asked = self._listened = 0.0
        self._recent: tuple[Seen, ...] = ()  # for those who listen

    def write(self, result: FrameResult) -> None:
        """Show a result."""
        filled, now = result.failure == NO_SIGNAL, time.monotonic()
        self.tally.add(result, filled=filled)
        image = result.frame.image
        mask = self._matte(image, result.masks) if now - self._asked < ASKED_SECONDS else None
        covered = result.verdict.covered if result.verdict else ""
        seen = Seen(
            self.seen.number + 1, image, mask, faces_of(result), not filled, covered,
            float(result.frame.time),
        )  # fmt: skip
        listened = now - self._listened < ASKED_SECONDS
        kept = self._recent[1 - MOST_RECENT :] if self.heard.add(result, now) else ()
        self._recent = (*kept, seen) if listened else ()
        self.seen = seen

    def in_step(self) -> Seen:
        """The picture of what is heard now, from any thread; the newest where nothing is."""
        self._listened = now = time.monotonic()
        moment, recent = now - self.heard.lag_seconds, self._recent
        past = (seen for seen in reversed(recent) if seen.time_seconds <= moment)
        return next(past, recent[0] if recent else self.seen)

    def picture(self, view: View, seen: Seen | None = None) -> tuple[int, Image]:
        """Number and picture of what is to see, now or at another moment, from any thread."""
        seen = seen or self.seen
        if view == "picture":
            return seen.number, seen.image
        self._asked = time.monotonic()
        return seen.number, np.zeros_like(seen.image) if seen.mask is None else seen.mask

    def clear(self, words: str = "nothing comes in") -> None:
        """Take picture and sound away."""
        self._recent = ()
        self.heard.clear()
        self.seen = Seen(self.seen.number + 1, card(words))

    def close(self, *, cut: bool = False) -> None:
        """The stream has ended."""
        self.clear("the stream has ended")

    def abort(self) -> None:
        """The same."""
        self.clear("the stream has ended")


def faces_of(result: FrameResult) -> tuple[FaceSeen, ...]:
    """The faces of a result, and behind them those that are lost and waited for."""
    states = dict(result.verdict.states) if result.verdict else {}
    here = [
        FaceSeen(
            face.track_id, face.state.value, float(mask.coverage), mask.carried_frames,
            states.pop(face.track_id, ""),
        )
        for face, mask in zip(result.faces, result.masks, strict=True)
    ]  # fmt: skip
    return (*here, *(FaceSeen(k, "lost", None, 0, states[k]) for k in sorted(states)))


def card(words: str) -> Image:
    """(360, 640, 3): a picture that says why there is none."""
    height, width = CARD_SIZE
    canvas = np.full((height, width, 3), CARD_GROUND, np.uint8)
    middle, top = width // 2, height // 2 - 34
    cv2.ellipse(canvas, (middle, top), (34, 44), 0, 0, 360, CARD_FAINT, 3, cv2.LINE_AA)
    cv2.line(canvas, (middle - 52, top + 52), (middle + 52, top - 52), CARD_GROUND, 9, cv2.LINE_AA)
    cv2.line(canvas, (middle - 52, top + 52), (middle + 52, top - 52), CARD_INK, 3, cv2.LINE_AA)
    (wide, _), _ = cv2.getTextSize(words, cv2.FONT_HERSHEY_SIMPLEX, 0.7, 1)
    place = (middle - wide // 2, top + 104)
    cv2.putText(canvas, words, place, cv2.FONT_HERSHEY_SIMPLEX, 0.7, CARD_INK, 1, cv2.LINE_AA)
    return canvas
