"""The code that guards streams and SRAM: one wrong bit a word corrected, two detected (Hsiao, IBM J. Res. Dev. 14, 1970).

A word is what one superlane has of one byte stream, with nine check bits: 16 lanes make the (137, 128) code of the TSP, fewer
lanes a shortened one. Bits are numbered as in `sim/ecc.py`: data bit i is bit i mod 8 of byte i div 8, check bits follow.

Every bit has a syndrome of odd weight, so two wrong bits give an even one, which no single bit has. Check bits travel with the
data from the unit that makes it, through SRAM, to whoever reads it, and every reader decodes.
"""

from __future__ import annotations

from functools import cache
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from sim.ecc import CLEAN, CORRECTED, UNCORRECTABLE, Correction

CHECK_BITS = 9
_MOST_DATA_BITS = 128
Octets = NDArray[np.uint8]


class SecdedCode:
    """The code for words of `data_bits` bits (a multiple of 8, at most 128)."""

    def __init__(self, data_bits: int) -> None:
        if data_bits % 8 or not 0 < data_bits <= _MOST_DATA_BITS:
            raise ValueError(f"{data_bits} data bits: a multiple of 8 is needed, at most {_MOST_DATA_BITS}")
        self.data_bits = data_bits
        self.bits = data_bits + CHECK_BITS
        odd = [sum(1 << bit for bit in chosen) for weight in (3, 5) for chosen in combinations(range(CHECK_BITS), weight)]
        self.syndromes = np.array(odd[:data_bits] + [1 << bit for bit in range(CHECK_BITS)], np.uint16)
        """uint16 [bits]: the syndrome of each single wrong bit."""
        self._flip = np.full(1 << CHECK_BITS, -1, np.int64)
        self._flip[self.syndromes] = np.arange(self.bits)

    def encode(self, data: Octets) -> NDArray[np.uint16]:
        """Check bits of words uint8 [..., data_bits / 8]."""
        bits = np.unpackbits(data, axis=-1, bitorder="little").astype(bool)
        return np.bitwise_xor.reduce(np.where(bits, self.syndromes[: self.data_bits], 0).astype(np.uint16), axis=-1)

    def correct(self, syndrome: NDArray[np.uint16]) -> Correction:
        """The wrong bit that each syndrome [words] means."""
        flip = self._flip[syndrome]
        status = np.where(syndrome == 0, CLEAN, np.where(flip < 0, UNCORRECTABLE, CORRECTED))
        return Correction(status.astype(np.uint8), flip[:, None])

    def decode(self, data: Octets, checks: NDArray[np.uint16]) -> tuple[Octets, Correction]:
        """Words uint8 [words, data_bits / 8] as they arrive, with their check bits, and what the decoder makes of them. An
        uncorrectable word is given back as it arrived."""
        found = self.correct(self.encode(data) ^ checks)
        fixed = data.copy()
        flip = found.flips[:, 0]
        word = np.flatnonzero((flip >= 0) & (flip < self.data_bits))
        fixed[word, flip[word] // 8] ^= (1 << flip[word] % 8).astype(np.uint8)
        return fixed, found


@cache
def stream_code(superlane: int) -> SecdedCode:
    """The code of a chip whose superlanes have so many lanes. Raises ValueError for more than 16."""
    return SecdedCode(8 * superlane)
