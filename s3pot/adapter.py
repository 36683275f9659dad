"""PS: screening of the prompts by self-attention, the only part the method trains (method.md 3.4)."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from s3pot.weights import WeightsError, catalogue, fill

HEADS = 4


class Adapter(nn.Module):
    """One layer of multi-head self-attention over the embedded prompts of a picture.

    No prompt is removed: each looks at all others and is moved.  As published: d = C of the SAM,
    4 heads, no feed-forward part, no positions (the embeddings hold them); 263,680 parameters at
    d = 256.  Mended: the norm comes first, the output starts at 0, so that an untrained adapter
    changes nothing, and padding is not attended to.

    Args:
        width: C, channels of an embedded prompt; a multiple of 4.

    Raises:
        ValueError: the width is no multiple of the number of heads.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        if width < HEADS or width % HEADS:
            raise ValueError(f"the width of a prompt must be a multiple of {HEADS}, got {width}")
        self.norm = nn.LayerNorm(width)
        self.attention = nn.MultiheadAttention(width, HEADS, batch_first=True)
        nn.init.zeros_(self.attention.out_proj.weight)
        nn.init.zeros_(self.attention.out_proj.bias)

    def forward(self, sparse: Tensor, padding: Tensor) -> Tensor:
        """Screen prompts; a :data:`s3pot.sam.Screen`.

        Args:
            sparse: (B, N, C) embedded prompts.
            padding: (B, N) bool, True where there is no prompt; those stay as they are.
        """
        if sparse.shape[1] == 0:
            return sparse
        x = self.norm(sparse)
        # a picture with no prompt at all would attend to nothing, which is nan
        blind = padding & ~padding.all(1, keepdim=True)
        change, _ = self.attention(x, x, x, key_padding_mask=blind, need_weights=False)
        return torch.where(padding[..., None], sparse, sparse + change)


def load_adapter(path: Path, width: int) -> Adapter:
    """An adapter written by `s3pot train prompts` (``adapter.safetensors`` of its run).

    Args:
        path: the file.
        width: C of the SAM whose prompts it is to screen.

    Raises:
        FileNotFoundError: there is no such file.
        WeightsError: it cannot be read, or is of a SAM of another width.
    """
    from safetensors import SafetensorError  # noqa: PLC0415 - as in s3pot.weights
    from safetensors.torch import load_file  # noqa: PLC0415

    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such adapter; `s3pot train prompts` writes one")
    adapter = Adapter(width)
    try:
        tensors = load_file(path)
    except SafetensorError as error:
        raise WeightsError(f"{path}: no weights of an adapter: {error}") from None
    seen = tensors["norm.weight"].shape[0] if "norm.weight" in tensors else None
    if seen != width:
        of = f"a SAM of width {seen}" if seen else "something else"
        raise WeightsError(f"{path}: an adapter for {of}; this SAM's prompts are {width} wide")
    adapter.load_state_dict(tensors)
    return adapter.eval()


def find_adapter(path: str, folder: str, width: int) -> Adapter | None:
    """The adapter for a SAM of this width: the file, or else the one among the weights.

    Args:
        path: of ``adapter.safetensors``; empty looks for ``adapter-WIDTH`` in the catalogue.
        folder: of the weights; empty means those in the package.
        width: C of the SAM.

    Returns:
        None where there is neither: prompts then go unscreened.
    """
    if path:
        return load_adapter(Path(path), width)
    name = f"adapter-{width}"
    if name not in {file.name for file in catalogue(folder)}:
        return None
    adapter = Adapter(width)
    fill(adapter, name, folder)
    return adapter
