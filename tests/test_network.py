"""The embedded network: shapes, what it may look at, and folding."""

from __future__ import annotations

import torch

from s3pot.model import fold_norms
from s3pot.network import GRID, TOKEN_WIDTH, FaceNet


def random_net() -> FaceNet:
    torch.manual_seed(0)
    net = FaceNet().train()
    for _ in range(3):  # batch norms with statistics of their own
        net(*(torch.rand(2, c, 192, 192) for c in (3, 3, 1)))
    return net.eval()


def test_shapes() -> None:
    with torch.inference_mode():
        evidence = random_net()(*(torch.rand(2, c, 192, 192) for c in (3, 3, 1)))
    assert evidence.logits.shape == (2, 1, 192, 192)
    assert evidence.tokens.shape == (2, TOKEN_WIDTH, GRID, GRID)
    assert evidence.coarse.shape == (2, 1, GRID, GRID)


def test_an_unknown_reference_is_not_looked_at() -> None:
    net, raw, unknown = random_net(), torch.rand(1, 3, 192, 192), torch.zeros(1, 1, 192, 192)
    with torch.inference_mode():
        a = net(raw, torch.rand(1, 3, 192, 192), unknown).logits
        b = net(raw, torch.zeros(1, 3, 192, 192), unknown).logits
        c = net(raw, torch.zeros(1, 3, 192, 192), unknown + 1).logits
    torch.testing.assert_close(a, b)
    assert not torch.allclose(a, c)


def test_folding_the_norms_changes_nothing() -> None:
    net = random_net()
    inputs = [torch.rand(1, c, 192, 192) for c in (3, 3, 1)]
    with torch.inference_mode():
        before = net(*inputs).logits
        fold_norms(net)
        torch.testing.assert_close(net(*inputs).logits, before, rtol=1e-3, atol=1e-3)
    assert not any(
        isinstance(m, torch.nn.BatchNorm2d) and "contrast" in n for n, m in net.named_modules()
    )
