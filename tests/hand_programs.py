"""Small legal programs for the chip `tiny`, made from the time rule alone: c_q + skew = c_p + latency + hops."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from isa.chip import load_chip
from isa.program import Image, Immediate, Operation, Piece, Program, Stream, Symbol

TINY = load_chip("tiny")
LATENCY = {key: timing.latency for key, timing in TINY.timing.items()}
ONE = {"i8": Immediate(1), "f16": Immediate(0x3F800000), "i8f16": Immediate(0x3F800000)}


def hops(a: str, b: str) -> int:
    return abs(TINY.units[a].position - TINY.units[b].position)


def stream(text: str) -> Stream:
    """`w4:f32`, or `w4` for bytes."""
    name, _, kind = text.partition(":")
    return Stream(name[0], int(name[1:]), kind or "i8")


def op(
    cycle: int, slot: str, mnemonic: str, *sources: str | Immediate, to: str = "", rep: int = 1, every: int = 1, **fields: int
) -> Operation:
    streams = tuple(stream(s) if isinstance(s, str) else s for s in sources)
    return Operation(cycle, slot, mnemonic, streams, stream(to) if to else None, fields, rep, every)


def words(unit: str, base: int, count: int) -> Image:
    data = np.arange(count * TINY.lanes).reshape(count, TINY.lanes) % 5
    return Image(f"{unit}+{base}", unit, base, data.astype(np.uint8))


def program(operations: Iterable[Operation], images: Iterable[Image] = (), symbols: Iterable[Symbol] = ()) -> Program:
    ordered = sorted(operations, key=lambda o: (o.cycle, TINY.slots[o.slot].index))
    return Program(TINY, ordered, list(images), list(symbols))


def copy(
    source: str, target: str, on: str, cycle: int = 0, addr: int = 0, to: int = 0, rep: int = 1, every: int = 1, step: int = 1
) -> list[Operation]:
    """`rep` words from one memory slice to another, read at `cycle`."""
    arrival = cycle + LATENCY[f"{source.partition('.')[0]}.read"] + hops(source, target)
    return [
        op(cycle, f"{source}.rd", "read", to=on, addr=addr, step=step, rep=rep, every=every),
        op(arrival, f"{target}.wr", "write", on, addr=to, step=step, rep=rep, every=every),
    ]


def matvec(mode: str = "i8", batch: int = 3, depth: int = 4) -> Program:
    """x [batch, depth] · w [depth, 8] + 1, w from RRAM, x from SRAM, the sum back to i8 and to SRAM: nothing has slack."""
    weight_bytes, value_bytes = (2 if mode == "f16" else 1), (1 if mode == "i8" else 2)
    kind = {"mode": ("i8", "f16", "i8f16").index(mode)} if mode != "i8" else {}
    rows = 2 // weight_bytes
    dispatches = depth // rows
    # Streams w0 and w1 bring the weights: rows 2i and 2i + 1, or the two bytes of row i.
    load = 5 + LATENCY["rram.read"] + hops("rram.w0", "mxm0")
    operations = [
        op(load - LATENCY["rram.read"] - hops(unit, "mxm0"), f"{unit}.rd", "read", to=f"w{k}", addr=0, step=1, rep=dispatches)
        for k, unit in enumerate(("rram.w0", "rram.w1"))
    ]
    operations.append(op(load, "mxm0.ld", "load", "w0", streams=2, count=depth, rep=dispatches, **kind))
    swap = load + dispatches - 1 + LATENCY["mxm.load"]
    operations.append(op(swap, "mxm0.sw", "swap", **kind))
    feed = swap + LATENCY["mxm.swap"]
    sources = ("sram.w7", "sram.w6")[:value_bytes]
    for k, unit in enumerate(sources):
        read = feed - LATENCY["sram.read"] - hops(unit, "mxm0")
        operations.append(op(read, f"{unit}.rd", "read", to=f"w{2 + k}", addr=10, step=2, rep=batch))
    value, total, domain = ("i8", "i32", "i") if mode == "i8" else ("f16", "f32", "f")
    operations.append(op(feed, "mxm0.fd", "feed", f"w2:{value}", to=f"e0:{total}", depth=depth, acc=2, rep=batch, **kind))
    add = feed + LATENCY["mxm.feed"] + hops("mxm0", "vxm")
    operations.append(op(add, "vxm.0", f"{domain}add", f"e0:{total}", ONE[mode], to=f"e4:{total}", rep=batch))
    move = add + LATENCY["vxm.alu"]
    operations.append(op(move, "vxm.1", f"{domain}mov", f"e4:{total}", to="w3", rep=batch))
    write = move + LATENCY["vxm.alu"] + hops("vxm", "sram.w0")
    operations.append(op(write, "sram.w0.wr", "write", "w3", addr=5, step=1, rep=batch))
    symbols = [
        Symbol("x", "input", (batch, depth), value, tuple(Piece(u, 10, batch, 0, 0, k, 2) for k, u in enumerate(sources))),
        Symbol("y", "output", (batch, 8), "i8", (Piece("sram.w0", 5, batch, 0, 0, 0),)),
    ]
    return program(operations, [words("rram.w0", 0, dispatches), words("rram.w1", 0, dispatches)], symbols)


def lookup() -> Program:
    """Two rows of a table in RRAM by index, moved by a lane, the larger of both kept and scattered to a place by index."""
    gather = 5 + LATENCY["sram.read"] + hops("sram.w4", "rram.w0")
    index = ("sram.w7", "sram.w6", "sram.w5", "sram.w4")
    operations = [
        op(gather - LATENCY["sram.read"] - hops(u, "rram.w0"), f"{u}.rd", "read", to=f"w{k}", addr=0, step=1, rep=2, every=2)
        for k, u in enumerate(index)
    ]
    operations.append(op(gather, "rram.w0.rd", "gather", "w0:i32", to="w5", base=8, limit=6, rep=2, every=2))
    shift = gather + LATENCY["rram.gather"] + hops("rram.w0", "sxm.w")
    operations.append(op(shift, "sxm.w.0", "shift", "w5", to="e5", by=1, rep=2, every=2))
    larger = shift + LATENCY["sxm.shift"] + hops("sxm.w", "vxm")
    operations.append(op(larger, "vxm.2", "imaxt", "e5", to="e6", group=2, rep=2, every=2))
    scatter = larger + 2 + LATENCY["vxm.alu"] + hops("vxm", "sram.e4")
    for k in range(4):
        read = scatter - LATENCY["sram.read"] - hops(f"sram.e{k}", "sram.e4")
        operations.append(op(read, f"sram.e{k}.rd", "read", to=f"e{k}", addr=7))
    operations.append(op(scatter, "sram.e4.wr", "scatter", "e0:i32", "e6", base=16, limit=4))
    symbols = [
        Symbol("i", "input", (2, 1), "i32", tuple(Piece(u, 0, 2, 0, 0, k) for k, u in enumerate(index))),
        Symbol("j", "input", (1, 1), "i32", tuple(Piece(f"sram.e{k}", 7, 1, 0, 0, k) for k in range(4))),
        Symbol("s", "state", (4, 8), "i8", (Piece("sram.e4", 16, 4, 0, 0, 0),)),
    ]
    return program(operations, [words("rram.w0", 8, 6)], symbols)
