"""Nothing that may be an uncovered face leaves: what cannot be believed is covered.

Of each face in each frame, the first line that holds (``who`` and ``hide``: see ``choice.py``):

======  ========================================================================  ==================
state   a face is so if                                                           what leaves
======  ========================================================================  ==================
lost    it was sure once, or seen for long, and ended inside the picture with no   nothing: the whole
        face in its place, or where nobody knows, for it had just jumped; or the   picture is covered
        picture leapt away from under it while it was hidden (adrift)
unsure  it is in one of its first two good frames; its box jumped; the mesh's      all but its head:
        score or the mask's confidence is low; more than 85 % of it is covered;    1.6 times its box,
        the mask is not finite, stale, or of another place or size than the face;  more while coasting;
        something of the picture was lost since the last key frame;                and where it was, if
        it coasts for more than ``held_frames``, or with neither flow nor a cover  it jumped since sure
        to speak for it
held    it is hidden, coasts, and nothing speaks against it                        what the mask says
sure    it is seen, and nothing speaks against it                                  what the mask says
======  ========================================================================  ==================

The whole picture is also covered, whatever is to be hidden and of whom, at the start; where
:meth:`PrivacyPolicy.blind` says that nothing is known (the model raised, timed out, ...); where a
result's boxes or landmarks are not finite, or it is of a frame that came before; at
:meth:`PrivacyPolicy.restarted`, a change of the picture's size, and a cut at which a face ended.  It opens
with the second of two frames that agree: the detector looked in both, nothing failed between, and every
frame from the one to the other shows the same ids, each where it was.  A lost face keeps it closed besides until its id is back, until a face that came up since
stands where it was, or until the detector has looked for ``wait_seconds`` and not found it.

A face that ended otherwise (at the edge, where another one now is, or that was seen for less than half a
second and never surely) leaves its head's last box covered for ``wait_seconds`` of looks, and does not blind.

Pictures are held back by ``delay_frames``: a face is first found some frames after it could be seen, and
what is still held of these is covered where it was found, and as far about as it may have come since.
What had left by then is counted.  A face that jumps counts as found.

What remains: a face that the detector does not find is not covered, and neither is what of one that
had left before it was found; where the mask decides, it may be wrong (``MARGIN`` of ``cover.py`` takes its
edge off what is kept); ids are believed as long as no face is unsure, but for who may be one of those named
under a new id (``choice.py``).  The face is what the mesh spans and a rim: hair, ears and the top of a
forehead are hidden with "both".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from stream.effects import StandIn
from stream.frame import Frame, FrameResult, Verdict
from stream.patch import Image
from stream.privacy.audit import Audit, in_a_word
from stream.privacy.certainty import Certainty, Memory, broken
from stream.privacy.choice import Choice
from stream.privacy.cover import Hide, blank, head_box, paint_box, paint_mask
from stream.privacy.gate import Gate
from stream.privacy.leaving import Leaving, Queue
from stream.privacy.missing import Absentees, how_it_ended, in_place_of
from trackers.faces import TrackedFace, TrackState
from trackers.flow import scene_cut

Box = NDArray[np.float32]

DRIFT, MOST_DRIFT = 0.02, 0.4
"""Of its sides a face's head is larger with every frame that it coasts, and at most."""


