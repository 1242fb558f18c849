"""How products are spread over the planes."""

from __future__ import annotations

import pytest

from compiler.dialects.graph import InputOp, MatmulOp, ParamOp
from compiler.dialects.graph_shapes import Tensor
from compiler.lowering.matmul_plan import Plan, plan
from isa.chip import load_chip


def planned(rows: int, inner: int, columns: int, kind: str, chip: str, batch: int = 1, known: bool = True) -> Plan:
    leading = (batch,) if batch > 1 else ()
    a = InputOp("a", Tensor(kind, (*leading, rows, inner)))  # pyright: ignore[reportArgumentType]
    weights = Tensor(kind, (*leading, inner, columns))  # pyright: ignore[reportArgumentType]
    b = ParamOp("b", "", weights) if known else InputOp("b", weights)
    return plan(MatmulOp(a.result, b.result), load_chip(chip))


@pytest.mark.parametrize(
    ("product", "groups"),
    [
        ((128, 768, 320, "i8", "tsp"), ((0, 1, 2, 3),)),
        ((128, 768, 640, "i8", "tsp"), ((0, 1), (2, 3))),
        ((128, 768, 1280, "i8", "tsp"), ((0,), (2,), (1,), (3,))),
        ((128, 3072, 768, "i8", "lpu-rram"), ((0, 1, 2, 3),)),
        ((128, 64, 128, "i8", "tsp", 12), ((0,), (2,), (1,), (3,))),
        ((128, 384, 320, "f16", "lpu-rram"), ((0, 2),)),
        ((128, 384, 640, "f16", "lpu-rram"), ((0,), (2,))),
        ((1, 576, 1536, "f16", "lpu-rram"), ((0,), (2,))),
    ],
)
def test_the_busiest_plane_decides(product: tuple[int, int, int, str, str], groups: tuple[tuple[int, ...], ...]) -> None:
    assert planned(*product).groups == groups


def test_sides_halve_the_depth_of_long_products_of_known_integers() -> None:
    assert planned(128, 3072, 768, "i8", "tsp").halved
    assert planned(128, 3072, 768, "i8", "tsp").row_borders(128) == (0, 64)
    assert not planned(128, 3072, 768, "i8", "tsp", known=False).halved
    assert not planned(128, 3072, 768, "f16", "tsp").halved, "floats are added in the order of the definition"
    assert not planned(128, 320, 320, "i8", "tsp").halved, "one step has no halves"


def test_weights_made_at_run_time_are_not_loaded_on_both_sides_for_a_few_rows() -> None:
    assert planned(9, 512, 192, "f16", "lpu-rram").groups == ((0, 2),)
    assert planned(9, 512, 192, "f16", "lpu-rram", known=False).groups == ((0,), (2,))


def test_every_plane_begins_with_rows_of_its_own() -> None:
    assert planned(128, 768, 1280, "i8", "tsp").row_borders(128) == (0, 32, 64, 96)
    assert planned(1, 576, 1536, "f16", "lpu-rram").row_borders(1) == (0,)
