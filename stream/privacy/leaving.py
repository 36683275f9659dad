"""A picture that is to leave, while it is held back."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from stream.frame import FrameResult

Box = NDArray[np.float32]


@dataclass(slots=True, eq=False)
class Leaving:
    """A picture that is to leave.

    Attributes:
        result: what leaves: the picture covered, no reference of any face.
        boxes_px: (4,) each, covered in it.
        whole: all of it is covered.
        leaked: it is counted as one in which an uncovered face could have leaked.
    """

    result: FrameResult
    boxes_px: list[Box] = field(default_factory=list)
    whole: bool = False
    leaked: bool = False

    def covers(self, box_px: Box) -> bool:
        """Whether nothing of a box can be seen."""
        height, width = self.result.frame.image.shape[:2]
        inside = np.clip(box_px, 0, np.tile((width, height), 2))
        return self.whole or any(
            bool((held[:2] <= inside[:2]).all() and (held[2:] >= inside[2:]).all())
            for held in self.boxes_px
        )
