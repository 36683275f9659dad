"""Tiny random diffusers pipelines, saved to a folder: the real classes, no weights from anywhere."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

SIDE_PX = 32


def _unet(channels: int = 3) -> Any:
    from diffusers import UNet2DModel

    return UNet2DModel(
        sample_size=SIDE_PX, in_channels=channels, out_channels=channels, layers_per_block=1,
        block_out_channels=(8, 16), norm_num_groups=4, down_block_types=("DownBlock2D",) * 2,
        up_block_types=("UpBlock2D",) * 2, add_attention=False,
    )  # fmt: skip


def write_repaint(folder: Path) -> Path:
    """RePaint (Lugmayr et al. 2022): inpainting by a plain picture model, no text."""
    from diffusers import RePaintPipeline, RePaintScheduler

    torch.manual_seed(0)
    RePaintPipeline(_unet(), RePaintScheduler()).save_pretrained(folder)
    return folder


def write_ddpm(folder: Path) -> Path:
    """A pipeline that paints from nothing: it does not inpaint."""
    from diffusers import DDPMPipeline, DDPMScheduler

    DDPMPipeline(_unet(), DDPMScheduler()).save_pretrained(folder)
    return folder


def write_stable_diffusion(folder: Path) -> Path:
    """Stable Diffusion's text-to-image pipeline in miniature; needs transformers."""
    from diffusers import (
        AutoencoderKL,
        DDIMScheduler,
        StableDiffusionPipeline,
        UNet2DConditionModel,
    )
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

    torch.manual_seed(0)
    words = folder.parent / "words"
    words.mkdir()
    letters = [chr(i) for i in range(33, 127)]
    vocabulary = [*letters, *(f"{c}</w>" for c in letters), "<|startoftext|>", "<|endoftext|>"]
    (words / "vocab.json").write_text(json.dumps({w: i for i, w in enumerate(vocabulary)}))
    (words / "merges.txt").write_text("#version: 0.2\n")
    ends = {"bos_token_id": len(vocabulary) - 2, "eos_token_id": len(vocabulary) - 1}
    text = CLIPTextConfig(
        vocab_size=len(vocabulary), hidden_size=16, intermediate_size=16, num_hidden_layers=1,
        num_attention_heads=2, max_position_embeddings=77, pad_token_id=1, **ends,
    )  # fmt: skip
    unet = UNet2DConditionModel(
        sample_size=SIDE_PX, in_channels=4, out_channels=4, layers_per_block=1,
        block_out_channels=(8, 16), norm_num_groups=4, cross_attention_dim=16, attention_head_dim=4,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
    )  # fmt: skip
    vae = AutoencoderKL(
        block_out_channels=(8, 8), norm_num_groups=4, latent_channels=4, sample_size=SIDE_PX,
        down_block_types=("DownEncoderBlock2D",) * 2, up_block_types=("UpDecoderBlock2D",) * 2,
    )  # fmt: skip
    tokenizer = CLIPTokenizer.from_pretrained(words, model_max_length=77)
    StableDiffusionPipeline(
        vae=vae, text_encoder=CLIPTextModel(text), tokenizer=tokenizer,
        unet=unet, scheduler=DDIMScheduler(), safety_checker=None, feature_extractor=None,
        requires_safety_checker=False,
    ).save_pretrained(folder)  # fmt: skip
    return folder


def write_controlnet(folder: Path) -> Path:
    """A ControlNet for the pipeline above, its last layers shaken so that it says something."""
    from diffusers import ControlNetModel

    torch.manual_seed(1)
    net = ControlNetModel(
        in_channels=4, layers_per_block=1, block_out_channels=(8, 16), norm_num_groups=4,
        cross_attention_dim=16, attention_head_dim=4, conditioning_embedding_out_channels=(4, 8),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
    )  # fmt: skip
    for parameter in net.parameters():
        if not parameter.any():  # a fresh ControlNet's zero convolutions
            torch.nn.init.normal_(parameter, std=1.0)
    net.save_pretrained(folder)
    return folder
