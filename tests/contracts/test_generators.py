"""What every reference generator promises, for all that are registered."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from s3pot.labels import facial
from s3pot.reference import GeneratorOptions, ReferenceGenerator, builders
from tests.faces_without_shape import SIZE, astronaut, cheek, guides
from tests.tiny_pipelines import write_repaint

pytestmark = pytest.mark.filterwarnings(  # diffusers warns of its own ways
    "ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning"
)


@pytest.fixture(scope="module", params=sorted(set(builders) - {"none"}))
def generator(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> ReferenceGenerator:
    source = ""
    if request.param == "diffusers":
        source = str(write_repaint(tmp_path_factory.mktemp("pipe") / "repaint"))
    built: Any = builders[request.param](GeneratorOptions(source=source))
    return built.eval()


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@torch.inference_mode()
def painted(generator: ReferenceGenerator, raw: Tensor, hidden: Tensor) -> Tensor:
    return generator(raw, hidden, guides(len(raw)))


def test_none_is_none() -> None:
    assert builders["none"](GeneratorOptions()) is None


def test_a_face_comes_out(generator: ReferenceGenerator) -> None:
    raw, hidden = astronaut(), cheek()
    face = painted(generator, raw, hidden)
    assert face.shape == (1, 3, SIZE, SIZE)
    assert face.dtype == torch.float32
    assert face.isfinite().all()
    assert 0 <= face.min() <= face.max() <= 1


def test_what_is_hidden_is_painted(generator: ReferenceGenerator) -> None:
    raw, hidden = astronaut(), cheek()
    spot = hidden.expand_as(raw) > 0
    raw[spot] = 0
    assert painted(generator, raw, hidden)[spot].mean() > 0.1


def test_what_it_keeps(generator: ReferenceGenerator) -> None:
    """A generator that is not whole keeps all that is visible, a whole one all that is no face."""
    raw, hidden = astronaut(), cheek()
    face = painted(generator, raw, hidden)
    on_face = facial(guides().labels)[:, None].expand_as(raw)
    kept = ~on_face if generator.whole else hidden.expand_as(raw) == 0
    assert torch.equal(face[kept], raw[kept])
    if generator.whole:
        assert ((face - raw)[on_face].abs() > 0.004).float().mean() > 0.5


def test_nothing_hidden(generator: ReferenceGenerator) -> None:
    raw = astronaut()
    same = torch.equal(painted(generator, raw, torch.zeros_like(cheek())), raw)
    assert same is not generator.whole


def test_all_hidden(generator: ReferenceGenerator) -> None:
    raw = astronaut()
    assert painted(generator, raw, torch.ones_like(cheek())).isfinite().all()


def test_the_same_twice(generator: ReferenceGenerator) -> None:
    raw, hidden = astronaut(), cheek()
    first = painted(generator, raw, hidden)
    torch.manual_seed(123)
    assert torch.equal(first, painted(generator, raw, hidden))


def test_a_batch_is_its_faces(generator: ReferenceGenerator) -> None:
    raw = torch.cat([astronaut(), astronaut().flip(-1) * 0.7])
    hidden = torch.cat([cheek(), cheek().flip(-1)])
    both = painted(generator, raw, hidden)
    for i in range(2):
        alone = painted(generator, raw[i : i + 1], hidden[i : i + 1])
        torch.testing.assert_close(both[i : i + 1], alone, atol=2e-3, rtol=0)


def test_nothing_given_is_changed(generator: ReferenceGenerator) -> None:
    raw, hidden = astronaut(), cheek()
    painted(generator, raw, hidden)
    assert torch.equal(raw, astronaut())
    assert torch.equal(hidden, cheek())


def test_the_colour_of_what_hides_does_not_matter(generator: ReferenceGenerator) -> None:
    """Up to the occluder's rim, whose pixels mix with its neighbours when a picture shrinks."""
    raw, hidden = astronaut(), cheek()
    red, blue = raw.clone(), raw.clone()
    for picture, colour in ((red, 0), (blue, 2)):
        picture[:, :, 95:135, 55:85] = 0
        picture[:, colour, 95:135, 55:85] = 1
    one, other = painted(generator, red, hidden), painted(generator, blue, hidden)
    assert (one - other)[..., 97:133, 57:83].abs().max() < 0.12
