"""The library door judges: a program that differs from its graph in one bit or one cycle is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from compiler.cli.random_inputs import random_inputs
from compiler.frontend import build_graph
from compiler.session import Compiled, PromiseFault, declare, difference, performance, read_program, run_and_compare
from compiler.weights import WeightStore
from isa.chip import load_chip
from isa.errors import DataFault


def compiled(source: str) -> Compiled:
    """The hand-written y = max(x, 0), said to come from this source."""
    weights = WeightStore()
    return Compiled(read_program(Path("relu.lasm")), build_graph(source, "model.lks", weights), weights, 0.0)


CALLS = [{"x": np.arange(-8, 8, dtype=np.int8).reshape(2, 8)}, {"x": np.full((2, 8), -1, np.int8)}]


def test_a_program_that_keeps_its_promises(folder: Path) -> None:
    made = compiled("input x: i8[2, 8]\noutput y = max(x, 0)")
    results = run_and_compare(made, CALLS, ["fast", "reference"])
    assert [result.cycles for result in results] == [7, 7]
    assert [int(result.outputs["y"].sum()) for result in results] == [28, 0]


@pytest.mark.parametrize("machine", ["fast", "reference"])
def test_a_wrong_bit_is_found(folder: Path, machine: str) -> None:
    made = compiled("input x: i8[2, 8]\noutput y = where(x == 3, 4, max(x, 0))")
    with pytest.raises(PromiseFault, match=rf"call 1 on the {machine} machine: output 'y' differs in 1 of 16 .*\[1, 3\]"):
        run_and_compare(made, CALLS, [machine])


def test_a_wrong_cycle_is_found(folder: Path) -> None:
    made = compiled("input x: i8[2, 8]\noutput y = max(x, 0)")
    made.program.facts["predicted_cycles"] = 8
    with pytest.raises(PromiseFault, match="7 cycles, predicted were 8"):
        run_and_compare(made, CALLS, ["fast"])


def test_difference_compares_bits_not_values() -> None:
    zero, minus = np.zeros(3, np.float32), np.array([0, -0.0, 0], np.float32)
    assert difference({"y": zero}, {"y": zero.copy()}) == ""
    assert "first at [1]" in difference({"y": zero}, {"y": minus})
    assert "float16" in difference({"y": zero}, {"y": zero.astype(np.float16)})
    assert "expected float32 [3]" in difference({"y": zero}, {"y": np.zeros((3, 1), np.float32)})
    assert difference({"y": zero}, {"z": zero}) == "names are z, expected y"
    nan = np.array(np.nan, np.float32)
    assert difference({"y": nan}, {"y": nan.copy()}) == ""


def test_performance_without_a_run_has_the_prediction(folder: Path) -> None:
    values = performance(read_program(Path("relu.lasm")))
    assert values["cycles"] is None
    assert values["predicted_cycles"] == 7
    assert values["latency_us"] == 0.007


def test_precision_is_part_of_what_is_declared(folder: Path) -> None:
    chip = load_chip("tiny")
    texts = {precision: str(declare(Path("model.lks"), chip, precision)[0]) for precision in ("f32", "f16", "i8f16")}
    assert len(set(texts.values())) == 3
    assert "xi8>" in texts["i8f16"]


def test_a_missing_source_is_a_fault_of_data(folder: Path) -> None:
    with pytest.raises(DataFault, match=r"^no.lks: error: cannot read the file"):
        declare(Path("no.lks"), load_chip("tiny"))


def test_random_inputs_stay_inside_tables_and_repeat() -> None:
    source = """\
input i: i32[40]
input free: i32[40]
input small: i8[400]
input x: f16[3]
output row = gather([[1, 2], [3, 4], [5, 6.5]] + f32(small[0:1]), reshape(i, [8, 5]))
output rest = free
output more = x
"""
    module = build_graph(source, "table.lks", WeightStore())
    first, again, other = (random_inputs(module, seed, 2) for seed in (1, 1, 2))
    assert {int(v) for call in first for v in call["i"]} == {0, 1, 2}
    assert max(abs(int(v)) for v in first[0]["free"]) > 100
    assert first[0]["small"].min() < -100
    assert first[0]["x"].dtype == np.float16
    assert [call["i"].tobytes() for call in first] == [call["i"].tobytes() for call in again]
    assert first[0]["i"].tobytes() != other[0]["i"].tobytes()
    assert first[0]["i"].tobytes() != first[1]["i"].tobytes()
