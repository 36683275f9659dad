"""RF: the reference of each face, remembered; what nobody has seen is painted by a generator.

A generator takes from some milliseconds to many seconds.  A file waits for it, so that a run gives
the same masks each time.  A live stream does not: its frames go on with what is remembered, and what
was painted is taken over in the frame after it is done.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from s3pot.bank import ReferenceBank
from s3pot.model import S3POT
from s3pot.types import Reference
from stream.background import Background
from stream.smooth import sigmoid
from trackers import AlignedFace

Image = NDArray[np.uint8]
Field = NDArray[np.float32]

MOST_WAITING = 16
"""Faces that may wait to be painted in the background, as many as are looked for by default; one
takes 1 MB."""


@dataclass(frozen=True, slots=True)
class Order:
    """What a generator is to paint.

    Attributes:
        face: as it was when it was asked for; the atlas has no pose, so a later frame can take it.
        hidden: (S, S) 0-1, what a first look takes for hidden.
        cause: see :meth:`s3pot.bank.ReferenceBank.wants_invention`.
        frame: of this stream, in which it was asked for.
    """

    face: AlignedFace
    hidden: Field
    cause: str
    frame: int


class References:
    """Shows faces without their occluders. In the caller's thread, but for the generator's work.

    In the background the generator runs beside FE and the decoder.  That is safe: it and its parser
    share no module with them, one thread alone asks it, ``torch.inference_mode`` holds for a thread,
    and inference changes no weight.  A generator of your own must keep to that.  It is not free:
    ``torch.set_num_threads`` limits each thread, so both together may use twice as many cores.

    A painting is never too old: it fills only what has not been seen clean meanwhile, its trust
    counts from when it came, and if pose or light have changed, the bank asks again.  With a limit a
    slow generator would work for nothing, for ever.

    Args:
        model: looks, and paints.
        bank: remembers.
        background: paint in a thread beside the caller's; False waits for it.

    Attributes:
        late_frames: how often a painting was taken over so many frames after it was asked for.
        dropped: paintings that were asked for and never taken over, by cause.
    """

    def __init__(self, model: S3POT, bank: ReferenceBank, *, background: bool = False) -> None:
        self.model, self.bank = model, bank
        self.late_frames: Counter[int] = Counter()
        self.dropped: Counter[str] = Counter()
        self._frame = 0
        self._background: Background[int, tuple[Order, Image]] | None = None
        if background and model.generates:
            self._background = Background(MOST_WAITING)
            self.dropped = self._background.dropped

    def __call__(self, faces: Sequence[AlignedFace]) -> list[Reference]:
        """Each face as remembered; what is missing is painted first, or asked for."""
        for face in faces if self.model.generates else ():
            if self._background is None or face.identity not in self._background:
                cause = self.bank.wants_invention(face.identity, face.image, face.landmarks)
                if cause:
                    self.invent(face, cause)
        return [self.bank.reference(face.identity, face.landmarks) for face in faces]

    def invent(self, face: AlignedFace, cause: str) -> None:
        """What a first look takes for hidden, or the whole face, is painted.

        A method that finds nothing without a reference has no first look: for it, the whole face.
        """
        hidden = np.zeros(face.region.shape, np.float32)
        if self.model.method.cold:
            remembered = self.bank.reference(face.identity, face.landmarks)
            features = self.model.enhance([face.image], [remembered])
            hidden = sigmoid(self.model.decode(features, [face.region])[0])
        elif not self.model.paints_whole:  # nobody knows yet what is hidden: all of it may be
            hidden = face.region.astype(np.float32)
        wide, whole = self.bank.widened(hidden), self.model.paints_whole
        order = Order(face, hidden, cause, self._frame)
        if whole:  # what the frame cuts off is black, and no colour of the face
            wide = np.maximum(wide, face.region & ~face.inside)
        elif not wide[face.region].any():  # nothing is painted, and nothing of the crop is taken
            self._take(order, face.image)
            return
        structure = self.bank.structure(face.landmarks)

        def paint() -> tuple[Order, Image]:
            return order, self.model.generate([face.image], [wide], [structure])[0]

        if self._background is None:
            self._take(*paint())
        else:
            self._background.submit(face.identity, paint)

    def collect(self) -> None:
        """Begin a frame: take over what was painted meanwhile; or raise what the generator raised."""
        self._frame += 1
        for _, painting in self._background.finished() if self._background else ():
            self._take(*painting)

    def _take(self, order: Order, painted: Image) -> None:
        self.late_frames[self._frame - order.frame] += 1
        self.bank.invent(
            order.face.identity, painted, order.face.landmarks, order.hidden,
            whole=self.model.paints_whole, cause=order.cause,
        )  # fmt: skip

    def keep(self, identities: Collection[int], cause: str = "face left") -> None:
        """Let no painting come of anybody but these."""
        if self._background is not None:
            self._background.keep(identities, cause)

    def reset(self) -> None:
        """Forget everybody: another stream begins, and nothing of this one comes late."""
        self.keep((), "stream ended")
        self.bank.reset()

    def close(self) -> None:
        """End the thread."""
        if self._background is not None:
            self._background.close()
