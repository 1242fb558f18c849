"""Every mnemonic has one meaning; lane moves and byte groups against values worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from isa.program import Immediate, Operation, Stream
from isa.spec import BY_MNEMONIC
from sim.semantics import SEMANTICS, join_bytes, lane_mask, operand_layout, semantics, split_bytes, store, transform

LANES = 8
A = np.arange(1, 9, dtype=np.int8)[None]


def test_every_mnemonic_of_the_table_has_a_meaning_and_nothing_else() -> None:
    assert set(SEMANTICS) == set(BY_MNEMONIC)


def test_a_second_meaning_is_refused() -> None:
    with pytest.raises(ValueError, match="two meanings of fadd"):
        semantics("fadd")(lambda: None)


def test_bytes_of_a_group_are_little_endian() -> None:
    streams = [np.full((2, LANES), b, np.uint8) for b in (0x78, 0x56, 0x34, 0x12)]
    joined = join_bytes(streams, "i32")
    assert joined.shape == (2, LANES)
    assert (joined == 0x12345678).all()
    assert (split_bytes(joined)[..., 1] == 0x56).all()
    assert (join_bytes([np.full((1, LANES), 0xFF, np.uint8)], "i8") == -1).all()
    assert (join_bytes([np.zeros((1, LANES), np.uint8), np.full((1, LANES), 0x3C, np.uint8)], "f16") == 1.0).all()


def lane_move(mnemonic: str, *operands: np.ndarray, kind: str = "i8", **fields: int) -> list[int]:
    sources = tuple(Stream("e", 4 * i, kind) for i in range(len(operands)))
    op = Operation(0, "sxm.w.0", mnemonic, sources, Stream("e", 0, kind), fields)
    return transform(op, operands)[0].tolist()


@pytest.mark.parametrize(
    ("mnemonic", "fields", "expected"),
    [
        ("shift", {"by": 2}, [0, 0, 1, 2, 3, 4, 5, 6]),
        ("shift", {"by": -3}, [4, 5, 6, 7, 8, 0, 0, 0]),
        ("shift", {"by": 0}, [1, 2, 3, 4, 5, 6, 7, 8]),
        ("shift", {"by": 100}, [0] * 8),
        ("shift", {"by": -8}, [0] * 8),
        ("rotate", {"by": 1, "lanes": 4}, [4, 1, 2, 3, 0, 0, 0, 0]),
        ("rotate", {"by": -1, "lanes": 8}, [2, 3, 4, 5, 6, 7, 8, 1]),
        ("broadcast", {"lane": 5}, [6] * 8),
    ],
)
def test_moves_of_one_operand(mnemonic: str, fields: dict[str, int], expected: list[int]) -> None:
    assert lane_move(mnemonic, A, **fields) == expected


def test_select_takes_the_upper_lanes_from_b() -> None:
    assert lane_move("select", A, -A, split=3) == [1, 2, 3, -4, -5, -6, -7, -8]
    assert lane_move("select", A, -A, split=8) == A[0].tolist()


def test_permute_gives_zero_where_the_map_names_no_lane() -> None:
    places = np.array([[7, 0, -1, 8, 3, 3, 1 << 30, -(1 << 31)]], np.int32)
    assert lane_move("permute", A, places) == [8, 1, 0, 0, 4, 4, 0, 0]


def test_transpose_swaps_streams_and_lanes_within_each_sixteen() -> None:
    a = np.arange(16 * 32).reshape(1, 16, 32).astype(np.uint16).astype(np.int8)
    op = Operation(0, "sxm.w.0", "transpose", (Stream("e", 0),), Stream("e", 0))
    r = transform(op, [a])
    for i, j, block in ((0, 1, 0), (3, 14, 1), (15, 0, 1), (7, 7, 0)):
        assert r[0, i, 16 * block + j] == a[0, j, 16 * block + i]
    assert operand_layout(op) == [("i8", 16, 0)]


def test_reduce_gives_every_lane_the_tree_of_the_first_lanes() -> None:
    a = np.arange(1, 9, dtype=np.int32)[None]
    assert lane_move("reduce", a, kind="i32", op=0, lanes=5) == [15] * 8
    assert lane_move("reduce", a, kind="i32", op=1, lanes=8) == [8] * 8
    assert lane_move("reduce", -a, kind="i32", op=2, lanes=6) == [-6] * 8


def test_vector_operations_convert_on_entry_and_exit() -> None:
    op = Operation(0, "vxm.0", "fmul", (Stream("e", 0), Immediate(0x40200000)), Stream("e", 0))
    half = np.full((1, 1), 2.5, np.float32)
    assert transform(op, [np.array([[1, 100, -100, 3]], np.int8), half]).tolist() == [[2, 127, -128, 8]]


def test_running_operations_fold_groups_in_time() -> None:
    op = Operation(0, "vxm.0", "isum", (Stream("e", 0),), Stream("e", 4, "i32"), {"group": 2}, rep=4)
    x = np.array([[100], [100], [-1], [5]], np.int8)
    assert transform(op, [x]).tolist() == [[200], [4]]


def test_running_sums_of_products_take_two_operands() -> None:
    op = Operation(0, "vxm.0", "idot", (Stream("e", 0), Stream("e", 1)), Stream("e", 4, "i32"), {"group": 2}, rep=4)
    x, w = np.array([[100], [-100], [-1], [5]], np.int8), np.array([[127], [127], [2], [3]], np.int8)
    assert transform(op, [x, w]).tolist() == [[0], [13]]
    by = Operation(0, "vxm.0", "fdot", (Stream("e", 0), Immediate(0x40200000)), Stream("e", 4, "f32"), {"group": 2}, rep=4)
    assert transform(by, [x, np.full((1, 1), 2.5, np.float32)]).tolist() == [[0.0], [10.0]]


def test_masks_choose_superlanes_and_repeated_addresses_keep_the_last() -> None:
    assert lane_mask(0xFFFF_FFFF, 8, 2) is None
    lanes = lane_mask(0b0101, 8, 2)
    assert lanes is not None
    assert lanes.tolist() == [True, True, False, False, True, True, False, False]
    words = np.zeros((4, 8), np.uint8)
    store(words, np.array([2, 2]), np.stack([np.full(8, 1, np.uint8), np.full(8, 2, np.uint8)]), lanes)
    assert words[2].tolist() == [2, 2, 0, 0, 2, 2, 0, 0]
    assert not words[[0, 1, 3]].any()
