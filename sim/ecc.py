"""The code that guards RRAM words: a shortened BCH (255, 239) code over GF(2^8), two wrong bits a word corrected.

Bits of a code word are numbered as they lie in memory: bit i < data_bits is bit i mod 8 of data byte i div 8, the 16 check bits
follow, check bit j being bit j of the 16-bit remainder. As polynomial coefficients, byte 0 stands highest and within a byte
bit 7, so that check bits are byte for byte those of Linux' and Python's `bchlib`, inverted (tests/sim/test_ecc.py). They lie so
in memory because zeros are a word of every linear code: a row whose cells are all stuck at 0, or all at 1, must not be one.

The code is linear, so the syndrome of a word is the sum (XOR) of the syndromes of its wrong bits. Any two error patterns of at
most two bits have different syndromes, hence the whole decoder is one table of 65,536 entries from syndrome to wrong bits.

interface: `code_of(data_bits)` → `BchCode` with `encode`, `decode` (dense words), `syndromes` and `correct` (sparse errors).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from isa.rram_device import CHECK_BITS

CLEAN, CORRECTED, UNCORRECTABLE = 0, 1, 2
"""Status of a decoded word."""

_PRIMITIVE = 0x11D
"""x^8 + x^4 + x^3 + x^2 + 1, whose root alpha generates GF(2^8)."""
_NONE = -1
_INVERTED = np.uint16((1 << CHECK_BITS) - 1)

Octets = NDArray[np.uint8]
Bits = NDArray[np.int64]


def _minimal_polynomial(power: int) -> int:
    """Of alpha^power over GF(2): the product of x + c over its conjugates c. Bit i is the coefficient of x^i."""
    powers = [1]
    for _ in range(254):
        powers.append(powers[-1] << 1 ^ (_PRIMITIVE if powers[-1] & 0x80 else 0))
    logarithm = {value: i for i, value in enumerate(powers)}

    def times(a: int, b: int) -> int:
        return powers[(logarithm[a] + logarithm[b]) % 255] if a and b else 0

    product = [1]
    exponent = power
    while True:
        root = powers[exponent % 255]
        shifted, scaled = [0, *product], [*(times(c, root) for c in product), 0]
        product = [a ^ b for a, b in zip(shifted, scaled, strict=True)]
        exponent = exponent * 2 % 255
        if exponent == power:
            return sum(c << i for i, c in enumerate(product))


def _generator() -> int:
    """The product of the minimal polynomials of alpha and alpha^3: degree 16."""
    first, third = _minimal_polynomial(1), _minimal_polynomial(3)
    return _carryless_product(first, third)


def _carryless_product(a: int, b: int) -> int:
    total = 0
    while b:
        total ^= a if b & 1 else 0
        a, b = a << 1, b >> 1
    return total


@dataclass(frozen=True, slots=True)
class Correction:
    """What the decoder makes of words: one entry a word."""

    status: NDArray[np.uint8]
    """CLEAN, CORRECTED or UNCORRECTABLE."""
    flips: Bits
    """[words, 2]: bits that it takes to be wrong, -1 where there are fewer."""


class BchCode:
    """The code for words of `data_bits` bits (a multiple of 8, at most 239)."""

    def __init__(self, data_bits: int) -> None:
        if data_bits % 8 or not 0 < data_bits <= 255 - CHECK_BITS:
            raise ValueError(f"{data_bits} data bits: a multiple of 8 is needed, at most 239")
        self.data_bits = data_bits
        self.bits = data_bits + CHECK_BITS
        self.syndromes = _bit_syndromes(data_bits)
        """uint16 [bits]: the syndrome of each single wrong bit."""
        self._first, self._second = _correction_table(self.syndromes)
        self._byte_checks = _byte_checks(self.syndromes[:data_bits])

    def encode(self, data: Octets) -> NDArray[np.uint16]:
        """Check bits of words uint8 [..., data_bits / 8], as they lie in memory."""
        checks = np.full(data.shape[:-1], _INVERTED)
        for place, table in enumerate(self._byte_checks):
            checks ^= table[data[..., place]]
        return checks

    def correct(self, syndrome: NDArray[np.uint16]) -> Correction:
        """The wrong bits that each syndrome [words] means."""
        first, second = self._first[syndrome].astype(np.int64), self._second[syndrome].astype(np.int64)
        flips = np.stack([first, second], axis=-1)
        flips[flips == self.bits] = _NONE
        status = np.where(syndrome == 0, CLEAN, np.where(flips[:, 0] == _NONE, UNCORRECTABLE, CORRECTED))
        return Correction(status.astype(np.uint8), flips)

    def decode(self, data: Octets, checks: NDArray[np.uint16]) -> tuple[Octets, Correction]:
        """Words uint8 [words, data_bits / 8] as read, with their check bits, and what the decoder makes of them. An
        uncorrectable word is given back as it was read."""
        found = self.correct(self.encode(data) ^ checks)
        fixed = data.copy()
        for flips in found.flips.T:
            word = np.flatnonzero((flips != _NONE) & (flips < self.data_bits))
            fixed[word, flips[word] // 8] ^= (1 << flips[word] % 8).astype(np.uint8)
        return fixed, found


@cache
def code_of(data_bits: int) -> BchCode:
    """The code, its tables made once. Raises ValueError."""
    return BchCode(data_bits)


def _bit_syndromes(data_bits: int) -> NDArray[np.uint16]:
    """x^(degree of the bit) mod g for data bits; a check bit is its own syndrome."""
    generator, remainder = _generator(), 1
    by_degree: list[int] = []
    for _ in range(data_bits + CHECK_BITS):
        by_degree.append(remainder)
        remainder = remainder << 1 ^ (generator if remainder >> (CHECK_BITS - 1) & 1 else 0)
    degree = [CHECK_BITS + data_bits - 8 - 8 * (i // 8) + i % 8 for i in range(data_bits)] + list(range(CHECK_BITS))
    return np.array([by_degree[d] for d in degree], np.uint16)


def _byte_checks(syndromes: NDArray[np.uint16]) -> NDArray[np.uint16]:
    """[bytes of a word, 256]: the check bits that each value of each byte adds."""
    values = np.arange(256)
    bits = (values[:, None] >> np.arange(8) & 1).astype(bool)
    terms = np.where(bits[None], syndromes.reshape(-1, 1, 8), 0).astype(np.uint16)
    return np.bitwise_xor.reduce(terms, axis=2)


def _correction_table(syndromes: NDArray[np.uint16]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Both wrong bits of every syndrome of at most two; the word's length stands for 'none'."""
    bits = len(syndromes)
    first, second = np.full(1 << CHECK_BITS, bits, np.uint8), np.full(1 << CHECK_BITS, bits, np.uint8)
    a, b = np.triu_indices(bits, 1)
    first[syndromes[a] ^ syndromes[b]], second[syndromes[a] ^ syndromes[b]] = a, b
    first[syndromes] = np.arange(bits)
    return first, second
