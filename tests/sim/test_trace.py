"""The time line of a program as a trace viewer reads it."""

from __future__ import annotations

import json
from dataclasses import replace
from types import ModuleType

import pytest

from sim.trace import trace_json


def test_every_operation_stands_on_its_slot_for_its_time(hand_programs: ModuleType) -> None:
    program = hand_programs.matvec("i8", batch=3)
    program.origins.append("net.lks:2:1: matmul")
    program.operations[0] = replace(program.operations[0], origin=1)
    events = json.loads(trace_json(program))["traceEvents"]
    names = {e["tid"]: e["args"]["name"] for e in events if e["name"] == "thread_name"}
    timed = [e for e in events if e["ph"] == "X"]
    assert [(names[e["tid"]], e["name"]) for e in timed] == [(o.slot, o.mnemonic) for o in program.operations]
    for event, op in zip(timed, program.operations, strict=True):
        assert event["ts"] == pytest.approx(op.cycle * 1e-3)
        assert event["dur"] == pytest.approx(((op.rep - 1) * op.every + 1) * 1e-3)
    assert timed[0]["args"]["origin"] == "net.lks:2:1: matmul"
    feed = next(e for e in timed if e["name"] == "feed")
    assert feed["args"]["result"] == "e0:i32"
    assert feed["args"]["depth"] == 4


def test_units_that_do_nothing_have_no_track(hand_programs: ModuleType) -> None:
    program = hand_programs.program(hand_programs.copy("sram.w1", "sram.e1", "e0"))
    events = json.loads(trace_json(program))["traceEvents"]
    assert {e["args"]["name"] for e in events if e["name"] == "process_name"} == {"sram.w1", "sram.e1"}
