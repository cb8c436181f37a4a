"""From logits to the next token: repetition penalty, temperature, top k, top p, one draw per row."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Sampling:
    """Upstream's defaults. Temperature 0: the likeliest token, no noise."""

    temperature: float = 0.75
    top_k: int = 50
    top_p: float = 0.85
    repetition_penalty: float = 10.0


GREEDY = Sampling(temperature=0.0)


def pick(logits: Tensor, seen: Tensor, noise: Tensor, how: Sampling) -> Tensor:
    """A token [rows] for each row of `logits` [rows, tokens], in fp32.

    `seen` [rows, tokens] are to be penalised; `noise` [rows, tokens] is exponential. Rows are independent.
    """
    penalty = how.repetition_penalty
    logits = torch.where(seen, torch.where(logits < 0, logits * penalty, logits / penalty), logits)
    if not how.temperature:
        return logits.argmax(-1)
    best, tokens = (logits / how.temperature).topk(min(how.top_k, logits.shape[-1]))
    shares = best.softmax(-1)
    above = shares.cumsum(-1) - shares
    shares = shares.masked_fill(above >= how.top_p, 0.0)
    drawn = (shares / noise.gather(-1, tokens)).argmax(-1, keepdim=True)  # the exponential race
    return tokens.gather(-1, drawn).squeeze(-1)


def noise_of(seed: int, steps: int, tokens: int, device: torch.device) -> Tensor:
    """A row's noise [steps, tokens]: it depends only on the seed, not on the batch."""
    source = torch.Generator(device).manual_seed(seed)
    return torch.empty(steps, tokens, device=device).exponential_(generator=source)
