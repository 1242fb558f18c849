"""The flow dialect and the plain data are exact inverses, text included; text between the passes does not change a byte."""

from __future__ import annotations

import os
import random
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from xdsl.dialects.builtin import ModuleOp
from xdsl.parser import Parser

from compiler.backend.scheduled_flow import read_schedule
from compiler.cli.opt import main
from compiler.context import LockstepContext, new_context
from compiler.dialects.flow_reader import flow_of, places_of, program_in, schedule_of
from compiler.dialects.flow_writer import program_of, set_places, set_schedule
from compiler.lowering.lower import lower_graph
from compiler.pass_pipeline import parse_passes
from compiler.pipeline import DEFAULT_PIPELINE, STAGES, compile_graph, run_passes, stage_text
from compiler.scheduling.flow_schedule import TripFault, find_starts, place_trips
from compiler.scheduling.placement import place
from compiler.scheduling.trip import (
    Buffer,
    Compute,
    Feed,
    Flow,
    Gather,
    Load,
    Read,
    ReadBlock,
    Scatter,
    Swap,
    Trip,
    Value,
    Write,
    location_of,
)
from compiler.session import declare
from compiler.transforms.lower_to_flow import LowerToFlowPass
from isa.chip import load_chip
from isa.container import program_bytes
from isa.errors import Location, ModelFault
from isa.packing import Packing
from isa.program import Immediate

ROOT = Path(__file__).resolve().parents[2]
SAMPLES = ("norm/norm", "counter/counter", "transformer/block", "digits/digits")
GRAPH_PASSES = DEFAULT_PIPELINE.partition(",lower-to-flow")[0]


def sample(name: str) -> Path:
    return ROOT / "samples" / f"{name}.lks"


def reparsed(module: ModuleOp, context: LockstepContext) -> ModuleOp:
    """The module after its text, which must come back as it was and pass verification."""
    text = str(module)
    again = Parser(context, text).parse_module()
    again.verify()
    assert str(again) == text
    return again


def every_node() -> Flow:
    """A flow with every kind of node and every field away from its default. It makes no sense on any chip."""
    buffers = [
        Buffer("x", (4, 8), "i8", "input", "sram", 8, 2, (0, 2), "", {(0, 0): "w", (1, 0): "e"}),
        Buffer("w.0", (16, 20), "f16", "param", "rram", 8, 4, (0, 8), "9f", {(1, 2): "e"}, 1),
        Buffer("odd name", (), "i32", "state", "sram", 8),
        Buffer("y", (4, 8), "f32", "output", "sram", 8),
        Buffer("image", (3, 2, 8), "i8", "input", "sram", 8, packing=Packing((3, 4, 2), 3, 2, 4, 2, -1, 2, 1, 2, -1)),
    ]
    nodes = Trip(
        "file.lks:3:4: matmul",
        [
            ReadBlock("w.0", 1, 8, 8, 2, 0, "image", 1),
            Load((0, 2), 0, "f16", 8, 3, True),
            Swap(1, "i8f16"),
            Read("x", 0, 3, -1, 4, 1, 0),
            Feed(0, 1, "i8", 7, 1, 5, True, 4),
            Feed(1, 1, "i8", 7, 0, 0, False, 4, 2),
            Compute("vxm", "fsel", (2, Immediate(0xFFFF_FFFF), 2), {}, 4, 1, 3),
            Compute("sxm.e", "reduce", (3,), {"op": 2, "lanes": 8}, 4, 1, 4),
            Read("odd name", 0, 0, 0, 1, 5),
            Gather("y", 0, 3, 5, 4, 2, 6, 6),
            Scatter("y", 0, 0, 0, 5, 4, 4, 4),
            Write("y", 0, 0, 1, 4, 4),
            Write("y", 0, 1, 2, 6, 2, 6, 3),
            Write("y", 0, 0, 1, 4, 4, window=(0, 2, 4, 2)),
            Read("x", 0, 0, 1, 2, 7, abreast=2, apart=2),
            Write("x", 0, 0, 1, 7, 2, window=(0, 2), abreast=2, apart=2),
            Read("x", 0, 0, 1, 4, 8, run=2, run_step=1),
            Write("x", 0, 0, 1, 8, 4),
        ],
        [
            Value("i8", 4, 4), Value("i8", 1, 4), Value("i32", 4, 4), Value("f32", 4, 4), Value("f32", 4, 4),
            Value("i32", 4, 2, 6), Value("i8", 1, 2, 6), Value("i8", 2, 2), Value("i8", 1, 4),
        ],
    )  # fmt: skip
    return Flow({b.name: b for b in buffers}, [nodes, Trip("", [Swap(0, "i8")])])


