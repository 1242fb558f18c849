"""What values a tensor takes, as a histogram of magnitudes, and where to clip it before it becomes int8."""

from __future__ import annotations

from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

Method = Literal["minmax", "percentile", "mse"]
METHODS: tuple[Method, ...] = get_args(Method)
"""minmax: the largest magnitude seen. percentile: that which PERCENTILE of the values stay below. mse: the one with the
least mean squared error of quantisation."""

BINS = 2048
PERCENTILE = 0.9999
LEVELS = 127
"""Symmetric int8: -127 … 127."""
CANDIDATES = 128
"""Clipping points that `mse` tries: evenly spaced fractions of the largest magnitude."""


class Range:
    """Magnitudes seen so far. The histogram reaches to a power of two, so that growing it merges whole bins."""

    def __init__(self) -> None:
        self.largest = 0.0
        self.counts = np.zeros(BINS, np.int64)
        self.top = 0.0

    def add(self, array: NDArray[Any]) -> None:
        """Zeros do not count: quantisation keeps them exactly. The array is finite."""
        magnitudes = np.abs(array.astype(np.float32, copy=False)).reshape(-1)
        largest = float(magnitudes.max(initial=0.0))
        if largest == 0:
            return
        self.largest = max(self.largest, largest)
        self._reach(largest)
        scaled = magnitudes * np.float32(BINS / self.top)
        places = np.minimum(scaled, np.float32(BINS - 1)).astype(np.int32)
        self.counts += np.bincount(places[magnitudes > 0], minlength=BINS)

    def _reach(self, largest: float) -> None:
        if self.top == 0:
            self.top = float(2.0 ** np.ceil(np.log2(largest)))
        while self.top < largest:
            merged = self.counts.reshape(-1, 2).sum(axis=1)
            self.counts = np.concatenate([merged, np.zeros(BINS // 2, np.int64)])
            self.top *= 2

    def clip(self, method: Method) -> float:
        """The magnitude that becomes 127; 0 if nothing but zeros was seen."""
        if method == "minmax" or self.largest == 0:
            return self.largest
        return self._percentile() if method == "percentile" else self._least_error()

    def scale(self, method: Method) -> np.float32:
        """The step of quantisation: 1 for a tensor of zeros, never below the smallest normal f32."""
        clip = self.clip(method)
        if clip == 0:
            return np.float32(1)
        return max(np.float32(clip / LEVELS), np.finfo(np.float32).tiny)

    def _percentile(self) -> float:
        below = np.cumsum(self.counts) / self.counts.sum()
        place = int(np.searchsorted(below, PERCENTILE))
        return min(self.largest, (place + 1) * self.top / BINS)

    def _least_error(self) -> float:
        """Inside the clipping point c an error is even in ±c/254: c²/(127²·12) on average; beyond it the value is c."""
        centres = (np.arange(BINS) + 0.5) * (self.top / BINS)
        clips = self.largest * np.arange(1, CANDIDATES + 1) / CANDIDATES
        beyond = np.maximum(centres[None, :] - clips[:, None], 0)
        inside = centres[None, :] <= clips[:, None]
        step = (clips / LEVELS)[:, None]
        errors = (self.counts * np.where(inside, step**2 / 12, beyond**2)).sum(axis=1)
        return float(clips[int(np.argmin(errors))])
