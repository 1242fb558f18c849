"""The weight store: content decides the digest, arrays cannot be changed, what is missing is said."""

from __future__ import annotations

import numpy as np
import pytest

from compiler.weights import WeightStore
from isa.errors import DataFault


def test_digest_is_of_type_shape_and_bytes() -> None:
    store = WeightStore()
    zeros = [np.zeros((2, 3), np.int8), np.zeros((3, 2), np.int8), np.zeros((3, 2), np.float16), np.zeros(6, np.int8)]
    digests = [store.add(array) for array in zeros]
    assert len(set(digests)) == len(store) == 4
    assert store.add(np.zeros((4, 3), np.int8)[::2]) == digests[0]
    assert store.get(digests[1]).shape == (3, 2)


def test_arrays_are_copies_that_cannot_be_written() -> None:
    store, array = WeightStore(), np.ones(3, np.float32)
    kept = store.get(store.add(array))
    array[0] = 5
    assert kept.tolist() == [1, 1, 1]
    with pytest.raises(ValueError):
        kept[0] = 2


def test_missing_weights_and_wrong_types_are_refused() -> None:
    with pytest.raises(DataFault, match="no weights with digest 0123"):
        WeightStore().get("0123")
    with pytest.raises(DataFault, match="float64"):
        WeightStore().add(np.zeros(3))