def test_every_node_comes_back() -> None:
    flow = every_node()
    program = program_of(flow, 8)
    assert flow_of(program) == flow
    again = reparsed(ModuleOp([program]), new_context())
    assert flow_of(program_in(again, "the test")) == flow


def test_every_field_counts() -> None:
    """One number changed anywhere in the data is another text."""
    texts = {str(program_of(every_node(), 8))}
    for i, node in enumerate(every_node().trips[0].nodes):
        for name in node.__dataclass_fields__:
            old = getattr(node, name)
            if name in ("result", "source", "index") or not isinstance(old, int):
                continue
            flow = every_node()
            flow.trips[0].nodes[i] = replace(node, **{name: not old if isinstance(old, bool) else old + 1})
            text = str(program_of(flow, 8))
            assert text not in texts, f"{type(node).__name__}.{name}"
            texts.add(text)
    assert len(texts) > 30


@pytest.mark.parametrize("name", SAMPLES)
def test_places_and_schedule_come_back(name: str) -> None:
    chip = load_chip("lpu-rram")
    module, weights = declare(sample(name), chip)
    context = new_context(weights, chip)
    module = run_passes(module, context, parse_passes(GRAPH_PASSES))
    flow = lower_graph(module, weights, chip, 8)
    program = program_of(flow, chip.lanes)
    assert flow_of(program) == flow
    places = place(flow, chip)
    set_places(program, flow, places)
    assert places_of(program, flow) == places
    starts = find_starts(place_trips(flow, places, chip), chip)
    set_schedule(program, starts)
    assert schedule_of(program) == starts
    again = program_in(reparsed(ModuleOp([program]), context), "the test")
    assert (flow_of(again), places_of(again, flow), schedule_of(again)) == (flow, places, starts)


@pytest.mark.parametrize("name", SAMPLES)
def test_text_between_the_passes_does_not_change_a_byte(name: str) -> None:
    chip = load_chip("lpu-rram")
    module, weights = declare(sample(name), chip)
    expected = program_bytes(compile_graph(module, weights, chip))
    module, weights = declare(sample(name), chip)
    context = new_context(weights, chip)
    module = run_passes(module, context, parse_passes(GRAPH_PASSES))
    for step in parse_passes(DEFAULT_PIPELINE)[len(GRAPH_PASSES.split(",")) :]:
        step.apply(context, module)
        module = reparsed(module, context)
    assert program_bytes(compile_graph(module, weights, chip, "")) == expected


def test_bytes_do_not_depend_on_the_hash_seed() -> None:
    code = (
        "import hashlib, sys; from pathlib import Path; from compiler.session import compile_file;"
        "from isa.chip import load_chip; from isa.container import program_bytes;"
        "print([hashlib.sha256(program_bytes(compile_file(Path(p), load_chip('lpu-rram')).program)).hexdigest()"
        " for p in sys.argv[1:]])"
    )
    sums = [
        subprocess.run(
            [sys.executable, "-c", code, *(str(sample(s)) for s in SAMPLES)],
            env={**os.environ, "PYTHONHASHSEED": seed},
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "77")
    ]
    assert sums[0] == sums[1]
    assert len(sums[0]) > 64 * len(SAMPLES)


def test_the_default_pipeline_is_what_its_passes_print() -> None:
    steps = parse_passes(DEFAULT_PIPELINE)
    assert parse_passes(",".join(str(step.pipeline_pass_spec(include_default=True)) for step in steps)) == steps
    assert steps[-5] == LowerToFlowPass(fuse_limit=8)
    assert set(STAGES.values()) <= {step.name for step in steps}


def test_stages_are_text_that_goes_on() -> None:
    """What `flow` prints, placed and scheduled, is what `scheduled` prints."""
    chip = load_chip("lpu-rram")
    texts: dict[str, str] = {}
    for stage in STAGES:
        module, weights = declare(sample("norm/norm"), chip)
        texts[stage] = stage_text(stage, module, weights, chip)
    context = new_context(chip=chip)
    module = Parser(context, texts["flow"]).parse_module()
    run_passes(module, context, parse_passes("place-memory"))
    assert str(module) + "\n" == texts["placed"]
    run_passes(module, context, parse_passes("schedule"))
    assert str(module) + "\n" == texts["scheduled"]


GRAPH = """
func.func @main() {
  %x = graph.input "x" : tensor<4x16xf32>
  %y = graph.unary exp %x : tensor<4x16xf32>
  graph.output "y" %y : tensor<4x16xf32>
  func.return
}
"""


