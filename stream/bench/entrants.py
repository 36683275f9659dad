"""Who is measured by ``s3pot bench video``: a stream of frames in, masks out, each in its own way.

An entrant sees whole frames, as a user would give them, and must find the faces itself.  To add one:
a class that satisfies :class:`Entrant` and a line in :data:`SIMPLE` or :data:`PREFIXED`.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from configs import Settings, load_settings
from s3pot.weights import catalogue, digest
from stream.competitors import Competitor, PipelineCompetitor, make_competitor, no_reference
from stream.frame import Frame
from stream.pipeline import Pipeline, at_points, wrap
from trackers import TrackedFace, align

Alpha = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Answer:
    """What an entrant says of one face of a frame, or of all of them.

    Attributes:
        alpha: (H, W) float32 0-1, what is in front of the face.
        box_px: x0 y0 x1 y1 of the face; None: of every face, wherever it is.
        track_id: None where it does not tell one face from another.
        coverage: 0-1, share of the face as it sees it that is covered; None where it does not say.
        state: a :class:`trackers.TrackState`'s word.
        carried_frames: for how many the mask has been carried along; 0: somebody looked.
    """

    alpha: Alpha
    box_px: NDArray[np.float32] | None = None
    track_id: int | None = None
    coverage: float | None = None
    state: str = "seen"
    carried_frames: int = 0


class Entrant(Protocol):
    """A way from frames to masks; remembers nothing from scene to scene.

    Attributes:
        name: in the tables.
        fingerprint: of all that its answers depend on; empty where nobody can know.
    """

    name: str
    fingerprint: str

    def __call__(self, scene: str, frames: Iterable[Frame]) -> Iterator[Sequence[Answer]]:
        """The answers to each frame of a scene, in order; none where it found no face."""
        ...

    def close(self) -> None:
        """Let go of what it holds."""
        ...


class Ours:
    """The pipeline of a configuration."""

    def __init__(self, name: str, config: str | None, overrides: Sequence[str]) -> None:
        self.name, settings = name, load_settings(config, overrides)
        self.fingerprint = f"{type(self).__name__} {told(settings)}"
        self._pipeline = Pipeline.from_settings(settings)

    def __call__(self, scene: str, frames: Iterable[Frame]) -> Iterator[Sequence[Answer]]:
        """See :class:`Entrant`."""
        self._pipeline.reset()
        for result in self._pipeline(frames):
            size = result.frame.image.shape[:2]
            yield [
                Answer(
                    mask.to_frame(*size), face.box_px, face.track_id, mask.coverage,
                    face.state.value, mask.carried_frames,
                )
                for face, mask in zip(result.faces, result.masks, strict=True)
            ]  # fmt: skip

    def close(self) -> None:
        """See :class:`Entrant`."""
        self._pipeline.close()


class FrameByFrame(Ours):
    """The same, each frame as if it were a picture alone: found, and its reference made, anew."""

    def __call__(self, scene: str, frames: Iterable[Frame]) -> Iterator[Sequence[Answer]]:
        """See :class:`Entrant`; nobody is told from anybody else."""
        for frame in frames:
            for answers in super().__call__(scene, [frame]):
                yield [replace(answer, track_id=None) for answer in answers]


class Unsmoothed(Ours):
    """The same, with track and references, but a mask that remembers no mask."""

    def __init__(self, name: str, config: str | None, overrides: Sequence[str]) -> None:
        off = ("smooth.attack=1", "smooth.release=1")
        super().__init__(name, config, [*overrides, *off])


class Cropped:
    """Whoever judges single crops, see :class:`stream.competitors.Competitor`; our tracker finds the
    faces for it.
    """

    def __init__(self, judge: Competitor, ours: PipelineCompetitor) -> None:
        self.name, self._judge, self._ours = judge.name, judge, ours
        file: Path = getattr(judge, "path", Path())
        itself = digest(file) if file.is_file() else judge.name
        self.fingerprint = told(ours.settings) + told(judge.settings) + itself

    def __call__(self, scene: str, frames: Iterable[Frame]) -> Iterator[Sequence[Answer]]:
        """See :class:`Entrant`."""
        self._ours.reset()
        self._judge.reset()
        detector, tracker = self._ours.pipeline.detector, self._ours.pipeline.tracker
        for frame in frames:
            found = detector(frame.image) if tracker.wants_detections else None
            yield [self._answer(frame, face) for face in tracker.update(frame.image, found)]

    def _answer(self, frame: Frame, tracked: TrackedFace) -> Answer:
        face = align(frame.image, tracked, self._judge.size)
        probability = self._judge(face, None, tracked.age)
        mask = wrap(face, probability, no_reference(face.region.shape[0]))
        hidden = np.where(face.inside, mask.probability, 1).astype(np.float32)
        self._ours.pipeline.tracker.cover(tracked.track_id, at_points(hidden, face.landmarks))
        alpha, state = mask.to_frame(*frame.image.shape[:2]), tracked.state.value
        return Answer(alpha, tracked.box_px, tracked.track_id, mask.coverage, state)

    def close(self) -> None:
        """See :class:`Entrant`."""
        self._judge.close()
        self._ours.close()


class MaskFolder:
    """Masks that another tool made of the frames that ``--frames`` wrote: SCENE/000000.png, 8 bit,
    255 = in front of a face.

    Raises:
        FileNotFoundError: there is no such folder.
    """

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise FileNotFoundError(f"{folder}: no such folder of masks")
        self.name, self.fingerprint, self._folder = f"masks:{folder.name}", "", folder

    def __call__(self, scene: str, frames: Iterable[Frame]) -> Iterator[Sequence[Answer]]:
        """See :class:`Entrant`.

        Raises:
            FileNotFoundError: a frame has no mask.
            ValueError: a mask is not of its frame's size.
        """
        for frame in frames:
            path = self._folder / scene / f"{frame.index:06d}.png"
            mask = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE) if path.is_file() else None
            if mask is None:
                raise FileNotFoundError(f"{path}: no mask for this frame")
            yield (Answer(checked(mask / np.float32(255), frame, str(path))),)

    def close(self) -> None:
        """It holds nothing."""


class Called:
    """A Python callable, ``module:name``: an (H, W, 3) uint8 RGB frame in, an (H, W) mask out; bool,
    or 0-1.  If it has a ``reset``, that is called before each scene.

    Raises:
        ValueError: there is no such callable.
    """

    def __init__(self, path: str) -> None:
        module, _, name = path.partition(":")
        try:
            found: Any = getattr(importlib.import_module(module), name)
        except (ImportError, AttributeError, ValueError) as error:
            raise ValueError(
                f"python:{path}: no such callable (python:MODULE:NAME): {error}"
            ) from None
        self.name, self.fingerprint = f"python:{path}", ""
        self._call: Callable[[NDArray[np.uint8]], Any] = found

    def __call__(self, scene: str, frames: Iterable[Frame]) -> Iterator[Sequence[Answer]]:
        """See :class:`Entrant`.

        Raises:
            ValueError: a mask is not of its frame's size, or not 0-1.
        """
        getattr(self._call, "reset", lambda: None)()
        for frame in frames:
            yield (Answer(checked(np.asarray(self._call(frame.image)), frame, self.name)),)

    def close(self) -> None:
        """It holds nothing that is ours."""


def told(settings: Settings | None) -> str:
    """Settings, code and weights in words that differ when they do."""
    if settings is None:
        return f"{version('s3pot-stream')} "
    sums = [entry.sha256 for entry in catalogue(settings.model.weights)]
    return f"{version('s3pot-stream')} {settings.model_dump_json()} {' '.join(sums)} "


def checked(mask: NDArray[Any], frame: Frame, source: str) -> Alpha:
    """A foreign mask as alpha.

    Raises:
        ValueError: its shape or its values are wrong.
    """
    if mask.shape != frame.image.shape[:2]:
        raise ValueError(
            f"{source}: the mask of frame {frame.index} is {mask.shape}, the frame "
            f"{frame.image.shape[:2]}"
        )
    alpha = np.asarray(mask, np.float32)
    if not (np.isfinite(alpha).all() and alpha.min() >= 0 and alpha.max() <= 1):
        raise ValueError(f"{source}: the mask of frame {frame.index} leaves 0-1")
    return alpha


def _mediapipe(_config: str | None, _overrides: Sequence[str]) -> Entrant:
    from stream.bench.mediapipe_only import MediaPipeOnly  # noqa: PLC0415  it imports Answer

    return MediaPipeOnly()


SIMPLE: dict[str, Callable[[str | None, Sequence[str]], Entrant]] = {
    "ours": lambda config, overrides: Ours("ours", config, overrides),
    "frame-by-frame": lambda config, overrides: FrameByFrame("frame-by-frame", config, overrides),
    "unsmoothed": lambda config, overrides: Unsmoothed("unsmoothed", config, overrides),
    "mediapipe": _mediapipe,
}
"""Entrants by name, from the command's config and its overrides."""

