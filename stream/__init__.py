"""S3POT Stream: what stands in front of each face in a video, frame by frame.

from stream import occlusions
for result in occlusions("clip.mp4"):
    print(result.frame.index, [mask.coverage for mask in result.masks])
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stream.frame import FrameResult

__all__ = ["occlusions"]


def occlusions(
    source: str | Path, *, config: str | Path | None = None, overrides: Sequence[str] = ()
) -> Iterator[FrameResult]:
    """Find what covers each face of a video.

    Args:
        source: a video file, or another name that ``s3pot run`` takes.
        config: name or path of a config; None for the defaults.
        overrides: texts such as ``"model.device=cpu"``.

    Yields:
        One :class:`~stream.frame.FrameResult` a frame, in order.

    Raises:
        ValueError: a setting, the weights or the video is wrong.
        OSError: the video cannot be read.
        stream.errors.SourceError: the video is damaged; raised after the frames before the damage.
    """
    # Imported here: `s3pot --help` must not wait for torch.
    from configs import load_settings  # noqa: PLC0415
    from stream.errors import SourceError  # noqa: PLC0415
    from stream.inlets import open_source  # noqa: PLC0415
    from stream.pipeline import Pipeline  # noqa: PLC0415

    opened = open_source(str(source))
    try:
        pipeline = Pipeline.from_settings(load_settings(config, overrides), live=opened.info.live)
        try:
            yield from pipeline(opened)
        finally:
            pipeline.close()
        if opened.damage:
            raise SourceError(f"{opened.info.name}: {opened.damage}")
    finally:
        opened.close()
