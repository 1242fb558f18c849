"""What theory says a decoder does with words of exactly k wrong bits: the share of patterns that it takes for something else.

A pattern of k bits is decoded by its syndrome, the sum of its bits' syndromes. How many k-subsets of the bits have each sum
follows from the Walsh-Hadamard transform: the generating function of all subsets is the product over bits of (1 + z·x^s), in
which a character with value -1 on w of the n syndromes gives (1 + z)^(n-w) · (1 - z)^w, whose coefficient at z^k is the
Krawtchouk polynomial K_k(w). All numbers are whole and exact; nothing is sampled.
"""

from __future__ import annotations

from math import comb
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from sim.ecc import UNCORRECTABLE, Correction

Counts = NDArray[np.int64]


class Code(Protocol):
    """A linear code with a decoder by syndrome: `sim.ecc.BchCode`, `sim.secded.SecdedCode`."""

    bits: int
    data_bits: int
    syndromes: NDArray[np.uint16]

    def correct(self, syndrome: NDArray[np.uint16]) -> Correction: ...


def pattern_counts(code: Code, wrong_bits: int) -> Counts:
    """For every syndrome, how many patterns of exactly so many wrong bits have it. Exact below 2^63 / syndromes."""
    size = 1 << int(code.syndromes.max()).bit_length()
    signs = np.zeros(size, np.int64)
    np.add.at(signs, code.syndromes, 1)
    negative = (code.bits - _transformed(signs)) // 2
    values = np.array([_krawtchouk(code.bits, wrong_bits, weight) for weight in range(code.bits + 1)], object)
    if max(abs(int(v)) for v in values) * size >= 1 << 63:
        raise ValueError(f"{wrong_bits} wrong bits: the counts do not fit 64 bits")
    return _transformed(values.astype(np.int64)[negative]) // size


def undetected_share(code: Code, wrong_bits: int) -> float:
    """Share of the patterns of so many wrong bits (more than the code corrects) that the decoder does not refuse."""
    counts = pattern_counts(code, wrong_bits)
    status = code.correct(np.arange(len(counts)).astype(np.uint16)).status
    return int(counts[status != UNCORRECTABLE].sum()) / comb(code.bits, wrong_bits)


def _transformed(values: Counts) -> Counts:
    """The Walsh-Hadamard transform."""
    values = values.copy()
    half = 1
    while half < len(values):
        pairs = values.reshape(-1, 2, half)
        values = np.stack([pairs[:, 0] + pairs[:, 1], pairs[:, 0] - pairs[:, 1]], axis=1).reshape(-1)
        half *= 2
    return values


def _krawtchouk(bits: int, degree: int, weight: int) -> int:
    """Coefficient of z^degree in (1 + z)^(bits - weight) · (1 - z)^weight."""
    return sum((-1) ** j * comb(weight, j) * comb(bits - weight, degree - j) for j in range(degree + 1))
