"""The demo: a clip with known truth is made, run through everything, and compared."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Self

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from configs.settings import Settings
from stream.clip import DEMO, FACE_PX, HEIGHT, WIDTH, ClipFrame, Crossing, clip
from stream.effects import build_effect
from stream.frame import FrameResult
from stream.job import Job
from stream.patch import shrink
from stream.run import RunReport
from stream.sources import SourceInfo

SOUND_RATE = 48000
COVERED_SHARE = 0.01
"""Share of the face that the truth must cover for a frame to count as covered."""

FACE_RADII_PX = (38.0, 52.0)
"""Half width and half height of the face in the photograph; used only where the track is lost."""


class Demo:
    """One run of the demo, on the drawn clip or on a video of the user.

    Args:
        settings: of the run.
        folder: where the results go; made if missing.
        source: the user's own video; None draws the clip.
        seconds: length of the drawn clip.

    Attributes:
        source: name of the video that is run.
        composite: path of the composited video.
        info: of the source.
        score: against the truth; None for a video of the user.

    Raises:
        ValueError, OSError: as :class:`stream.job.Job`.
    """

    def __init__(
        self, settings: Settings, folder: Path, source: str | None = None,
        seconds: Fraction = Fraction(6),
    ) -> None:  # fmt: skip
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self._settings = folder, settings
        self.score: Score | None = None
        if source is None:
            source, self.score = str(folder / "clip.mp4"), Score()
            write_clip(Path(source), self.score.learn(clip(seconds=seconds)), Fraction(25))
        self.source = source
        self.composite = folder / "composite.mp4"
        self._best: FrameResult | None = None
        self._job = Job(source, [str(self.composite)], settings)
        self.info: SourceInfo = self._job.info

    def run(self, on_result: Callable[[FrameResult], None]) -> RunReport:
        """Run the clip, keep the score and the frame whose face is covered most."""

        def watch(result: FrameResult) -> None:
            if self.score is not None:
                self.score.add(result)
            if self._best is None or covered_area(result) > covered_area(self._best):
                self._best = result
            on_result(result)

        return self._job.run(watch)

    def lines(self, report: RunReport) -> list[str]:
        """What to print: the score, the speed, and where everything is; writes the still."""
        lines = self.score.lines() if self.score is not None else []
        speed = report.frames / max(report.seconds, 1e-9)
        lines.append(f"speed            {speed:.1f} frames a second ({report.frames} frames)")
        lines.append(f"clip             {self.info.name}")
        lines.append(f"composite        {self.composite}")
        if self._best is not None:
            path = self._folder / "still.png"
            write_still(path, self._best, self._settings)
            lines.append(f"still            {path}  (frame | mask | composite)")
        return lines

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        self._job.close()


class Score:
    """Masks against the truth, frame by frame, inside the face."""

    def __init__(self) -> None:
        self._truth: list[NDArray[np.uint8]] = []
        self._expected: list[bool] = []
        self.ious: dict[int, float] = {}
        self.false_alarms: list[float] = []
        self.lost = 0

    def learn(self, frames: Iterable[ClipFrame]) -> Iterable[ClipFrame]:
        """Remember the truth of frames on their way to somewhere else."""
        for frame in frames:
            face = photographed_face(frame.photo_to_frame)
            hidden = float((frame.occluder & face).sum()) / max(float(face.sum()), 1.0)
            self._truth.append(np.packbits(frame.occluder))
            self._expected.append(hidden >= COVERED_SHARE)
            yield frame

    def add(self, result: FrameResult) -> None:
        """Compare one frame. A covered face that has no track scores 0."""
        index = result.frame.index
        truth = np.unpackbits(self._truth[index], count=HEIGHT * WIDTH).reshape(HEIGHT, WIDTH) > 0
        if not result.masks:
            self.lost += 1
            if self._expected[index]:
                self.ious[index] = 0.0
            return
        marked, region = marked_and_region(result)
        truth &= region
        if truth.sum() >= COVERED_SHARE * region.sum():
            self.ious[index] = float((marked & truth).sum() / (marked | truth).sum())
        elif not truth.any() and region.any():
            self.false_alarms.append(float(marked.sum() / region.sum()))

    def mean_iou(self, crossings: tuple[Crossing, ...] = DEMO, fps: int = 25) -> dict[str, float]:
        """Mean of the frames' IoU, of all and for each thing that crosses the face alone."""
        means = {"all": float(np.mean(list(self.ious.values()))) if self.ious else float("nan")}
        for one in crossings:
            inside = [
                iou for index, iou in self.ious.items()
                if [c for c in crossings if c.start_seconds <= index / fps < c.stop_seconds] == [one]
            ]  # fmt: skip
            means[one.kind] = float(np.mean(inside)) if inside else float("nan")
        return means

    def lines(self) -> list[str]:
        """The score in words."""
        means = self.mean_iou()
        kinds = ", ".join(f"{kind} {iou:.2f}" for kind, iou in means.items() if kind != "all")
        false = 100 * float(np.mean(self.false_alarms)) if self.false_alarms else float("nan")
        lines = [
            f"occlusion IoU    {means['all']:.3f}  ({len(self.ious)} covered frames: {kinds})",
            f"false alarm      {false:.2f} % of the face  ({len(self.false_alarms)} clean frames)",
        ]
        return lines + ([f"face not found   in {self.lost} frames"] if self.lost else [])