PREFIXED: dict[str, Callable[[str, str | None, Sequence[str]], Entrant]] = {
    "config": lambda rest, _config, overrides: Ours(f"config:{rest}", rest, overrides),
    "set": lambda rest, config, overrides: Ours(f"set:{rest}", config, [*overrides, rest]),
    "masks": lambda rest, _config, _overrides: MaskFolder(Path(rest)),
    "python": lambda rest, _config, _overrides: Called(rest),
}
"""Entrants of the form "prefix:rest", from the rest, the command's config and its overrides."""


def make_entrant(name: str, config: str | None, overrides: Sequence[str]) -> Entrant:
    """Build one by name.

    Args:
        name: of :data:`SIMPLE`, of a prefix of :data:`PREFIXED` and a rest, or a competitor of
            ``s3pot eval`` that needs no truth.
        config: of the command.
        overrides: of the command.

    Raises:
        ValueError: nobody has that name, or a setting is wrong.
        FileNotFoundError: no such file or folder.
    """
    prefix, _, rest = name.partition(":")
    if name in SIMPLE:
        return SIMPLE[name](config, overrides)
    if prefix in PREFIXED and rest:
        return PREFIXED[prefix](rest, config, overrides)
    if "box" in {name, prefix}:
        raise ValueError(f"{name!r} is asked with the truth; here an entrant sees frames alone")
    ours = PipelineCompetitor("ours", load_settings(config, overrides))
    return Cropped(make_competitor(name, config, overrides, ours.size), ours)
