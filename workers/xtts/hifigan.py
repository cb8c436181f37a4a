"""The generator of sound: HiFi-GAN's forward, for rows of different lengths in one batch."""

import math
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

_SLOPE = 0.1


@dataclass(frozen=True, slots=True)
class Conv:
    """A convolution with its weight norm applied."""

    weight: Tensor
    bias: Tensor | None
    padding: int
    dilation: int = 1

    def __call__(self, x: Tensor) -> Tensor:
        return F.conv1d(x, self.weight, self.bias, padding=self.padding, dilation=self.dilation)

    @property
    def half(self) -> int:
        """The number of values on either side that one value depends on."""
        return self.dilation * (self.weight.shape[-1] - 1) // 2


@dataclass(frozen=True, slots=True)
class Stage:
    """One upsampling, the speaker's contribution to it, and the residual blocks, whose mean follows."""

    weight: Tensor
    bias: Tensor
    stride: int
    padding: int
    speaker: Conv
    blocks: tuple[tuple[tuple[Conv, Conv], ...], ...]


@dataclass(frozen=True, slots=True)
class Generator:
    """All layers, in order."""

    first: Conv
    speaker: Conv
    stages: tuple[Stage, ...]
    last: Conv


def generator_of(net: Any, *, device: torch.device) -> Generator:
    """The generator of upstream's module, in fp32 on `device`; the module stays as it is."""

    def at(tensor: Tensor | None) -> Any:
        return None if tensor is None else tensor.detach().to(device=device, dtype=torch.float32)

    def conv(module: Any) -> Conv:
        return Conv(at(module.weight), at(module.bias), module.padding[0], module.dilation[0])

    def stage(n: int) -> Stage:
        up = net.ups[n]
        blocks = net.resblocks[n * net.num_kernels : (n + 1) * net.num_kernels]
        pairs = tuple(
            tuple((conv(a), conv(b)) for a, b in zip(block.convs1, block.convs2, strict=True))
            for block in blocks
        )
        return Stage(at(up.weight), at(up.bias), up.stride[0], up.padding[0], conv(net.conds[n]), pairs)

    stages = tuple(stage(n) for n in range(net.num_upsamples))
    return Generator(conv(net.conv_pre), conv(net.cond_layer), stages, conv(net.conv_post))


def forward(net: Generator, x: Tensor, embedding: Tensor, ends: Tensor | None = None) -> Tensor:
    """Samples [rows, frames * 256] of frames [rows, width, frames].

    `ends` [rows]: the number of frames after which a row is over; its output then equals that of the row
    alone.
    """
    x = _until(ends, net.first(x) + net.speaker(embedding))
    for stage in net.stages:
        ends = None if ends is None else ends * stage.stride
        x = F.leaky_relu(x, _SLOPE)
        x = F.conv_transpose1d(x, stage.weight, stage.bias, stage.stride, stage.padding)
        x = _until(ends, x + stage.speaker(embedding))
        total = _residual(stage.blocks[0], x, ends)
        for pairs in stage.blocks[1:]:
            total += _residual(pairs, x, ends)
        x = total / len(stage.blocks)
    return torch.tanh(net.last(F.leaky_relu(x)))[:, 0]


def reach(net: Generator) -> int:
    """The maximum distance, in frames, at which a frame still affects a sample."""
    frames, samples = float(net.first.half), 1
    for stage in net.stages:
        frames += math.ceil(stage.weight.shape[-1] / stage.stride) / samples
        samples *= stage.stride
        frames += max(sum(a.half + b.half for a, b in pairs) for pairs in stage.blocks) / samples
    return math.ceil(frames + net.last.half / samples)


def _residual(pairs: tuple[tuple[Conv, Conv], ...], x: Tensor, ends: Tensor | None) -> Tensor:
    for first, second in pairs:
        inner = _until(ends, first(F.leaky_relu(x, _SLOPE)))
        x = _until(ends, second(F.leaky_relu(inner, _SLOPE)) + x)
    return x


def _until(ends: Tensor | None, x: Tensor) -> Tensor:
    """Zero past each row's end, as a convolution's padding is."""
    if ends is None:
        return x
    return x * (torch.arange(x.shape[-1], device=x.device) < ends[:, None])[:, None]
