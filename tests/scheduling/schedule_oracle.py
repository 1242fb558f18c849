"""What a schedule of placed trips must keep, judged by plain sets of everything that happens, cycle by cycle.

It shares nothing with the scheduler: no reservation tables, no dependence graph, no wires. It knows the steps of the trips, the
chip, and where the scheduler put them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise

from compiler.scheduling.list_scheduler import Scheduled
from compiler.scheduling.placed import PlacedTrip, Step
from isa.chip import Chip
from isa.program import Immediate
from isa.spec import BYTES

MEMORY = ("read", "write", "gather", "scatter")


def violations(trips: list[PlacedTrip], scheduled: list[Scheduled], chip: Chip, streams: bool = True) -> list[str]:
    """Every broken rule; empty if the schedule is legal. Without `streams` only starts and fixed slots are judged."""
    assert len(trips) == len(scheduled)
    found = [f"trip {i} starts at {s.start}" for i, s in enumerate(scheduled) if s.start < 0]
    found += _slots(trips, scheduled, streams) + _halves(trips, scheduled, chip) + _banks(trips, scheduled, chip)
    found += _words(trips, scheduled) + _planes(trips, scheduled)
    if streams:
        found += _meetings(trips, scheduled, chip) + _load_streams(trips, scheduled, chip)
    return found


def _steps(trips: list[PlacedTrip], scheduled: list[Scheduled]) -> Iterator[tuple[int, int, Step, list[int]]]:
    """(trip, number of the step, step, its dispatch cycles)."""
    for i, (trip, at) in enumerate(zip(trips, scheduled, strict=True)):
        for n, step in enumerate(trip.steps):
            yield i, n, step, [at.start + step.offset + k * step.every for k in range(step.rep)]


def _slots(trips: list[PlacedTrip], scheduled: list[Scheduled], all_slots: bool) -> list[str]:
    held: set[tuple[str, int]] = set()
    found: list[str] = []
    for i, n, step, cycles in _steps(trips, scheduled):
        if not all_slots and len(step.slots) > 1:
            continue
        slot = scheduled[i].slots[n] if all_slots else step.slots[0]
        if slot not in step.slots:
            found.append(f"trip {i}: {step.mnemonic} cannot stand in {slot}")
        for name in (slot, *step.hold):
            mine = {(name, c) for c in range(cycles[0], cycles[-1] + 1)}
            found += [f"slot {name} twice at {c}" for _, c in held & mine]
            held |= mine
    return found


def _memory(trips: list[PlacedTrip], scheduled: list[Scheduled], kind: str) -> Iterator[tuple[int, Step, str, int, range]]:
    """(trip, step, slice, cycle, words that may be touched then)."""
    for i, _, step, cycles in _steps(trips, scheduled):
        unit = step.slots[0].rsplit(".", 1)[0]
        if step.mnemonic not in MEMORY or not unit.startswith(kind):
            continue
        for k, cycle in enumerate(cycles):
            if step.mnemonic in ("gather", "scatter"):
                yield i, step, unit, cycle, range(step.fields["base"], step.fields["base"] + step.fields["limit"])
            else:
                word = step.fields["addr"] + k * step.fields.get("step", 0)
                yield i, step, unit, cycle, range(word, word + 1)


def _halves(trips: list[PlacedTrip], scheduled: list[Scheduled], chip: Chip) -> list[str]:
    halves: defaultdict[tuple[str, int], list[set[int]]] = defaultdict(list)
    for _, step, unit, cycle, words in _memory(trips, scheduled, "sram"):
        any_word = step.mnemonic in ("gather", "scatter")
        halves[unit, cycle].append(set(range(chip.sram.halves)) if any_word else {words[0] % chip.sram.halves})
    return [
        f"{unit}: two accesses of a half at {cycle}"
        for (unit, cycle), sets in halves.items()
        if any(a & b for k, a in enumerate(sets) for b in sets[k + 1 :])
    ]


def _banks(trips: list[PlacedTrip], scheduled: list[Scheduled], chip: Chip) -> list[str]:
    if chip.rram is None:
        return []
    reads: defaultdict[tuple[str, int], list[int]] = defaultdict(list)
    for _, step, unit, cycle, words in _memory(trips, scheduled, "rram"):
        banks = range(chip.rram.banks) if step.mnemonic == "gather" else (words[0] % chip.rram.banks,)
        for bank in banks:
            reads[unit, bank].append(cycle)
    found: list[str] = []
    for (unit, bank), cycles in reads.items():
        cycles.sort()
        close = [b for a, b in pairwise(cycles) if b - a < chip.rram.busy_cycles]
        found += [f"{unit}: bank {bank} still busy at {c}" for c in close]
    return found


def _words(trips: list[PlacedTrip], scheduled: list[Scheduled]) -> list[str]:
    """Program order for every word: reads see the writes before them, nothing is replaced before it is read."""
    touches: defaultdict[tuple[str, int], list[tuple[int, bool, int, int]]] = defaultdict(list)
    for i, step, unit, cycle, words in _memory(trips, scheduled, ""):
        for word in words:
            touches[unit, word].append((i, step.mnemonic in ("write", "scatter"), cycle, step.latency))
    found: list[str] = []
    for (unit, word), all_touches in touches.items():
        for a, a_writes, a_cycle, a_latency in all_touches:
            for b, b_writes, b_cycle, _ in all_touches:
                gap = 1 if b_writes else a_latency
                if a < b and (a_writes or b_writes) and b_cycle < a_cycle + gap:
                    found.append(f"{unit} word {word}: trip {b} at {b_cycle} too early after trip {a} at {a_cycle}")
    return found


def _planes(trips: list[PlacedTrip], scheduled: list[Scheduled]) -> list[str]:
    """Loads, swaps and feeds of every plane, pair by pair in program order."""
    planes: defaultdict[str, list[tuple[int, Step, list[int]]]] = defaultdict(list)
    for i, _, step, cycles in _steps(trips, scheduled):
        if step.mnemonic in ("load", "swap", "feed"):
            for slot in (step.slots[0], *step.hold):
                planes[slot.split(".")[0]].append((i, step, cycles))
    found: list[str] = []
    for plane, steps in planes.items():
        for k, (_, a, a_cycles) in enumerate(steps):
            for _, b, b_cycles in steps[k + 1 :]:
                pair = (a.mnemonic, b.mnemonic)
                first, last = b_cycles[0], a_cycles[-1]
                early = {
                    ("load", "swap"): first < last + a.latency,
                    ("swap", "load"): first < last + a.latency,
                    ("swap", "feed"): first < last + a.latency,
                    ("feed", "swap"): last >= first + b.latency,
                    ("swap", "swap"): first <= last,
                    ("feed", "feed"): first <= last,
                }.get(pair, False)
                found += [f"{plane}: {pair[1]} at {first} too early after {pair[0]} at {last}"] if early else []
    return found


def _stream_touches(i: int, step: Step, cycles: list[int], at: Scheduled) -> Iterator[tuple[bool, int, str, int, int]]:
    """(whether a result, wire, direction, byte stream, cycle at the step's own position)."""
    if step.result:
        wire, first, kind = step.result
        direction, base = at.streams[wire]
        group = step.fields.get("group", 1)
        for cycle in cycles[group - 1 :: group]:
            yield from ((True, wire, direction, base + first + b, cycle + step.latency) for b in range(BYTES[kind]))
    for source in step.sources:
        if isinstance(source, Immediate):
            continue
        wire, first, kind = source
        direction, base = at.streams[wire]
        width = BYTES["f16"] if step.mnemonic == "load" and step.fields.get("mode") == 1 else 1
        for b in range(step.fields["streams"] if step.mnemonic == "load" else BYTES[kind]):
            count = len(cycles)
            if step.mnemonic == "load":
                rows = step.fields["streams"] // width
                count = -(-(step.fields["count"] - b // width) // rows)
            yield from ((False, wire, direction, base + first + b, c + step.skew) for c in cycles[:count])


def _meetings(trips: list[PlacedTrip], scheduled: list[Scheduled], chip: Chip) -> list[str]:
    """Every read finds its value, every value is read, and no two values share a register in a cycle."""
    made: dict[tuple[int, int, str, int, int], list[int]] = {}
    found: list[str] = []
    touches: list[tuple[bool, tuple[int, int, str, int, int], int]] = []
    for i, _, step, cycles in _steps(trips, scheduled):
        for is_result, wire, direction, stream, cycle in _stream_touches(i, step, cycles, scheduled[i]):
            if not 0 <= stream < chip.streams:
                found.append(f"trip {i}: there is no stream {direction}{stream}")
            diagonal = cycle - step.position if direction == "e" else cycle + step.position
            touches.append((is_result, (i, wire, direction, stream, diagonal), step.position))
    for is_result, value, position in touches:
        if is_result and made.setdefault(value, [position, position]) != [position, position]:
            found.append(f"trip {value[0]}: two results are value {value}")
    read: set[tuple[int, int, str, int, int]] = set()
    for is_result, value, position in touches:
        if is_result:
            continue
        read.add(value)
        source = made[value][0] if value in made else None
        if source is None or (position < source if value[2] == "e" else position > source):
            found.append(f"trip {value[0]}: a read at position {position} misses {value}")
        else:
            made[value] = [source, max(made[value][1], position, key=lambda p: abs(p - made[value][0]))]
    found += [f"trip {value[0]}: nobody reads {value}" for value in made if value not in read]
    held: set[tuple[str, int, int, int]] = set()
    for (_, _, direction, stream, diagonal), ends in made.items():
        for position in range(min(ends), max(ends) + 1):
            register = (direction, stream, diagonal, position)
            found += [f"two values in register {register}"] if register in held else []
            held.add(register)
    return found


def _load_streams(trips: list[PlacedTrip], scheduled: list[Scheduled], chip: Chip) -> list[str]:
    used: defaultdict[tuple[int, int], set[tuple[str, int]]] = defaultdict(set)
    for i, _, step, cycles in _steps(trips, scheduled):
        if step.mnemonic == "load":
            for is_result, _, direction, stream, cycle in _stream_touches(i, step, cycles, scheduled[i]):
                if not is_result:
                    used[step.position, cycle].add((direction, stream))
    return [f"{len(s)} load streams at {where}" for where, s in used.items() if len(s) > chip.mxm.load_streams]
