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
from stream.web.tally import Tally

Image = NDArray[np.uint8]

View = Literal["picture", "mask"]

CARD_SIZE = (360, 640)
CARD_GROUND, CARD_INK, CARD_FAINT = (24, 27, 31), (214, 218, 223), (92, 100, 109)

ASKED_SECONDS = 2.0
"""A mask is drawn for so long after somebody looked at one."""


@dataclass(frozen=True, slots=True)
class FaceSeen:
    """A face as the page lists it.

    Attributes:
        track_id, state, coverage: as in the masks; coverage 0-1.
        carried: for so many frames the network has not looked at it.
    """

    track_id: int
    state: str
    coverage: float
    carried: int


@dataclass(frozen=True, slots=True)
class Seen:
    """One moment. Never changed: the next one takes its place.

    Attributes:
        number: rises by one.
        image, mask: (H, W, 3) uint8 RGB; ``mask`` is None where nobody has asked for it.
        faces: in the picture.
        signal: whether the picture is of a frame that came, not of one that fills a gap.
    """

    number: int
    image: Image
    mask: Image | None = None
    faces: tuple[FaceSeen, ...] = ()
    signal: bool = False


class Board:
    """Shows the newest result to whoever looks; is a ``Sink``.

    One thread writes; readers in any thread take ``seen``, which is replaced as a whole.

    Args:
        settings: how the mask is drawn.

    Attributes:
        seen: what there is to see.
        tally: counted over all that was written.
        note: why nothing comes, where that is known.
    """

    def __init__(self, settings: Settings) -> None:
        self.notes: list[str] = []
        self.note = ""
        self.tally = Tally()
        self.seen = Seen(0, card("nothing comes in"))
        self._matte = matte(settings)
        self._asked = 0.0

    def write(self, result: FrameResult) -> None:
        """Show a result."""
        filled = result.failure == NO_SIGNAL
        if filled:
            self.tally.filled += 1
        else:
            self.tally.add(result)
        image, pairs = result.frame.image, zip(result.faces, result.masks, strict=True)
        faces = tuple(
            FaceSeen(face.track_id, face.state.value, float(mask.coverage), mask.carried_frames)
            for face, mask in pairs
        )
        wanted = time.monotonic() - self._asked < ASKED_SECONDS
        mask = self._matte(image, result.masks) if wanted else None
        self.seen = Seen(self.seen.number + 1, image, mask, faces, not filled)

    def picture(self, view: View) -> tuple[int, Image]:
        """Number and picture of what is to see, from any thread."""
        seen = self.seen
        if view == "picture":
            return seen.number, seen.image
        self._asked = time.monotonic()
        return seen.number, np.zeros_like(seen.image) if seen.mask is None else seen.mask

    def clear(self, words: str = "nothing comes in") -> None:
        """Take the picture away."""
        self.seen = Seen(self.seen.number + 1, card(words))

    def close(self, *, cut: bool = False) -> None:
        """The stream has ended."""
        self.clear("the stream has ended")

    def abort(self) -> None:
        """The same."""
        self.clear("the stream has ended")


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
