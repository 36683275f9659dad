"""The light that the regional generator is told of: the visible skin's colour, smooth over a face."""

from __future__ import annotations

import torch

from s3pot.reference import StructureBatch
from s3pot.regional import KNOTS, atlas_places, light_field

SIDE = 32


def everywhere() -> torch.Tensor:
    """(1, 2, SIDE, SIDE): the crop is the atlas."""
    line = (torch.arange(SIDE) + 0.5) / SIDE
    return torch.stack(torch.meshgrid(line, line, indexing="xy"))[None]


def test_one_colour_is_that_colour_everywhere() -> None:
    face = torch.tensor([0.2, 0.5, 0.8]).view(1, 3, 1, 1).expand(1, 3, SIDE, SIDE)
    light = light_field(face, torch.ones(1, 1, SIDE, SIDE), everywhere())
    torch.testing.assert_close(light[:, :3], face, rtol=0, atol=1e-4)
    torch.testing.assert_close(light[:, 3], torch.ones(1, SIDE, SIDE), rtol=0, atol=1e-4)


def test_light_from_one_side_stays_on_that_side() -> None:
    face = torch.zeros(1, 3, SIDE, SIDE)
    face[..., SIDE // 2 :] = 1
    light = light_field(face, torch.ones(1, 1, SIDE, SIDE), everywhere())[:, :3]
    assert light[..., 2].max() < 0.1
    assert light[..., -3].min() > 0.9


def test_what_is_hidden_takes_nothing_on_and_borrows_from_beside_it() -> None:
    face = torch.full((1, 3, SIDE, SIDE), 0.5)
    skin = torch.ones(1, 1, SIDE, SIDE)
    face[..., 12:20, 12:20], skin[..., 12:20, 12:20] = 1.0, 0.0
    light = light_field(face, skin, everywhere())
    torch.testing.assert_close(light[:, :3], torch.full_like(face, 0.5), rtol=0, atol=1e-4)
    assert light[0, 3, 16, 16] < 0.8
    assert light[0, 3, 1, 1] > 0.99


def test_nothing_seen_is_black_and_says_so() -> None:
    face = torch.rand(1, 3, SIDE, SIDE)
    light = light_field(face, torch.zeros(1, 1, SIDE, SIDE), everywhere())
    assert not light.any()


def test_off_the_mesh_there_is_no_light() -> None:
    places = everywhere()
    places[..., :8] = -1
    light = light_field(torch.ones(1, 3, SIDE, SIDE), torch.ones(1, 1, SIDE, SIDE), places)
    assert not light[..., :8].any()
    assert light[..., 8:].min() > 0


def test_places_on_the_atlas_are_shares_of_its_side() -> None:
    roll = torch.full((1, SIDE, SIDE, 2), -1.0)
    roll[0, :, :, 0], roll[0, :, :, 1] = torch.arange(SIDE), torch.arange(SIDE)[:, None]
    roll[0, 0, 0] = -1
    nothing = torch.zeros(1, SIDE, SIDE)
    structure = StructureBatch(nothing.long(), roll, roll)
    places = atlas_places(structure, SIDE)
    expected = everywhere()
    expected[:, :, 0, 0] = -1
    torch.testing.assert_close(places, expected)
    assert KNOTS > 1
