"""The blocks of GPT-2 over a preallocated cache of keys and values: one pass, for a prefix or a step."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from workers.xtts.weights import Block, Gpt, Linear, Norm

Put = Callable[[Tensor, Tensor], None]  # (cache [rows, heads, slots, 64], new [rows, heads, tokens, 64])


def new_cache(gpt: Gpt, rows: int, slots: int) -> Tensor:
    """[layers, 2, rows, heads, slots, 64], zeros: masked values must still be finite."""
    shape = (len(gpt.blocks), 2, rows, gpt.heads, slots, gpt.width // gpt.heads)
    if gpt.device.type == "cpu" and gpt.dtype == torch.float32:
        import numpy

        return torch.from_numpy(numpy.zeros(shape, numpy.float32))  # pages are allocated when touched
    return torch.zeros(shape, device=gpt.device, dtype=gpt.dtype)


def forward(gpt: Gpt, x: Tensor, cache: Tensor, put: Put, mask: Tensor) -> Tensor:
    """Latents [rows, tokens, width] of the embeddings `x`, of the same shape.

    Each layer's new keys and values are `put` into its `cache` [2, rows, heads, slots, 64]; attention then
    covers its first slots, as many as `mask` [rows or 1, 1, tokens, slots] has.
    """
    rows, tokens, width = x.shape
    x = x.reshape(rows * tokens, width)
    for block, (keys, values) in zip(gpt.blocks, cache, strict=True):
        x = x + _attended(block, x, keys, values, put, mask)
        x = x + _mlp(block, x)
    return _norm(_norm(x, gpt.last), gpt.final).view(rows, tokens, width)


def logits(gpt: Gpt, latents: Tensor) -> Tensor:
    """[rows, audio tokens], in fp32."""
    return _linear(latents, gpt.head).float()


def _attended(block: Block, x: Tensor, keys: Tensor, values: Tensor, put: Put, mask: Tensor) -> Tensor:
    rows, heads, _, size = keys.shape
    qkv = _linear(_norm(x, block.before_attention), block.qkv)
    q, k, v = qkv.view(rows, -1, 3, heads, size).permute(2, 0, 3, 1, 4)
    put(keys, k)
    put(values, v)
    span = mask.shape[-1]
    out = F.scaled_dot_product_attention(q, keys[:, :, :span], values[:, :, :span], attn_mask=mask)
    return _linear(out.transpose(1, 2).reshape(x.shape), block.attended)


def _mlp(block: Block, x: Tensor) -> Tensor:
    wide = _linear(_norm(x, block.before_mlp), block.widen)
    return _linear(F.gelu(wide, approximate="tanh"), block.narrow)


def _norm(x: Tensor, norm: Norm) -> Tensor:
    return F.layer_norm(x, (x.shape[-1],), norm.weight, norm.bias, norm.eps)


def _linear(x: Tensor, linear: Linear) -> Tensor:
    return torch.addmm(linear.bias, x, linear.weight)
