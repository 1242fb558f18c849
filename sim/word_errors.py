"""Wrong cells of rows that are read, through the decoder: which words are corrected, lost, or changed into others."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sim.ecc import UNCORRECTABLE, BchCode

Numbers = NDArray[np.int64]
OUTCOMES = ("corrected", "uncorrectable", "miscorrected")


@dataclass(frozen=True, slots=True)
class WordErrors:
    """What became of words that were read with wrong bits."""

    read: Numbers
    """Which of the reads."""
    word: Numbers
    """Word of the row."""
    outcome: NDArray[np.uint8]
    """Index into `OUTCOMES`."""
    count: Numbers
    """Wrong bits."""
    flips: tuple[Numbers, Numbers]
    """(read, data bit of the row) that the rest of the chip gets wrong: of miscorrected words only."""


def decode_errors(code: BchCode, row_cells: int, codes: Numbers) -> WordErrors:
    """`codes` are the wrong cells, read · row_cells + cell, each once and in order.

    The code is linear: what a word ought to hold does not matter, only which of its bits are wrong.
    """
    words, start, count = np.unique(codes // code.bits, return_index=True, return_counts=True)
    syndromes = code.syndromes[codes % code.bits]
    correction = code.correct(np.bitwise_xor.reduceat(syndromes, start) if len(start) else syndromes)
    many = count > 2  # fewer are always found
    outcome = np.where(many, np.where(correction.status == UNCORRECTABLE, 1, 2), 0).astype(np.uint8)
    flips: list[int] = []
    for i in np.flatnonzero(outcome == 2).tolist():
        wrong = set((codes[start[i] : start[i] + count[i]] % code.bits).tolist())
        left = wrong ^ {bit for bit in correction.flips[i].tolist() if bit >= 0}
        flips += [int(words[i]) * code.data_bits + bit for bit in sorted(left) if bit < code.data_bits]
    a_row = row_cells // code.bits
    bits, row_bits = np.array(flips, np.int64), a_row * code.data_bits
    return WordErrors(words // a_row, words % a_row, outcome, count, (bits // row_bits, bits % row_bits))