class PrivacyPolicy:
    """See the module. Not thread-safe.

    If it raises, nothing of the frame has left, nor will of those held: call :meth:`blind` with it.

    Args:
        choice: of whom what is hidden.
        stand_in: what is shown in its place.
        audit: is filled.
        audit_path: :meth:`close` writes it there; None: nowhere.
        held_frames, wait_seconds, delay_frames: see the module.
    """

    def __init__(
        self, choice: Choice, stand_in: StandIn, audit: Audit, *, audit_path: Path | None = None,
        held_frames: int = 25, wait_seconds: float = 2.0, delay_frames: int = 2,
    ) -> None:  # fmt: skip
        self.audit, self._audit_path = audit, audit_path
        self._choice, self._stand_in = choice, stand_in
        self._held_frames, self._delay_frames = held_frames, delay_frames
        self._absentees = Absentees(wait_seconds)
        self.reset()

    def reset(self) -> None:
        """Another stream begins, closed; the audit goes on."""
        self._queue = Queue(self._delay_frames, self._stand_in, self.audit)
        self._choice.reset()
        self._forget("start")

    def restarted(self, cause: str, *, ids_kept: bool = False) -> None:
        """The stream began anew: who was there is not expected again.

        Args:
            cause: in plain words.
            ids_kept: the tracker was not reset, and ids mean what they did; else from now on
                everybody is hidden as those are whom ``who`` chooses.
        """
        self._forget(in_a_word(cause))
        if not ids_kept:
            self._choice.void()

    def _forget(self, cause: str) -> None:
        self._gate = Gate()
        self._gate.close(cause)
        self._memories: dict[int, Memory] = {}
        self._absentees.clear()
        self._queue.forget()  # who is found from now on was not in these
        self._before: Frame | None = None
        self._newest = -1

    def blind(self, frame: Frame, cause: str) -> list[FrameResult]:
        """Nothing is known of this frame: it is covered, and whoever was there is expected again.

        Args:
            frame: as it came.
            cause: in plain words.
        """
        self._gate.close(in_a_word(cause))
        again, self._newest = frame.index <= self._newest, max(self._newest, frame.index)
        for memory in self._memories.values():
            memory.steady = 0
        return self._leave(FrameResult(frame, (), ()), [], {}, again=again)

    def push(self, result: FrameResult) -> list[FrameResult]:
        """One result in; what may leave of the one of ``delay_frames`` ago out, if there is one."""
        cause = broken(result) or ("old result" if result.frame.index <= self._newest else "")
        if cause:
            return self.blind(result.frame, cause)
        try:
            return self._pushed(result)
        except BaseException:  # nobody knows any more who is in what is held back
            self._queue.blank()
            raise

    def _pushed(self, result: FrameResult) -> list[FrameResult]:
        if self._before is not None and self._before.image.shape != result.frame.image.shape:
            self.restarted("size changed", ids_kept=True)
        self._see_ends(result)
        self._choice.see([face.track_id for face in result.faces],
                         [f.track_id for f in result.faces if f.state is TrackState.SEEN])  # fmt: skip
        born = [face for face in result.faces if face.track_id not in self._memories]
        step_seconds = float(result.frame.time - self._before.time) if self._before else 0.0
        self._watch(result, born, step_seconds)
        states, jumped = self._judge(result, step_seconds)
        self._open(result, states)
        hidden = [self._hides(face, states[face.track_id]) for face in result.faces]
        new = jumped | {face.track_id for face in born}
        self._queue.cover_late(result.frame.time, [
            f.box_px for f, hide in zip(result.faces, hidden, strict=True)
            if f.track_id in new and hide != "neither"
        ])  # fmt: skip
        self._before, self._newest = result.frame, result.frame.index
        return self._leave(result, hidden, states)

    def flush(self) -> list[FrameResult]:
        """What is still held, at the end of a stream or where it pauses."""
        return self._queue.flush()

    def close(self) -> None:
        """Write the audit, if it is wanted.

        Raises:
            SinkError: it cannot be written.
        """
        if self._audit_path is not None:
            self.audit.write(self._audit_path)

    def _see_ends(self, result: FrameResult) -> None:
        """Faces of the frame before that are no more."""
        here = {face.track_id for face in result.faces}
        ended = {k: memory for k, memory in self._memories.items() if k not in here}
        if not ended:
            return
        if self._is_cut(result.frame):
            self._forget("cut")
            return
        for track_id, memory in ended.items():
            del self._memories[track_id]
            self._choice.gone(track_id, in_place_of(memory, result.faces))
            if self._choice.hides(track_id) != "neither":
                end = how_it_ended(memory, result.faces, result.frame.image.shape)
                self._absentees.add(track_id, memory.places_px, end)
                if end == "lost":
                    self._gate.close("lost")

    def _is_cut(self, frame: Frame) -> bool:
        """Whether the picture around the faces is another one than before."""
        if self._before is None:
            return False
        boxes = np.stack([memory.box_px for memory in self._memories.values()])
        return scene_cut(grey(self._before.image), grey(frame.image), boxes)

    def _watch(self, result: FrameResult, born: list[TrackedFace], step_seconds: float) -> None:
        """Those that are missing may be back, or given up."""
        places = {face.track_id: face.box_px for face in born}
        watched = step_seconds if result.looked else 0.0
        self.audit.given_up += self._absentees.watch(result.faces, places, watched)

    def _judge(
        self, result: FrameResult, step_seconds: float
    ) -> tuple[dict[int, Certainty], set[int]]:
        """How far each face can be believed, and which of them jumped, by id."""
        states, jumped = {}, set()
        for face, mask in zip(result.faces, result.masks, strict=True):
            memory = self._memories.setdefault(face.track_id, Memory(face.box_px))
            state, doubt = memory.judge(
                face, mask, self._held_frames, step_seconds, damaged=result.frame.damaged
            )
            states[face.track_id] = state
            if doubt:
                self.audit.doubts[doubt] += 1
            if doubt == "jumped":
                jumped.add(face.track_id)
        self.audit.faces.update(state.value for state in states.values())
        self.audit.faces["lost"] += len(self._absentees.blinding)
        return states, jumped

    def _open(self, result: FrameResult, states: dict[int, Certainty]) -> None:
        """Whether the picture as a whole may leave."""
        adrift = [k for k, state in states.items() if state is Certainty.LOST]
        if any(self._choice.hides(track_id) != "neither" for track_id in adrift):
            self._gate.close("lost")
            return
        places = {face.track_id: face.box_px for face in result.faces}
        self._gate.see(places, looked=result.looked, may_open=not self._absentees.blinding)

    def _hides(self, face: TrackedFace, state: Certainty) -> Hide:
        """What of a face is covered; who somebody is, is only believed of one that can be."""
        if state in (Certainty.SURE, Certainty.HELD):
            return self._choice.hides(face.track_id)
        return "both" if self._choice.hides_any else "neither"

    def _leave(
        self, result: FrameResult, hidden: list[Hide], states: Mapping[int, Certainty], *,
        again: bool = False,
    ) -> list[FrameResult]:  # fmt: skip
        """Cover the picture, hold it back, and let go what is held too long.

        Args:
            result: what is known.
            hidden: of each of its faces.
            states: of each of its faces, by id.
            again: a picture that came before is shown once more, while nothing comes.
        """
        told = dict.fromkeys(self._absentees.blinding, Certainty.LOST.value)
        told |= {track_id: state.value for track_id, state in states.items()}
        verdict = Verdict(told, self._gate.cause)
        leaving = self._covered(replace(result, verdict=verdict), hidden)
        self._count(leaving, hidden)
        return self._queue.push(leaving, again=again)

    def _covered(self, result: FrameResult, hidden: list[Hide]) -> Leaving:
        masks = tuple(replace(mask, reference=None) for mask in result.masks)
        frame = result.frame
        if self._gate.cause:
            image = blank(frame.image)
            return Leaving(
                replace(result, frame=replace(frame, image=image), masks=masks), [], True
            )
        image, boxes_px = frame.image.copy(), self._absentees.boxes_px
        for face, mask, hide in zip(result.faces, result.masks, hidden, strict=True):
            if hide == "both":
                memory = self._memories[face.track_id]
                drift = min(DRIFT * memory.coasting, MOST_DRIFT)
                boxes_px += [head_box(place_px, drift) for place_px in memory.places_px]
            elif hide != "neither":
                paint_mask(image, mask, hide, self._stand_in)
        for box_px in boxes_px:
            paint_box(image, box_px, self._stand_in)
        return Leaving(replace(result, frame=replace(frame, image=image), masks=masks), boxes_px)

    def _count(self, leaving: Leaving, hidden: list[Hide]) -> None:
        self.audit.frames += 1
        if leaving.whole:
            self.audit.covered_frames += 1
            self.audit.causes[self._gate.cause] += 1
            return
        self.audit.unlooked_frames += not leaving.result.looked
        for face, hide in zip(leaving.result.faces, hidden, strict=True):
            ids = self.audit.shown_ids if hide == "neither" else self.audit.hidden_ids
            ids.add(face.track_id)


def grey(image: Image) -> Image:
    """(H, W) uint8 of an RGB picture."""
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), np.uint8)
