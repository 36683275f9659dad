"""Screening by self-attention: starts as nothing, never looks at padding, is of the paper's size."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional as F

from s3pot.adapter import HEADS, Adapter, load_adapter
from s3pot.weights import WeightsError


def awake(width: int = 16) -> Adapter:
    torch.manual_seed(0)
    adapter = Adapter(width).eval()
    torch.nn.init.normal_(adapter.attention.out_proj.weight)
    torch.nn.init.normal_(adapter.attention.out_proj.bias)
    return adapter


def prompts(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1))


def test_it_has_as_many_parameters_as_the_papers() -> None:
    assert sum(p.numel() for p in Adapter(256).parameters()) == 263_680


def test_untrained_it_changes_nothing_and_can_learn() -> None:
    adapter, x = Adapter(16), prompts(2, 5, 16)
    padding = torch.zeros(2, 5, dtype=torch.bool)
    out = adapter(x, padding)
    torch.testing.assert_close(out, x, rtol=0, atol=0)
    torch.autograd.backward(out.square().sum())
    assert adapter.attention.out_proj.weight.grad.abs().sum() > 0  # type: ignore[union-attr]


def test_it_is_self_attention_written_out() -> None:
    adapter, x = awake(), prompts(1, 4, 16)
    y = F.layer_norm(x[0], (16,), adapter.norm.weight, adapter.norm.bias)
    attention = adapter.attention
    q, k, v = (y @ attention.in_proj_weight.T + attention.in_proj_bias).chunk(3, 1)
    heads = []
    for part in range(HEADS):
        cut = slice(4 * part, 4 * part + 4)
        weight = (q[:, cut] @ k[:, cut].T / 2.0).softmax(1)  # root of 4 channels a head
        heads.append(weight @ v[:, cut])
    expected = x[0] + torch.cat(heads, 1) @ attention.out_proj.weight.T + attention.out_proj.bias
    torch.testing.assert_close(adapter(x, torch.zeros(1, 4, dtype=torch.bool))[0], expected)


def test_padding_is_neither_seen_nor_changed() -> None:
    adapter, x = awake(), prompts(1, 6, 16)
    padding = torch.tensor([[False, False, False, True, False, True]])
    out = adapter(x, padding)
    alone = adapter(x[~padding][None], torch.zeros(1, 4, dtype=torch.bool))
    torch.testing.assert_close(out[~padding], alone[0])
    torch.testing.assert_close(out[padding], x[padding])
    assert not torch.allclose(out[~padding], x[~padding])


def test_a_picture_without_prompts_stays_finite() -> None:
    adapter, x = awake(), prompts(2, 3, 16)
    padding = torch.tensor([[True] * 3, [False, False, True]])
    out = adapter(x, padding)
    assert out.isfinite().all()
    torch.testing.assert_close(out[0], x[0])
    assert adapter(prompts(2, 0, 16), padding[:, :0]).shape == (2, 0, 16)


@pytest.mark.parametrize("width", [0, 18])
def test_a_width_that_heads_do_not_divide_is_refused(width: int) -> None:
    with pytest.raises(ValueError, match=f"multiple of 4, got {width}"):
        Adapter(width)


def test_it_is_read_back_from_its_file(tmp_path: Path) -> None:
    adapter, path = awake(), tmp_path / "adapter.safetensors"
    save_file(adapter.state_dict(), path)
    x, padding = prompts(2, 5, 16), torch.zeros(2, 5, dtype=torch.bool)
    torch.testing.assert_close(load_adapter(path, 16)(x, padding), adapter(x, padding))


def test_files_that_are_no_adapter_of_this_sam_are_named(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    with pytest.raises(FileNotFoundError, match=r"a\.safetensors: no such adapter"):
        load_adapter(path, 16)
    path.write_bytes(b"nonsense")
    with pytest.raises(WeightsError, match=r"a\.safetensors: no weights of an adapter"):
        load_adapter(path, 16)
    save_file(Adapter(32).state_dict(), path)
    with pytest.raises(WeightsError, match="of width 32; this SAM's prompts are 16 wide"):
        load_adapter(path, 16)
    save_file({"x": torch.zeros(1)}, path)
    with pytest.raises(WeightsError, match="something else"):
        load_adapter(path, 16)
