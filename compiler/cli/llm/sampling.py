"""The next token from logits: the likeliest, or one drawn by temperature from the likeliest few."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Sampling:
    """`temperature` 0 takes the likeliest. `top_k` 0 draws from all tokens."""

    temperature: float = 0.0
    top_k: int = 0

    def choose(self, logits: NDArray[np.float32], random: np.random.Generator) -> int:
        if not self.temperature:
            return int(logits.argmax())
        wide = logits.astype(np.float64) / self.temperature
        if 0 < self.top_k < len(wide):
            wide[wide < np.partition(wide, -self.top_k)[-self.top_k]] = -np.inf
        share = np.exp(wide - wide.max())
        return int(random.choice(len(share), p=share / share.sum()))
