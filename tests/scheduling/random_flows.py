"""Small flows for tests of the scheduler: copies, chains through the VXM, products; random ones by a seed."""

from __future__ import annotations

import random

from compiler.scheduling.placed import Place, PlacedTrip, Places, place_trip
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
    Swap,
    Trip,
    Write,
)
from isa.chip import Chip
from isa.spec import ElementType


def buffer(name: str, rows: int, chip: Chip, kind: ElementType = "i8", memory: str = "sram", stripes: int = 1) -> Buffer:
    return Buffer(name, (rows, chip.lanes), kind, "temporary", memory, chip.lanes, stripes)


def copy_trip(source: str, target: str, count: int, row: int = 0, to_row: int = 0, step: int = 1) -> Trip:
    """`count` rows of one byte column from buffer to buffer."""
    trip = Trip(f"{source} to {target}")
    value = trip.value("i8", count)
    trip.nodes = [Read(source, 0, row, step, count, value, 0), Write(target, 0, to_row, step, value, count, 1, 0)]
    return trip


def vector_trip(mnemonic: str, sources: list[tuple[str, ElementType]], target: str, kind: ElementType, count: int) -> Trip:
    """One VXM operation on whole rows."""
    trip = Trip(f"{mnemonic} to {target}")
    values: list[int] = []
    for name, source_kind in sources:
        values.append(trip.value(source_kind, count))
        trip.nodes.append(Read(name, 0, 0, 1, count, values[-1]))
    result = trip.value(kind, count)
    trip.nodes.append(Compute("vxm", mnemonic, tuple(values), {}, count, 1, result))
    trip.nodes.append(Write(target, 0, 0, 1, result, count))
    return trip


def product_trips(weights: Buffer, source: str, target: str, rows: int, depth: int, plane: int) -> list[Trip]:
    """Load, swap and feed of one i8 product, its i32 sums to memory."""
    load, swap, feed = Trip("load"), Trip("swap"), Trip("feed")
    width = min(weights.stripes, depth)
    value = load.value("i8", -(-depth // width), streams=width)
    load.nodes = [ReadBlock(weights.name, 0, 0, depth, width, value), Load((plane,), value, "i8", depth)]
    swap.nodes = [Swap(plane, "i8")]
    a = feed.value("i8", rows)
    total = feed.value("i32", rows)
    feed.nodes = [
        Read(source, 0, 0, 1, rows, a),
        Feed(plane, a, "i8", depth, 0, 0, True, rows, total),
        Write(target, 0, 0, 1, total, rows),
    ]
    return [load, swap, feed]


def gather_trip(table: str, index: str, target: str, limit: int, count: int, every: int) -> Trip:
    trip = Trip("gather")
    spread = every if count > 1 else 1
    numbers, found = trip.value("i32", count, spread), trip.value("i8", count, spread)
    trip.nodes = [
        Read(index, 0, 0, 1, count, numbers),
        Gather(table, 0, 0, numbers, limit, count, spread, found),
        Write(target, 0, 0, 1, found, count, spread, 0),
    ]
    return trip


def placed(flow: Flow, chip: Chip, places: Places | None = None) -> list[PlacedTrip]:
    where = place(flow, chip) if places is None else places
    return [place_trip(trip, flow.buffers, where, chip) for trip in flow.trips]


def at(**where: str) -> Places:
    """Places of one-column byte buffers: name='sram.w0+4' (slice and base address)."""
    places: Places = {}
    for name, text in where.items():
        unit, _, base = text.partition("+")
        places[name] = {(0, 0, 0, 0): Place(unit, int(base or 0))}
    return places


def random_flow(chip: Chip, seed: int, trips: int) -> Flow:
    """About `trips` trips over a few buffers, with many dependences. Every flow fits a chip of the size of `tiny`."""
    rng = random.Random(seed)
    flow = Flow()
    for i in range(3):
        flow.buffers[f"b{i}"] = buffer(f"b{i}", 6, chip)
    for i in range(2):
        flow.buffers[f"h{i}"] = buffer(f"h{i}", 4, chip, "f16")
    flow.buffers["striped"] = buffer("striped", 8, chip, stripes=2)
    flow.buffers["sums"] = buffer("sums", 4, chip, "i32")
    flow.buffers["index"] = buffer("index", 4, chip, "i32")
    flow.buffers["weights"] = buffer("weights", 8, chip, memory="rram" if chip.rram else "sram", stripes=2)
    flow.buffers["near"] = buffer("near", 9, chip, stripes=3)
    # The index passes the table on its way, so the two lie on different sides.
    flow.buffers["index"].sides[0, 0], flow.buffers["b0"].sides[0, 0] = "e", "w"
    flow.buffers["weights"].sides[0, 0] = flow.buffers["near"].sides[0, 0] = "w"
    while len(flow.trips) < trips:
        flow.trips += _random_trips(rng, flow, len(chip.planes))
    return flow


def _random_trips(rng: random.Random, flow: Flow, planes: int) -> list[Trip]:
    bytes_buffers = ["b0", "b1", "b2", "striped"]
    kind = rng.choice(["copy", "copy", "vector", "product", "gather"])
    if kind == "copy":
        source, target = rng.sample(bytes_buffers, 2)
        count, step = rng.choice([(1, 1), (3, 1), (2, 2), (3, -1), (6, 1)])
        low = 0 if step > 0 else 3
        return [copy_trip(source, target, count, low, low, step)]
    if kind == "vector":
        if rng.random() < 0.5:
            a, b, c = rng.sample(["b0", "b1", "b2"], 3)
            return [vector_trip("iadd", [(a, "i8"), (b, "i8")], c, "i8", rng.randint(1, 6))]
        a, b = rng.sample(["h0", "h1"], 2)
        return [vector_trip("fexp", [(a, "f16")], b, "f16", rng.randint(1, 4))]
    if kind == "product":
        depth, rows = rng.randint(1, 8), rng.randint(1, 4)
        # Loads of both at once would be more than the load streams of `tiny`.
        weights = flow.buffers[rng.choice(["weights", "near"])]
        return product_trips(weights, rng.choice(["b1", "b2"]), "sums", rows, depth, rng.randrange(planes))
    return [gather_trip("b0", "index", rng.choice(["b1", "b2"]), 6, rng.randint(1, 4), 1)]