@pytest.mark.parametrize(
    ("passes", "old", "new", "words"),
    [
        ("lower-to-flow{fuse-limit=0}", "", "", "must be at least 1"),
        ("lower-to-flow{fuse-limit=99999999999999999999}", "", "", "below 2³¹"),
        ("lower-to-flow", "unary exp", "unary gelu", "graph.unary gelu is not primitive"),
        ("place-memory", "", "", "needs a module with one flow.program"),
        ("lower-to-flow,lower-to-flow", "", "", "no function @main"),
        ("lower-to-flow,schedule", "", "", "has no place"),
        ("lower-to-flow,place-memory", "", "", "has no start"),
        ("", "", "", "needs a module with one flow.program"),
        ("lower-to-flow,place-memory", "4x16xf32", "4000x16xf32", "does not fit"),
    ],
)
def test_faults_of_the_pipeline(passes: str, old: str, new: str, words: str) -> None:
    chip = load_chip("tiny")
    context = new_context(chip=chip)
    module = Parser(context, GRAPH.replace(old, new) if old else GRAPH).parse_module()
    with pytest.raises(ModelFault) as caught:
        compile_graph(module, context.weights, chip, passes)
    assert words in caught.value.render()


SCHEDULED = """
flow.program lanes 8 {
  flow.buffer @x input in sram stripes 1 segments [0] at ["sram.w1"] slices [0] bases [0] : tensor<4x8xi8>
  flow.buffer @y output in sram stripes 1 segments [0] at ["sram.e1"] slices [0] bases [0] : tensor<4x8xi8>
  flow.trip "m.lks:2:3: neg" start 3 slots ["sram.w1.rd", "vxm.0", "sram.e1.wr"] streams ["e0", "e1"] {
    %x = flow.read @x tile 0 row 0 step 1 count 4 : !flow.stream<i8, 4, 1, 1>
    %n = flow.compute "isub" on "vxm" (0, %x) count 4 every 1 : (!flow.stream<i8, 4, 1, 1>) -> !flow.stream<i8, 4, 1, 1>
    flow.write %n to @y tile 0 row 0 step 1 count 4 every 1 : !flow.stream<i8, 4, 1, 1>
  }
}
"""


def test_a_scheduled_flow_written_by_hand_is_a_program() -> None:
    chip = load_chip("tiny")
    context = new_context(chip=chip)
    program = compile_graph(Parser(context, SCHEDULED).parse_module(), context.weights, chip, "")
    assert [(op.slot, op.mnemonic) for op in program.operations] == [
        ("sram.w1.rd", "read"), ("vxm.0", "isub"), ("sram.e1.wr", "write"),
    ]  # fmt: skip
    assert program.operations[0].cycle == 3
    assert program.origins == ["", "m.lks:2:3: neg"]


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("lanes 8", "lanes 16", "for chips with 16 lanes, tiny has 8"),
        ('"sram.w1"] slices', '"sram.w99"] slices', "no SRAM slice 'sram.w99'"),
        ('"sram.w1"] slices', '"vxm"] slices', "no SRAM slice 'vxm'"),
        ("bases [0]", "bases [99999]", "ends behind the last word"),
        ('on "vxm"', 'on "vxm.3"', "there is no unit 'vxm.3'"),
        ('"vxm.0"', '"vxm.99"', "isub in slot vxm.99, expected vxm.0"),
        ('"vxm.0", ', "", "2 slots for 3 operations"),
        ("flow.write %n", "flow.feed %x plane 9 mode i8 depth 8 lane 0 accumulator 0 fresh count 4 "
         ": !flow.stream<i8, 4, 1, 1>\n    flow.write %n", "there is no plane 9"),
        ("flow.write %n", "flow.load %x to [0] mode f16 count 4 row 0 : !flow.stream<i8, 4, 1, 1>\n    flow.write %n",
         "a load in mode f16 from 1 streams"),
    ],
)  # fmt: skip
def test_flows_that_the_chip_cannot_run(old: str, new: str, words: str) -> None:
    chip = load_chip("tiny")
    context = new_context(chip=chip)
    assert old in SCHEDULED
    module = Parser(context, SCHEDULED.replace(old, new)).parse_module()
    module.verify()
    with pytest.raises(ModelFault) as caught:
        read_schedule(module, chip)
    assert words in caught.value.render()