def photographed_face(photo_to_frame: NDArray[np.float64]) -> NDArray[np.bool_]:
    """(H, W) bool: an ellipse about where the photographed face lies in a frame of the clip."""
    to_photo = cv2.invertAffineTransform(photo_to_frame)
    x, y = np.meshgrid(np.arange(WIDTH), np.arange(HEIGHT))
    u = to_photo[0, 0] * x + to_photo[0, 1] * y + to_photo[0, 2] - FACE_PX[0]
    v = to_photo[1, 0] * x + to_photo[1, 1] * y + to_photo[1, 2] - FACE_PX[1]
    return np.asarray(np.hypot(u / FACE_RADII_PX[0], v / FACE_RADII_PX[1]) < 1, np.bool_)


def marked_and_region(result: FrameResult) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Two (H, W) bool at the frame's size: marked as covered, and the amodal region, of any face."""
    height, width = result.frame.image.shape[:2]
    marked, region = np.zeros((2, height, width), np.bool_)
    for mask in result.masks:
        x0, y0, x1, y1 = box = mask.box_px(height, width)
        if x1 > x0 and y1 > y0:
            region[y0:y1, x0:x1] |= mask.in_box(mask.region.astype(np.float32), box) > 0.5
            marked[y0:y1, x0:x1] |= mask.in_box(mask.probability, box) > 0.5
    return marked & region, region


def covered_area(result: FrameResult) -> float:
    """How many px of the frame are marked, about."""
    return sum(
        mask.coverage * float(mask.region.sum()) / shrink(mask) ** 2 for mask in result.masks
    )


def write_still(path: Path, result: FrameResult, settings: Settings) -> None:
    """A PNG of one frame: the frame, its mask, the composite, side by side.

    Raises:
        OSError: it cannot be written.
    """
    image = result.frame.image
    views = [image, view("matte", settings, result), build_effect(settings)(image, result.masks)]
    done, data = cv2.imencode(".png", np.hstack(views)[..., ::-1])  # BGR for OpenCV
    if not done:
        raise OSError(f"{path}: the picture could not be made a PNG")
    path.write_bytes(data.tobytes())


def view(name: str, settings: Settings, result: FrameResult) -> NDArray[np.uint8]:
    """The frame under an effect given by name."""
    chosen = settings.effect.model_copy(update={"name": name})
    return build_effect(settings.model_copy(update={"effect": chosen}))(
        result.frame.image, result.masks
    )


def write_clip(path: Path, frames: Iterable[ClipFrame], fps: Fraction) -> None:
    """Write an H.264 clip with a tone of 440 Hz in AAC beside it.

    Raises:
        OSError: it cannot be written.
    """
    partial = path.with_name(f".{path.name}.partial")
    with av.open(str(partial), "w", format="mp4") as container:
        pictures = container.add_stream(
            "libx264", rate=fps, options={"crf": "16", "preset": "veryfast"}
        )
        pictures.width, pictures.height, pictures.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        sound = container.add_stream("aac", rate=SOUND_RATE, layout="mono")
        count = 0
        for frame in frames:
            count += 1
            picture = av.VideoFrame.from_ndarray(frame.image, format="rgb24")
            container.mux(pictures.encode(picture))
        container.mux(pictures.encode(None))
        for block in tone(float(count / fps)):
            container.mux(sound.encode(block))
        container.mux(sound.encode(None))
    partial.replace(path)


def tone(seconds: float) -> Iterable[av.AudioFrame]:
    """A quiet sine of 440 Hz in frames of 1024 samples."""
    moments = np.arange(int(seconds * SOUND_RATE)) / SOUND_RATE
    samples = (0.2 * np.sin(2 * np.pi * 440 * moments)).astype(np.float32)
    for start in range(0, samples.size, 1024):
        block = np.ascontiguousarray(samples[None, start : start + 1024])
        frame = av.AudioFrame.from_ndarray(block, format="fltp", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = SOUND_RATE, start, Fraction(1, SOUND_RATE)
        yield frame
