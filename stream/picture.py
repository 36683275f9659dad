"""Between a decoder's picture and the upright RGB array the method works on: colour, orientation.

Only 8-bit standard dynamic range is handled. What has more is refused, because an array of uint8
would flatten it. The conversion is told matrix and range both ways, so that a picture that nobody
touches comes back as it was (luma exact but for rounding, chroma within its subsampling).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import cast

import av
import numpy as np
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc, Interpolation
from numpy.typing import NDArray

from stream.errors import PixelFormatError

# Plain bilinear scales luma through a truncated matrix (mean error 1.1 of 255); this keeps 0.01.
_EXACT = Interpolation.BICUBIC | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT
_HDR_TRANSFERS = {ColorTrc.SMPTE2084: "PQ (smpte2084)", ColorTrc.ARIB_STD_B67: "HLG (arib-std-b67)"}
_UNSPECIFIED = 2  # AVCOL_SPC_, AVCOL_PRI_ and AVCOL_TRC_UNSPECIFIED
_SWS_MATRIX = {  # AVColorSpace -> the name that swscale has for its coefficients
    1: Colorspace.ITU709, 4: Colorspace.FCC, 5: Colorspace.ITU601, 6: Colorspace.ITU601,
    7: Colorspace.SMPTE240M, 9: Colorspace.BT2020,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Colour:
    """How numbers become light; H.273 code points as FFmpeg writes them.

    Attributes:
        matrix, primaries, transfer: the tags, kept as found (2 = not said).
        full_range: luma is 0-255 (True) or 16-235 (False).
        range_tag: 0 not said, 1 limited, 2 full: the tag, kept as found.
    """

    matrix: int
    primaries: int
    transfer: int
    full_range: bool
    range_tag: int

    def coefficients(self, height: int, width: int) -> Colorspace:
        """The matrix to compute with: the tag, or what players assume where there is none."""
        if self.matrix in _SWS_MATRIX:
            return _SWS_MATRIX[self.matrix]
        return Colorspace.ITU709 if width >= 1280 or height > 576 else Colorspace.ITU601


def colour_of(picture: av.VideoFrame, name: str) -> Colour:
    """Read a decoded picture's colour and refuse what 8-bit arrays cannot hold.

    Raises:
        PixelFormatError: more than 8 bits, HDR, or a matrix that is not linear in YCbCr.
    """
    form = picture.format
    bits = max((part.bits for part in form.components), default=8)
    if bits > 8:
        raise PixelFormatError(
            f"{name}: the pictures are {bits}-bit ({form.name}); only 8-bit video is handled, and "
            "it is not flattened silently. Convert it first, e.g. ffmpeg -pix_fmt yuv420p"
        )
    if picture.color_trc in _HDR_TRANSFERS:
        raise PixelFormatError(
            f"{name}: the pictures are HDR, {_HDR_TRANSFERS[ColorTrc(picture.color_trc)]} in "
            f"{form.name}; only standard dynamic range is handled. Tone-map it first"
        )
    matrix, tag = int(picture.colorspace), int(picture.color_range)
    if form.is_rgb or form.has_palette:
        return _colour_of_rgb(picture)
    if matrix not in _SWS_MATRIX and matrix not in (_UNSPECIFIED, 3):  # 3 = reserved: nothing said
        raise PixelFormatError(f"{name}: colour matrix {matrix} of H.273 ({form.name}) not handled")
    grey = form.name.startswith("gray")
    full = tag == ColorRange.JPEG or form.name.startswith("yuvj") or (grey and tag == 0)
    return Colour(
        matrix, int(picture.color_primaries), int(picture.color_trc), full, 2 * full or tag
    )


def _colour_of_rgb(picture: av.VideoFrame) -> Colour:
    """RGB has no matrix; it is written as BT.709, limited range, the safest to play."""
    primaries, transfer = int(picture.color_primaries), int(picture.color_trc)
    if primaries == _UNSPECIFIED:
        primaries = int(ColorPrimaries.BT709)
    if transfer == _UNSPECIFIED:
        transfer = int(ColorTrc.BT709)
    return Colour(1, primaries, transfer, full_range=False, range_tag=int(ColorRange.MPEG))


def to_rgb(picture: av.VideoFrame, colour: Colour, height: int, width: int) -> NDArray[np.uint8]:
    """(height, width, 3) uint8 RGB of a decoded picture, not yet upright; alpha shown on black."""
    matrix = colour.coefficients(picture.height, picture.width)
    seen = ColorRange.JPEG if colour.full_range else ColorRange.MPEG
    rgb_in = picture.format.is_rgb or picture.format.has_palette
    clear = any(part.is_alpha for part in picture.format.components)
    image = picture.reformat(
        width, height, "rgba" if clear else "rgb24", matrix, matrix, _EXACT,
        ColorRange.JPEG if rgb_in else seen, ColorRange.JPEG,
    ).to_ndarray()  # fmt: skip
    if not clear:
        return image.astype(np.uint8, copy=False)
    weight = image[..., 3:].astype(np.uint16)
    return ((image[..., :3] * weight + 127) // 255).astype(np.uint8)


def from_rgb(image: NDArray[np.uint8], colour: Colour, pix_fmt: str) -> av.VideoFrame:
    """The picture an encoder takes, from (H, W, 3) uint8 RGB; tagged with ``colour``."""
    height, width = image.shape[:2]
    matrix = colour.coefficients(height, width)
    picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24").reformat(
        width, height, pix_fmt, matrix, matrix, _EXACT, ColorRange.JPEG,
        ColorRange.JPEG if colour.full_range else ColorRange.MPEG,
    )  # fmt: skip
    picture.colorspace, picture.color_range = colour.matrix, colour.range_tag
    picture.color_primaries, picture.color_trc = colour.primaries, colour.transfer
    return picture


@dataclass(frozen=True, slots=True)
class Orientation:
    """How a stored picture is turned to be upright: axes swapped first, then mirrored.

    Attributes:
        swap: rows become columns.
        mirror_x, mirror_y: then left-right, top-bottom.
    """

    swap: bool = False
    mirror_x: bool = False
    mirror_y: bool = False

    @property
    def rotation_degrees(self) -> int:
        """Clockwise turn, 0 90 180 270 (of the turn-then-mirror reading when mirrored)."""
        if self.swap:
            return 90 if self.mirror_x else 270
        return 180 if self.mirror_y else 0

    def upright(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """(H, W, 3) stored -> (H, W, 3) or (W, H, 3) upright, contiguous."""
        turned = image.transpose(1, 0, 2) if self.swap else image
        rows, columns = -1 if self.mirror_y else 1, -1 if self.mirror_x else 1
        return np.ascontiguousarray(turned[::rows, ::columns])

    def aspect(self, ratio: Fraction | None) -> Fraction | None:
        """Sample aspect ratio (width over height of a pixel) after the turn."""
        return 1 / ratio if self.swap and ratio else ratio


def orientation_of(picture: av.VideoFrame) -> tuple[Orientation, str | None]:
    """Read the display matrix (FFmpeg's ``libavutil/display.h``).

    Convention: nine int32 ``a b u c d v x y w``; a stored pixel (column p, row q) is shown at
    column ``a p + c q + x``, row ``b p + d q + y``.

    Returns:
        The orientation, and a note if the matrix is no right angle and was left alone.
    """
    side_data = cast("Mapping[str, bytes]", picture.side_data)  # PyAV's stub knows one key only
    if side_data.get("DISPLAYMATRIX") is None:
        return Orientation(), None
    matrix = np.frombuffer(bytes(side_data["DISPLAYMATRIX"]), np.int32)[:9].astype(float)
    a, b, _, c, d = matrix[:5]
    straight, crossed = min(abs(a), abs(d)), min(abs(b), abs(c))
    if min(straight, crossed) > 0.02 * max(straight, crossed):
        degrees = np.degrees(np.arctan2(b, a))
        return Orientation(), f"a rotation of {degrees:.0f} degrees was not applied: no right angle"
    if crossed > straight:
        return Orientation(True, bool(c < 0), bool(b < 0)), None
    return Orientation(False, bool(a < 0), bool(d < 0)), None
