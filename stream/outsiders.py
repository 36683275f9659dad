"""Competitors that are none of ours: they have no settings and see one crop at a time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from configs import Settings
from trackers import AlignedFace
from trackers.detect import quiet_stderr

Field = NDArray[np.float32]
Bool = NDArray[np.bool_]


class Nothing:
    """Finds nothing: what every figure is worth at least; see :class:`stream.competitors.Competitor`."""

    settings: Settings | None = None

    def __init__(self, size: int) -> None:
        self.name, self.size = "nothing", size

    def __call__(self, face: AlignedFace, truth: Bool | None, age_frames: int) -> Field:
        """See :class:`stream.competitors.Competitor`."""
        return np.zeros(face.region.shape, np.float32)

    def reset(self) -> None:
        """It remembers nothing."""

    def close(self) -> None:
        """It holds nothing."""


class Person(Nothing):
    """MediaPipe's person mask of the crop (it has no memory): what is no person in the face area is an occluder.

    A hand is a person too: it cannot be found this way.
    """

    def __init__(self, size: int) -> None:
        super().__init__(size)
        with quiet_stderr():
            from mediapipe.python.solutions.selfie_segmentation import (  # noqa: PLC0415
                SelfieSegmentation,
            )

            self.name, self._model = "person", SelfieSegmentation(model_selection=0)
            self._model.process(
                np.zeros((64, 64, 3), np.uint8)
            )  # the first run is the one that talks

    def __call__(self, face: AlignedFace, truth: Bool | None, age_frames: int) -> Field:
        """See :class:`stream.competitors.Competitor`."""
        person = self._model.process(np.ascontiguousarray(face.image)).segmentation_mask
        return 1 - np.asarray(person, np.float32)

    def close(self) -> None:
        """Let the graph go."""
        self._model.close()


class OnnxOccluder(Nothing):
    """Any face mask network of the XSeg kind: one picture in, probability of visible face out.

    The input is (1, S, S, 3) or (1, 3, S, S) float 0-1; what it does not call face is an occluder.
    Channels last is what XSeg's exports from TensorFlow are, fed BGR as their authors do; channels
    first, as exported from torch, is fed RGB.

    Args:
        path: of the file.
        size: of our crops; they are resized to the network's side and back.
        threads: of the processor; with one its sums are the same on every run, 0 takes all.

    Raises:
        FileNotFoundError: no such file.
        ModuleNotFoundError: onnxruntime is not installed.
        ValueError: no ONNX model, or its input is no picture.
    """

    def __init__(self, path: Path, size: int, threads: int = 1) -> None:
        super().__init__(size)
        if not path.is_file():
            raise FileNotFoundError(f"{path}: no such ONNX file")
        self.name, self.path = f"onnx:{path.name}", path
        self._session = open_onnx(path, threads)
        (first, *more) = self._session.get_inputs()
        shape = list(first.shape)
        self._last = len(shape) == 4 and shape[3] == 3
        if more or len(shape) != 4 or (shape[1] != 3 and not self._last):
            raise ValueError(
                f"{path}: its input is {shape}; allowed: one of [N, S, S, 3] or [N, 3, S, S]"
            )
        side = shape[1 if self._last else 2]
        self._input, self._side = first.name, side if isinstance(side, int) else 256

    def __call__(self, face: AlignedFace, truth: Bool | None, age_frames: int) -> Field:
        """See :class:`stream.competitors.Competitor`."""
        shape = (self._side, self._side)
        image = cv2.resize(face.image, shape, interpolation=cv2.INTER_AREA)
        if self._last:
            picture = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)[None]
        else:
            picture = image.transpose(2, 0, 1)[None]
        answer = self._session.run(None, {self._input: picture.astype(np.float32) / 255})[0]
        mask = np.squeeze(np.asarray(answer, np.float32))
        if mask.ndim != 2 or not np.isfinite(mask).all():
            raise ValueError(
                f"{self.path}: it answers {np.shape(answer)}, allowed: one finite (S, S) mask"
            )
        fine = cv2.resize(mask, (self.size, self.size), interpolation=cv2.INTER_LINEAR)
        return 1 - np.clip(fine, 0, 1).astype(np.float32)


def open_onnx(path: Path, threads: int = 1) -> Any:
    """A session of so many threads; 0 takes all."""
    try:
        import onnxruntime as ort  # noqa: PLC0415
    except ModuleNotFoundError:
        raise ModuleNotFoundError(
            f"{path}: onnxruntime is not installed; pip install onnxruntime"
        ) from None
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 4
    kinds = ort.capi.onnxruntime_pybind11_state
    try:
        return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except (kinds.InvalidProtobuf, kinds.InvalidGraph, kinds.Fail, kinds.InvalidArgument) as error:
        raise ValueError(f"{path}: no ONNX model: {str(error).splitlines()[0]}") from None
