"""The BCH code: bchlib's check bits and decisions, and every pattern of at most two wrong bits corrected."""

from __future__ import annotations

from itertools import combinations

import bchlib
import numpy as np
import pytest

from sim.ecc import CLEAN, CORRECTED, UNCORRECTABLE, code_of

LENGTHS = (8, 64, 128, 232)


def _words(count: int, data_bits: int, seed: int = 5) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, data_bits // 8), dtype=np.uint8)


def _flip(data: np.ndarray, checks: np.ndarray, word: int, bit: int) -> None:
    data_bits = 8 * data.shape[1]
    if bit < data_bits:
        data[word, bit // 8] ^= 1 << bit % 8
    else:
        checks[word] ^= np.uint16(1 << (bit - data_bits))


@pytest.mark.parametrize("data_bits", LENGTHS)
def test_check_bits_are_those_of_bchlib(data_bits: int) -> None:
    oracle = bchlib.BCH(2, m=8)
    data = _words(300, data_bits)
    expected = [int.from_bytes(oracle.encode(bytes(row)), "big") ^ 0xFFFF for row in data]
    assert code_of(data_bits).encode(data).tolist() == expected


@pytest.mark.parametrize("data_bits", [8, 64, 128])
@pytest.mark.parametrize("value", [0, 1])
def test_words_whose_cells_all_stick_at_one_value_are_uncorrectable(data_bits: int, value: int) -> None:
    """Check bits lie inverted in memory for this: zeros are a word of the code itself. (Words near the longest have ones within
    two bits of a word; chips have words of 64 and 128.)"""
    data, checks = np.full((1, data_bits // 8), 255 * value, np.uint8), np.full(1, 0xFFFF * value, np.uint16)
    _, found = code_of(data_bits).decode(data, checks)
    assert found.status.tolist() == [UNCORRECTABLE]


@pytest.mark.parametrize("data_bits", LENGTHS)
def test_every_pattern_of_at_most_two_wrong_bits_is_corrected(data_bits: int) -> None:
    code = code_of(data_bits)
    patterns = [(), *combinations(range(code.bits), 1), *combinations(range(code.bits), 2)]
    data = _words(len(patterns), data_bits)
    checks = code.encode(data)
    read, read_checks = data.copy(), checks.copy()
    for word, pattern in enumerate(patterns):
        for bit in pattern:
            _flip(read, read_checks, word, bit)
    fixed, found = code.decode(read, read_checks)
    assert np.array_equal(fixed, data)
    assert [tuple(sorted(f for f in flips if f >= 0)) for flips in found.flips.tolist()] == patterns
    assert found.status.tolist() == [CORRECTED if pattern else CLEAN for pattern in patterns]


def test_what_more_wrong_bits_become_is_what_bchlib_makes_of_them() -> None:
    """Three to six wrong bits: uncorrectable, or another code word. bchlib does not know that the word is shortened, so its
    corrections outside the word are our uncorrectable words."""
    oracle = bchlib.BCH(2, m=8)
    code = code_of(128)
    data = _words(3000, 128)
    checks = code.encode(data)
    random = np.random.default_rng(8)
    for word in range(len(data)):
        for bit in random.choice(144, int(random.integers(3, 7)), replace=False):
            _flip(data, checks, word, int(bit))
    fixed, found = code.decode(data, checks)
    seen = set()
    for word in range(len(data)):
        octets, check = bytearray(data[word].tobytes()), bytearray((int(checks[word]) ^ 0xFFFF).to_bytes(2, "big"))
        errors = oracle.decode(octets, check)
        outside = any(place >= 144 for place in oracle.errloc[: max(errors, 0)])
        expected = UNCORRECTABLE if errors < 0 or outside else (CORRECTED if errors else CLEAN)
        seen.add(expected)
        assert found.status[word] == expected
        if expected == CORRECTED:
            oracle.correct(octets, check)
            assert bytes(octets) == fixed[word].tobytes()
        else:
            assert np.array_equal(fixed[word], data[word])
    assert {CORRECTED, UNCORRECTABLE} <= seen


def test_the_share_of_triple_errors_that_pass_as_another_word_is_what_the_code_has() -> None:
    """All 144 · 143 · 142 / 6 triple errors: one is miscorrected where a code word of weight 5 covers it."""
    code = code_of(128)
    s = code.syndromes
    i, j = np.triu_indices(144, 1)
    wrong = 0
    for k in range(144):
        later = i > k
        triple = s[i[later]] ^ s[j[later]] ^ s[k]
        wrong += int((code.correct(triple).status != UNCORRECTABLE).sum())
    assert 0.14 < wrong / (144 * 143 * 142 / 6) < 0.18  # 10,440 of 65,535 syndromes mean at most two wrong bits: 16 %


@pytest.mark.parametrize("data_bits", [0, 12, 240])
def test_words_that_the_code_cannot_hold_are_refused(data_bits: int) -> None:
    with pytest.raises(ValueError, match="multiple of 8"):
        code_of(data_bits)
