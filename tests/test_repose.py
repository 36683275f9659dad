"""The mesh warp: exact where it can be, empty where it must be."""

from __future__ import annotations

import numpy as np
import pytest

from s3pot.repose import mesh_map, sample
from trackers.mesh import mean_face

SIZE = 96
TRIANGLES = mean_face().triangles
POINTS = mean_face().points_px(SIZE)


def ramp() -> np.ndarray:
    """A picture whose colour says where it is: red = x, green = y."""
    ys, xs = np.mgrid[:SIZE, :SIZE]
    return np.dstack([xs, ys, np.zeros_like(xs)]).astype(np.float32)


def test_the_same_pose_gives_each_pixel_its_own_place() -> None:
    maps, facing = mesh_map(POINTS, POINTS, TRIANGLES, SIZE)
    on = facing > 0
    ys, xs = np.nonzero(on)
    assert on.sum() > 0.3 * SIZE * SIZE
    np.testing.assert_allclose(maps[on], np.stack([xs, ys], 1), atol=1e-3)
    np.testing.assert_allclose(facing[on], 1, atol=1e-3)


@pytest.mark.parametrize(
    ("dx", "dy", "scale"), [(5.0, -3.0, 1.0), (0.0, 0.0, 0.8), (2.5, 1.5, 0.9)]
)
def test_a_moved_mesh_takes_its_pixels_along(dx: float, dy: float, scale: float) -> None:
    center = (SIZE - 1) / 2
    target = ((POINTS - center) * scale + center + [dx, dy]).astype(np.float32)
    maps, facing = mesh_map(target, POINTS, TRIANGLES, SIZE)
    warped = sample(ramp(), maps)
    ys, xs = np.nonzero(facing > 0)
    np.testing.assert_allclose(warped[ys, xs, 0], (xs - center - dx) / scale + center, atol=0.05)
    np.testing.assert_allclose(warped[ys, xs, 1], (ys - center - dy) / scale + center, atol=0.05)
    assert facing[ys, xs].mean() == pytest.approx(scale**2, abs=0.02)


def test_off_the_mesh_there_is_nothing() -> None:
    maps, facing = mesh_map(POINTS, POINTS, TRIANGLES, SIZE)
    assert facing[0, 0] == 0
    assert tuple(maps[0, 0]) == (-1, -1)


def test_a_mesh_seen_from_behind_is_not_drawn() -> None:
    mirrored = POINTS.copy()
    mirrored[:, 0] = SIZE - 1 - mirrored[:, 0]
    _, facing = mesh_map(mirrored, POINTS, TRIANGLES, SIZE)
    assert not facing.any()


def test_a_source_seen_from_behind_is_known_as_smeared() -> None:
    mirrored = POINTS.copy()
    mirrored[:, 0] = SIZE - 1 - mirrored[:, 0]
    _, facing = mesh_map(POINTS, mirrored, TRIANGLES, SIZE)
    assert not facing.any()


def test_the_nearer_triangle_hides_the_farther() -> None:
    points = np.array(
        [[10, 10, 5], [50, 10, 5], [10, 50, 5], [10, 10, 1], [50, 10, 1], [10, 50, 1]], np.float32
    )
    source = points[:, :2].copy()
    source[3:] += 30
    triangles = np.array([[0, 1, 2], [3, 4, 5]], np.int16)
    for order in (triangles, triangles[::-1]):
        maps, _ = mesh_map(points, source, np.ascontiguousarray(order), 64)
        np.testing.assert_allclose(maps[20, 20], [50, 50], atol=1e-3)