def test_a_value_that_would_have_to_run_both_ways() -> None:
    """From the slice w1 to the vector unit, which is east of it, and to w2, which is west of it."""
    chip = load_chip("tiny")
    buffer = '  flow.buffer @z output in sram stripes 1 segments [0] at ["sram.w2"] slices [0] bases [0] : tensor<4x8xi8>\n'
    write = "    flow.write %x to @z tile 0 row 0 step 1 count 4 every 1 : !flow.stream<i8, 4, 1, 1>\n"
    text = SCHEDULED.replace("  flow.trip", f"{buffer}  flow.trip").replace("    %n", f"{write}    %n")
    with pytest.raises(TripFault) as caught:
        read_schedule(Parser(new_context(chip=chip), text).parse_module(), chip)
    assert caught.value.location == Location("m.lks", 2, 3)
    assert "both ways" in caught.value.render()


def test_a_trip_that_meets_itself_ends_with_its_source_place() -> None:
    """Both reads need the one read port of the slice at once."""
    chip = load_chip("tiny")
    context = new_context(chip=chip)
    text = SCHEDULED.replace("(0, %x)", "(%x, %z)").replace("(!flow", "(!flow.stream<i8, 4, 1, 1>, !flow")
    text = text.replace("    %n", "    %z = flow.read @x tile 0 row 0 step 1 count 4 : !flow.stream<i8, 4, 1, 1>\n    %n")
    with pytest.raises(TripFault) as caught:
        run_passes(Parser(context, text.replace('"e1"]', '"e1", "e2"]')).parse_module(), context, parse_passes("schedule"))
    assert caught.value.location == Location("m.lks", 2, 3)
    assert "twice at once" in caught.value.message
    assert "byte streams each way" in caught.value.notes[-1]


def test_a_trip_that_meets_itself_is_lowered_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """The passes behind run again on flows of half as many operations a trip, down to one; then the fault comes out.

    A fuse-limit that was asked for is kept, or the fault comes out.
    """
    seen: list[int] = []
    lower = LowerToFlowPass.apply

    def spy(self: LowerToFlowPass, ctx: LockstepContext, op: ModuleOp) -> None:
        seen.append(self.fuse_limit)
        if self.fuse_limit > allowed:
            raise TripFault("too long")
        lower(self, ctx, op)

    monkeypatch.setattr(LowerToFlowPass, "apply", spy)
    chip = load_chip("lpu-rram")
    allowed = 1
    module, weights = declare(sample("counter/counter"), chip)
    facts = compile_graph(module, weights, chip).facts
    assert facts["predicted_cycles"] > 0
    assert facts["fuse_limit"] == 1
    assert seen == [8, 4, 2, 1]
    module, weights = declare(sample("counter/counter"), chip)
    with pytest.raises(TripFault, match="too long"):
        compile_graph(module, weights, chip, DEFAULT_PIPELINE.replace("fuse-limit=8", "fuse-limit=3"))
    assert seen == [8, 4, 2, 1, 3]
    allowed = 0
    module, weights = declare(sample("counter/counter"), chip)
    with pytest.raises(TripFault, match="too long"):
        compile_graph(module, weights, chip)


WORDS = re.compile(r"[A-Za-z_][\w.]*|-?[0-9]+|[^\s\w]")
NUMBERS = ("0", "1", "2", "7", "-1", "99", "1000000", "9" * 20)


@pytest.mark.parametrize("seed", range(5))
def test_mutated_flows_end_in_a_message(seed: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A word changed, doubled or left out: the passes run, or the tool says what is wrong; there is no other way out."""
    rng = random.Random(seed)
    path = tmp_path / "mutated.mlir"
    ends: list[bool] = []
    for _ in range(8):
        text = SCHEDULED
        for _ in range(rng.randint(1, 2)):
            words = list(WORDS.finditer(text))
            word, other = rng.choice(words), rng.choice(words)[0]
            number = word[0].lstrip("-").isdigit() and rng.random() < 0.8
            new = rng.choice(NUMBERS if number else (other, "", f"{word[0]} {other}"))
            text = text[: word.start()] + new + text[word.end() :]
        path.write_text(text)
        try:
            main([str(path), "--chip", "tiny", "-p", rng.choice(("place-memory,schedule", "schedule"))])
            ends.append("flow.program" in capsys.readouterr().out)
        except SystemExit as stop:
            ends.append(isinstance(stop.code, str) and "error" in stop.code)
    assert all(ends)


def test_origins_with_and_without_a_place() -> None:
    assert location_of("a b.lks:12:3: matmul") == Location("a b.lks", 12, 3)
    assert location_of("C:x:1:2: add") == Location("C:x", 1, 2)
    assert location_of("add") is None
    assert location_of("") is None
