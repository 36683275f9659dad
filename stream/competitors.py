"""Who is measured: ours, and what it has to beat. All judge the same aligned faces.

To add one: a class that satisfies :class:`Competitor` and a line in :data:`SIMPLE`, or a prefix in
:func:`make_competitor`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from configs import Settings, load_settings
from configs.settings import unknown
from s3pot.types import Reference
from stream.outsiders import Nothing, OnnxOccluder, Person
from stream.pipeline import Pipeline
from stream.smooth import sigmoid
from trackers import AlignedFace

Field = NDArray[np.float32]
Bool = NDArray[np.bool_]


class Competitor(Protocol):
    """Says what covers a face. May remember faces until it is reset.

    Attributes:
        name: in the tables.
        size: S, side in px of the crops it wants.
        settings: that it was built from; None where it has none.
    """

    @property
    def name(self) -> str: ...
    @property
    def size(self) -> int: ...
    @property
    def settings(self) -> Settings | None: ...
    def __call__(self, face: AlignedFace, truth: Bool | None, age_frames: int) -> Field:
        """Judge one face of one frame.

        Args:
            face: aligned at ``size``.
            truth: (S, S) bool, for oracles only.
            age_frames: for how many frames this face has been followed.

        Returns:
            (S, S) float32 0-1, probability of an occluder; what lies off the face does not count.
        """
        ...

    def reset(self) -> None:
        """Forget every face."""
        ...

    def close(self) -> None:
        """Let go of what it holds."""
        ...


class PipelineCompetitor:
    """RF, FE, PS and decoder as settings say, with the history of the clip."""

    def __init__(self, name: str, settings: Settings) -> None:
        self.name, self.settings = name, settings
        self.pipeline = Pipeline.from_settings(settings)
        self.size = self.pipeline.size

    def __call__(self, face: AlignedFace, truth: Bool | None, age_frames: int) -> Field:
        """See :class:`Competitor`."""
        return self.pipeline.occlusions([face], [age_frames])[0].probability

    def reset(self) -> None:
        """See :class:`Competitor`."""
        self.pipeline.reset()

    def close(self) -> None:
        """See :class:`Competitor`."""
        self.pipeline.close()


class NoReference(PipelineCompetitor):
    """The same network that is shown no reference at all: what history and generator add to."""

    def __call__(self, face: AlignedFace, truth: Bool | None, age_frames: int) -> Field:
        """See :class:`Competitor`."""
        model = self.pipeline.model
        features = model.enhance([face.image], [no_reference(self.size)])
        return sigmoid(model.decode(features, [face.region])[0])


class OracleBox(PipelineCompetitor):
    """SAM asked with the truth's own box and nothing else: an upper bound, no method."""

    def __call__(self, face: AlignedFace, truth: Bool | None, age_frames: int) -> Field:
        """See :class:`Competitor`."""
        where = np.zeros((self.size, self.size), bool) if truth is None else truth & face.region
        if not where.any():
            return np.zeros((self.size, self.size), np.float32)
        model = self.pipeline.model
        features = model.enhance([face.image], [no_reference(self.size)])
        tokens = features.evidence.tokens
        points = tokens.new_tensor(corners(where))[None]
        labels = tokens.new_tensor([[2, 3]]).long()
        logits = model.sam.decode(tokens, points, labels, None)[0, 0].float().cpu().numpy()
        fine = cv2.resize(logits, (self.size, self.size), interpolation=cv2.INTER_LINEAR)
        return sigmoid(np.asarray(fine, np.float32))


def no_reference(size: int) -> Reference:
    """A reference of which nothing is known."""
    return Reference(np.zeros((size, size, 3), np.uint8), np.zeros((size, size), np.float32))


def corners(where: Bool) -> list[list[float]]:
    """Top-left and bottom-right corner, x y in px, of what is True."""
    rows, columns = np.nonzero(where)
    low, high = (columns.min(), rows.min()), (columns.max(), rows.max())
    return [[float(v) for v in low], [float(v) for v in high]]


OURS = ('model.method="evidence"',)
"""What an override of the command must not undo: these two ask the network in their own way."""

Build = Callable[[str | None, Sequence[str], int], Competitor]
"""From the command's config, its overrides, and S."""

SIMPLE: dict[str, Build] = {
    "nothing": lambda _config, _overrides, size: Nothing(size),
    "person": lambda _config, _overrides, size: Person(size),
    "box": lambda config, overrides, _: OracleBox(
        "box", load_settings(config, [*overrides, *OURS])
    ),
    "no-reference": lambda config, overrides, _: NoReference(
        "no-reference", load_settings(config, [*overrides, *OURS])
    ),
    "released": lambda _, overrides, _size: PipelineCompetitor(  # with the paper's references
        "released", load_settings("paper", [*overrides, 'model.method="released"'])
    ),
    "paper": lambda _, overrides, _size: PipelineCompetitor(
        "paper", load_settings("paper", overrides)
    ),
}
"""Competitors by name."""

PREFIXED = ("config:NAME_OR_FILE", "box:NAME_OR_FILE", "onnx:FILE")


def make_competitor(
    name: str, config: str | None, overrides: Sequence[str], size: int
) -> Competitor:
    """Build one by name.

    Args:
        name: of :data:`SIMPLE`; "config:X" or "box:X" of another config; "onnx:FILE".
        config: of the command.
        overrides: of the command; they hold for every competitor with settings.
        size: side of the crops of those that have no settings.

    Raises:
        ValueError: nobody has that name, or a setting is wrong.
        FileNotFoundError: no such config or file.
    """
    prefix, colon, rest = name.partition(":")
    if colon and prefix == "onnx" and rest:
        return OnnxOccluder(Path(rest), size)
    if colon and prefix == "config" and rest:
        return PipelineCompetitor(name, load_settings(rest, overrides))
    if colon and prefix == "box" and rest:
        return OracleBox(name, load_settings(rest, [*overrides, *OURS]))
    if name not in SIMPLE:
        raise ValueError(unknown("competitor", name, [*SIMPLE, *PREFIXED]))
    return SIMPLE[name](config, overrides, size)
