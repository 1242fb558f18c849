"""A model larger than its chip is refused at once, with what needs how much, what there is, where it is declared, and help."""

from __future__ import annotations

import re
import time
from math import prod
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from xdsl.dialects.builtin import ModuleOp

from compiler.dialects.graph import BinaryOp, GatherOp, InputOp, MatmulOp, OutputOp, ParamOp, StateOp, Tensor, UpdateOp
from compiler.dialects.graph_program import main_block, new_program
from compiler.lowering.capacity import require_room
from compiler.pipeline import compile_graph
from compiler.session import declare
from compiler.weights import WeightStore
from isa.chip import Chip, load_chip
from isa.errors import Location, ModelFault

ROOT = Path(__file__).resolve().parents[2]
TINY, LPU, TSP = load_chip("tiny"), load_chip("lpu-rram"), load_chip("tsp")


def capacity(chip: Chip, memory: str) -> int:
    return sum(chip.words(u.name) for u in chip.slices(memory)) * chip.lanes


class NoWeights(WeightStore):
    """Stands for arrays that nobody could keep; to look at one is to have begun the work."""

    def get(self, digest: str) -> NDArray[np.generic]:
        raise AssertionError("the model should have been refused before")


def product(shape: tuple[int, ...], kind: str = "i8") -> ModuleOp:
    """x · w with a matrix of which only the shape exists."""
    x = InputOp("x", Tensor(kind, (1, shape[0])))
    w = ParamOp("w", "0" * 64, Tensor(kind, shape))
    y = MatmulOp(x.result, w.result)
    return new_program([x, w, y, OutputOp("y", y.result)])


def refusal(module: ModuleOp, chip: Chip) -> ModelFault:
    begun = time.perf_counter()
    with pytest.raises(ModelFault) as caught:
        compile_graph(module, NoWeights(), chip)
    assert time.perf_counter() - begun < 1.0
    return caught.value


@pytest.mark.parametrize(("chip", "memory"), [(LPU, "RRAM"), (TSP, "SRAM"), (TINY, "RRAM")])
def test_weights_beyond_the_memory_are_refused_before_any_work(chip: Chip, memory: str) -> None:
    rows = capacity(chip, memory.lower()) // (chip.lanes * 4) + 1
    fault = refusal(product((rows, 4 * chip.lanes)), chip)
    text = fault.render()
    need = rows * 4 * chip.lanes
    assert f"the model does not fit chip {chip.name}" in text
    assert f"bytes of {memory}, there are {capacity(chip, memory.lower()):,}" in text
    assert f"parameter 'w' takes {need:,} bytes (i8[{rows}, {4 * chip.lanes}])" in text
    assert "help: choose a chip with more memory" in text
    over = re.search(r"that is ([\d,]+) bytes too much", text)
    assert over
    assert 0 < int(over[1].replace(",", "")) <= 8 * chip.lanes * max(chip.lanes, 8)
    assert ("lpu-rram and tsp would hold it" in text) == (chip == TINY)
    assert ("no chip that comes with Lockstep holds it" in text) == (chip == LPU)


def test_the_largest_tensors_are_named_and_the_source_place() -> None:
    """Digits on the chip tiny: the command line's own message."""
    module, weights = declare(ROOT / "samples" / "digits" / "digits.lks", TINY)
    with pytest.raises(ModelFault) as caught:
        compile_graph(module, weights, TINY)
    text = caught.value.render()
    assert isinstance(caught.value.location, Location)
    assert (Path(caught.value.location.file).name, caught.value.location.line) == ("digits.lks", 4)
    sizes = [(64, 128), (128, 64), (64, 16)]
    assert f"weights need {sum(map(prod, sizes)):,} bytes of RRAM, there are {capacity(TINY, 'rram'):,}" in text
    assert [int(m.replace(",", "")) for m in re.findall(r"'w[123]' takes ([0-9,]+) bytes", text)] == list(map(prod, sizes))


def test_what_the_host_sets_must_be_there_at_once() -> None:
    """Two inputs that each fit, but not together; named with the sizes that they take in memory."""
    rows = capacity(TINY, "sram") // (TINY.lanes * 2) + 1
    a, b = (InputOp(name, Tensor("i8", (rows, TINY.lanes))) for name in "ab")
    total = BinaryOp("add", a.result, b.result)
    text = refusal(new_program([a, b, total, OutputOp("y", total.result)]), TINY).render()
    assert f"inputs, states and parameters need {2 * rows * TINY.lanes:,} bytes of SRAM" in text
    assert "input 'a'" in text
    assert "input 'b'" in text


def test_states_and_outputs_stay() -> None:
    rows = capacity(TINY, "sram") // (TINY.lanes * 2) + 1
    state = StateOp("s", Tensor("i8", (rows, TINY.lanes)))
    total = BinaryOp("add", state.result, state.result)
    module = new_program([state, total, UpdateOp("s", total.result), OutputOp("y", total.result)])
    text = refusal(module, TINY).render()
    assert "outputs, states and parameters need" in text
    assert "state 's'" in text
    assert "output 'y'" in text


def test_narrow_rows_count_as_whole_vectors() -> None:
    """A table of one column takes a vector a row."""
    entries = capacity(LPU, "rram") // LPU.lanes + 1
    table, index = ParamOp("t", "0" * 64, Tensor("i8", (entries, 1))), InputOp("i", Tensor("i32", (4,)))
    found = GatherOp(table.result, index.result)
    text = refusal(new_program([table, index, found, OutputOp("y", found.result)]), LPU).render()
    assert f"takes {entries * LPU.lanes:,} bytes (i8[{entries}, 1])" in text
    assert f"whole vectors of {LPU.lanes} elements" in text


def test_what_fits_to_the_last_byte_is_not_refused() -> None:
    """Every sample that compiles, and a matrix that fills the RRAM exactly."""
    rows = capacity(LPU, "rram") // LPU.lanes
    require_room(product((rows, LPU.lanes)), LPU)
    with pytest.raises(ModelFault):
        require_room(product((rows + 1, LPU.lanes)), LPU)
    for source in sorted(ROOT.glob("samples/*/*.lks")):
        if source.parent.name == "smollm2":  # its weights are downloaded
            continue
        require_room(declare(source, LPU)[0], LPU)


def test_parameters_that_nothing_needs_take_no_room() -> None:
    """The same matrix is no obstacle before anything multiplies by it."""
    module, huge = product((8, 8)), product((1 << 20, 1 << 10))
    block = main_block(module)
    unused = next(op for op in main_block(huge).ops if isinstance(op, ParamOp)).clone()
    block.insert_op_before(unused, next(iter(block.ops)))
    assert len(list(block.ops)) == 6
    require_room(module, TINY)
    with pytest.raises(ModelFault, match="weights need"):
        require_room(huge, TINY)
