"""What else could be done to every frame, for ``s3pot bench speed``: random weights do for time."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor, nn

from s3pot.decoder import segment_anything
from stream.outsiders import OnnxOccluder

XSEG_SIDE_PX = 256
XSEG_WIDTHS = ((32, 2), (64, 2), (128, 2), (256, 3), (256, 3), (256, 3))
"""Channels and convolutions of each step down, as XSeg of DeepFaceLab has them."""

DENSE = 512


class XSegSize(nn.Module):
    """A U-Net of XSeg's depth, widths and dense middle, with random weights: 17 M parameters.

    Norm and activation are plain ReLU, which favours it: XSeg's own (FRN, TLU) cost more.
    """

    def __init__(self) -> None:
        super().__init__()
        channels = 3
        self.down, self.rise, self.up = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        for width, count in XSEG_WIDTHS:
            self.down.append(convolutions(channels, width, count))
            channels = width
        side = XSEG_SIDE_PX >> len(XSEG_WIDTHS)
        flat = channels * side * side
        self.middle = nn.Sequential(
            nn.Flatten(), nn.Linear(flat, DENSE), nn.Linear(DENSE, flat),
            nn.Unflatten(1, (channels, side, side)),
        )  # fmt: skip
        for width, count in reversed(XSEG_WIDTHS):
            self.rise.append(
                nn.ConvTranspose2d(channels, width // 2, 3, 2, padding=1, output_padding=1)
            )
            self.up.append(convolutions(width + width // 2, width, count))
            channels = width
        self.last = nn.Conv2d(channels, 1, 3, padding=1)

    def forward(self, picture: Tensor) -> Tensor:
        """(1, 3, 256, 256) float 0-1 -> (1, 1, 256, 256), 0-1."""
        kept: list[Tensor] = []
        for step in self.down:
            kept.append(step(picture))
            picture = nn.functional.avg_pool2d(kept[-1], 2)
        picture = self.middle(picture)
        for rise, convolve in zip(self.rise, self.up, strict=True):
            picture = convolve(torch.cat([torch.relu(rise(picture)), kept.pop()], 1))
        return torch.sigmoid(self.last(picture))


def convolutions(channels: int, width: int, count: int) -> nn.Sequential:
    """So many convolutions of 3 x 3, each with its ReLU."""
    layers: list[nn.Module] = []
    for k in range(count):
        layers += [nn.Conv2d(width if k else channels, width, 3, padding=1), nn.ReLU()]
    return nn.Sequential(*layers)


def xseg_size(size: int) -> OnnxOccluder:
    """The U-Net in ONNX Runtime on all threads, as a competitor for crops of ``size`` px.

    Raises:
        ModuleNotFoundError: the extra "onnx" is not installed.
    """
    import onnx  # noqa: F401, PLC0415  what torch's exporter needs, told before it begins

    with TemporaryDirectory(prefix="s3pot-xseg-") as folder:
        path = Path(folder) / "xseg-size.onnx"
        torch.manual_seed(0)
        picture = torch.zeros(1, 3, XSEG_SIDE_PX, XSEG_SIDE_PX)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of torch, that there is another exporter
            torch.onnx.export(XSegSize().eval(), (picture,), str(path), dynamo=False)
        judge = OnnxOccluder(path, size, threads=0)
    judge.name = "xseg-size"
    return judge


def random_sam(folder: Path) -> Sequence[str]:
    """Overrides for config "paper-sam" with an official vit_b whose weights are random.

    Args:
        folder: where its checkpoint is written, 375 MB.
    """
    torch.manual_seed(0)
    sam: Any = segment_anything("build_sam").sam_model_registry["vit_b"]()
    path = folder / "random_vit_b.pth"
    torch.save(sam.state_dict(), path)
    return (f'model.checkpoint="{path}"',)
