"""Re-posing: carry pixels from one mesh to another by a piecewise-affine warp.

Convention: points are (x, y), pixel centres lie at integers; a map holds, for each pixel of the
*target*, the (x, y) of the *source* to sample, as ``cv2.remap`` takes it, and -1 where no triangle
falls.  Trials on real frames found this warp worth more than anything else in the evidence.
"""

from __future__ import annotations

from typing import overload

import cv2
import numba
import numpy as np
from numpy.typing import NDArray


@numba.njit(cache=True)
def _rasterize(  # type: ignore[no-untyped-def]  # noqa: PLR0917  numba wants neither types nor keywords
    points, depth, source, triangles, size, maps, facing, nearest
):
    for t in range(triangles.shape[0]):
        a, b, c = triangles[t, 0], triangles[t, 1], triangles[t, 2]
        ax, ay, bx, by = points[a, 0], points[a, 1], points[b, 0], points[b, 1]
        cx, cy = points[c, 0], points[c, 1]
        area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        if area <= 1e-6:  # seen from behind
            continue
        source_area = (source[b, 0] - source[a, 0]) * (source[c, 1] - source[a, 1]) - (
            source[b, 1] - source[a, 1]
        ) * (source[c, 0] - source[a, 0])
        ratio = min(area / source_area, source_area / area) if source_area > 1e-6 else 0.0
        y0, y1 = max(0, int(np.ceil(min(ay, by, cy)))), min(size - 1, int(max(ay, by, cy)))
        x0, x1 = max(0, int(np.ceil(min(ax, bx, cx)))), min(size - 1, int(max(ax, bx, cx)))
        for y in range(y0, y1 + 1):
            for x in range(x0, x1 + 1):
                wb = ((x - ax) * (cy - ay) - (y - ay) * (cx - ax)) / area
                wc = ((bx - ax) * (y - ay) - (by - ay) * (x - ax)) / area
                wa = 1.0 - wb - wc
                if wa < -1e-4 or wb < -1e-4 or wc < -1e-4:
                    continue
                z = wa * depth[a] + wb * depth[b] + wc * depth[c]
                if z < nearest[y, x]:
                    nearest[y, x] = z
                    facing[y, x] = ratio
                    maps[y, x, 0] = wa * source[a, 0] + wb * source[b, 0] + wc * source[c, 0]
                    maps[y, x, 1] = wa * source[a, 1] + wb * source[b, 1] + wc * source[c, 1]


def mesh_map(
    target: NDArray[np.float32],
    source: NDArray[np.float32],
    triangles: NDArray[np.int16],
    size: int,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The map that draws the source's mesh in the target's pose.

    Args:
        target: (N, 2 or 3) float32 px; where z is given the nearer triangle hides the farther.
        source: (N, 2 or 3) float32 px.
        triangles: (T, 3), positive area when seen from the front (x right, y down).
        size: side of the target square in px.

    Returns:
        (size, size, 2) float32 map, -1 off the mesh; and (size, size) float32 ``facing``: 0 off the
        mesh, else how alike in area the triangle is in both, 1 = same, near 0 = smeared.
    """
    maps = np.full((size, size, 2), -1, np.float32)
    facing = np.zeros((size, size), np.float32)
    nearest = np.full((size, size), np.inf, np.float32)
    depth = target[:, 2] if target.shape[1] > 2 else np.zeros(len(target), np.float32)
    _rasterize(
        np.ascontiguousarray(target[:, :2], np.float32), np.ascontiguousarray(depth, np.float32),
        np.ascontiguousarray(source[:, :2], np.float32), triangles, size, maps, facing, nearest,
    )  # fmt: skip
    return maps, facing


@overload
def sample(image: NDArray[np.uint8], maps: NDArray[np.float32]) -> NDArray[np.uint8]: ...
@overload
def sample(image: NDArray[np.float32], maps: NDArray[np.float32]) -> NDArray[np.float32]: ...
def sample(
    image: NDArray[np.uint8] | NDArray[np.float32], maps: NDArray[np.float32]
) -> NDArray[np.uint8] | NDArray[np.float32]:
    """Bilinear samples of (H, W[, C]) at a (S, S, 2) map; 0 where the map leaves the picture."""
    return cv2.remap(image, maps, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
