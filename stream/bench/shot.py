"""A scene as frames: drawn, sent through a codec where it asks for it, and cut out for the judge."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from io import BytesIO

import av
import numpy as np
from numpy.typing import NDArray

from stream.bench.cast import Cast
from stream.bench.judge import Truth, true_faces
from stream.bench.occluders import Props
from stream.bench.scene import Scene
from stream.bench.stage import SceneFrame, Stage
from stream.frame import Frame

Image = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Shot:
    """Attributes:
    scene: as it was planned.
    frames: what an entrant sees.
    truths: what it is judged by.
    """

    scene: Scene
    frames: Sequence[Frame]
    truths: Sequence[Truth]


def shoot(scene: Scene, cast: Cast, props: Props) -> Shot:
    """Draw a scene.

    Raises:
        RefusedError: an actor's clip cannot be used.
        ValueError: a cut-out cannot be used.
    """
    setting = cast.setting(scene)
    drawings = {way: props(way) for way in scene.ways}
    drawn = list(Stage(setting.scene, setting.actors, drawings, setting.size, setting.room))
    if scene.crf is not None:
        images = through_codec([frame.image for frame in drawn], scene.crf)
        drawn = [replace(frame, image=image) for frame, image in zip(drawn, images, strict=True)]
    return Shot(scene, list(numbered(scene, drawn)), true_faces(drawn))


def numbered(scene: Scene, drawn: Sequence[SceneFrame]) -> Iterator[Frame]:
    """As the pipeline takes them."""
    for index, frame in enumerate(drawn):
        yield Frame(frame.image, index, frame.time, f"scene {scene.name}")


def through_codec(images: Sequence[Image], crf: int) -> Iterator[Image]:
    """(H, W, 3) uint8 RGB pictures as they are after H.264 of a constant rate factor.

    Raises:
        ValueError: this build of FFmpeg has no H.264 encoder of that kind.
    """
    if "libx264" not in av.codecs_available:
        raise ValueError("scenes of kind 'compressed' need an FFmpeg with libx264; leave them out")
    held = BytesIO()
    height, width = images[0].shape[:2]
    with av.open(held, "w", format="matroska") as out:
        stream = out.add_stream("libx264", rate=30, options={"crf": str(crf), "threads": "1"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for image in images:
            out.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        out.mux(stream.encode())
    held.seek(0)
    with av.open(held, "r") as read:
        for frame in read.decode(video=0):
            yield np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)
