"""Where buffers live: a slice and a base address for every (segment, stripe, tile, byte).

Columns that one trip touches at once must lie in different slices, for a slice has one read and one write port: that is a
colouring of the interference graph of column groups (networkx), done greedily in program order. Within a slice, addresses
are shared by buffers whose lives do not overlap, but only when fresh words have run out, because sharing makes trips wait.

How weights lie over the banks of an RRAM slice is the scheme (`SCHEMES`).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from heapq import heapify, heappop, heappush
from typing import Literal, NamedTuple

from compiler.progress import stage
from compiler.scheduling.bank_colouring import BankColouring, follows
from compiler.scheduling.constant_slices import SHORT_WALK_CYCLES, is_constant, maps_of_lane_units, slices_of_constants
from compiler.scheduling.device_rows import DeviceRows
from compiler.scheduling.eviction import cheapest_eviction
from compiler.scheduling.memory_slices import BankedSlice, Slice
from compiler.scheduling.operations import Operations
from compiler.scheduling.phases import phases
from compiler.scheduling.placed import Place, Places
from compiler.scheduling.placement_orders import interference_of, lives_of, operands_of_sums, orders_of
from compiler.scheduling.rehearsal import Rehearsal
from compiler.scheduling.rivals import loaded, on_one_side, rivals
from compiler.scheduling.shared_memory import Residents, shared_places
from compiler.scheduling.side_ties import SideTies
from compiler.scheduling.stream_demand import StreamDemand
from compiler.scheduling.traffic import Traffic
from compiler.scheduling.trip import Buffer, Flow, Group, location_of, touched
from isa.chip import Chip, Side, Unit
from isa.errors import Location, ModelFault

SCHEMES = {
    "scheduled": "words over the banks in turn, in the order of the loads; loads that follow each other on different slices, "
    "or begin where their banks are free (`bank_colouring`)",
    "interleaved": "words over the banks in turn, tensors in the order of their declaration, without regard for each other",
    "naive": "the words of a block of weights in one bank, blocks bank after bank",
}
"""What the schemes of `place-memory` do with weights in RRAM."""

APART_OPERATIONS = 4
"""Words of a buffer that died so many operations ago are as good as fresh ones: who read it has long done so (our choice)."""

Way = Literal["freedom", "throughout", "lasting", "tied", "order"]
"""How column groups take their turns (`_attempts`)."""


class NoRoomFault(ModelFault):
    """A buffer that found no place, in whatever order the buffers chose."""


def place(
    flow: Flow,
    chip: Chip,
    scheme: str = "scheduled",
    residents: Residents | None = None,
    device: DeviceRows | None = None,
    rehearsal: Rehearsal | None = None,
) -> Places:
    """A place for every column of every buffer. Raises ModelFault where the chip is too small.

    `residents` are those of a program that shares the device (`shared_memory`), `device` is the state of its RRAM. After a
    `rehearsal` columns keep apart from what they met in it, before all else.

    Each choice is final, so an order may run into a corner: no slice left for a column, or more byte streams over the VXM than
    there are. Then the next order is tried; the one that crowds the streams least is better than none. First, columns
    spread over the slices by traffic; where that leaves a trip with none, they are packed into as few as will do.
    """
    if device and device.avoided:
        try:
            return _placed(flow, chip, scheme, residents, device, rehearsal)
        except NoRoomFault:
            device = device.last_resort()
    return _placed(flow, chip, scheme, residents, device, rehearsal)


def _placed(
    flow: Flow,
    chip: Chip,
    scheme: str,
    residents: Residents | None,
    device: DeviceRows | None,
    rehearsal: Rehearsal | None,
) -> Places:
    fault: ModelFault | None = None
    crowded: list[tuple[int, Places]] = []
    for packed, way, order in _attempts(flow, scheme):
        placement = _Placement(flow, chip, scheme, packed, residents, device, rehearsal)
        if way == "tied":
            placement.ties = SideTies(placement.demand, placement.side_of)
        try:
            places = placement.run(order) if way == "order" else placement.run_by_freedom(order, way)
        except ModelFault as found:
            fault = fault or found
            continue
        excess = placement.demand.excess(placement.side_of)
        if not excess:
            return places
        crowded.append((excess, places))
    if not crowded:
        assert fault is not None
        raise fault
    return min(crowded, key=lambda found: found[0])[1]


def _attempts(flow: Flow, scheme: str) -> Iterator[tuple[bool, Way, list[Group]]]:
    """(packed, way, order): spread by freedom, then with what is touched throughout the program first, then with temporaries
    that live long first, then with sides that follow from `SideTies` too; spread in two of the orders, packed in all."""
    first = next(orders_of(flow, scheme))
    ways: tuple[Way, ...] = ("freedom", "throughout", "lasting", "tied")
    for way in ways:
        yield False, way, first
    orders = list(orders_of(flow, scheme))
    for packed, tried in ((False, orders[:2]), (True, orders)):
        for order in tried:
            yield packed, "order", order


def kept_weights(buffer: Buffer) -> bool:
    """Whether loads read it and its words are its own throughout: known weights, and states."""
    return buffer.stripes > 1 and buffer.role in ("param", "constant", "state")


def even_fill(flow: Flow, chip: Chip) -> dict[Side, int]:
    """Words that weights take of each SRAM slice of a side, if they leave as many in all that they need.

    Beside the weights of one part of a program images of another part find words in slices that nothing is loaded from."""
    found: dict[Side, int] = {}
    weights = [b for b in flow.buffers.values() if b.memory == "sram" and kept_weights(b)]
    for side in ("w", "e"):
        blocks = [(b.stripes * b.bytes, b.words_per_place(s)) for b in weights for (s, _), at in b.sides.items() if at == side]
        if blocks:
            width, total = max(width for width, _ in blocks), sum(width * words for width, words in blocks)
            slices = width * -(-total // (width * chip.sram.words))
            found[side] = -(-total // slices)
    return found


class _Choice(NamedTuple):
    """A slice that has room, and how much it is wanted (less is better)."""

    cost: tuple[int, ...]
    number: int
    unit: str
    base: int


class _Placement:
    def __init__(
        self,
        flow: Flow,
        chip: Chip,
        scheme: str,
        packed: bool,
        residents: Residents | None,
        device: DeviceRows | None,
        rehearsal: Rehearsal | None,
    ) -> None:
        self.flow, self.chip, self.rram, self.packed = flow, chip, chip.rram, packed
        self.colouring = BankColouring(follows(flow), self.rram) if self.rram and scheme == "scheduled" else None
        self.word_step = self.rram.banks if self.rram and scheme == "naive" else 1
        self.lives = lives_of(flow)
        self.graph = interference_of(flow)
        self.on_one_side = on_one_side(flow)
        self.rivals, self.in_passing = rivals(flow)
        self.summed = operands_of_sums(flow)
        kinds = ("sram", "rram") if chip.rram else ("sram",)
        self.slices = {u.name: Slice(chip.words(u.name)) for kind in kinds for u in chip.slices(kind)}
        if self.rram and scheme == "naive":
            self.slices |= {u.name: BankedSlice(self.rram) for u in chip.slices("rram")}
        self.chosen: dict[Group, tuple[str, ...]] = {}
        self.evictions: Counter[Group] = Counter()
        self.for_loads: set[str] = set()
        """SRAM slices that hold weights: kept free of activations while there are others, for a load reads them in bursts
        that would keep a feed waiting."""
        self.for_made_weights: set[str] = set()
        """Those of them with weights that are made at run time. Of the others activations keep off only while they are loaded
        from, for known weights may take most slices."""
        self.for_constants = slices_of_constants(flow, chip)
        self.maps = maps_of_lane_units(flow)
        self.places: Places = {name: {} for name in flow.buffers}
        self.phases = phases(flow, chip)
        self.demand = StreamDemand(flow, chip)
        self.ties: SideTies | None = None
        self.operations = Operations(flow)
        self.traffic = Traffic(flow, chip, self.operations)
        self.even_fill = even_fill(flow, chip)
        self.side_of: dict[Group, Side] = {
            (name, *column): side for name, buffer in flow.buffers.items() for column, side in buffer.sides.items()
        }
        self.words_on_side: dict[tuple[str, Side], int] = defaultdict(int)
        if residents:
            self.move_in(residents)
        if device:
            self.settle(device)
        self.rehearsal = rehearsal.again() if rehearsal else None
        if rehearsal:
            self.keep_rram(rehearsal.places)

    def move_in(self, residents: Residents) -> None:
        """Beside another program: keep off its words, and take the places of what is shared."""
        end = len(self.flow.trips)
        for unit, words in self.slices.items():
            words.touched = residents.touched.get(unit, 0)
            for first, last in residents.kept.get(unit, ()):
                words.take(first, last - first, 0, end)
        for name, buffer in self.flow.buffers.items():
            places = shared_places(buffer, residents)
            for (segment, _, tile, _), place in (places or {}).items():
                group = (name, segment, tile)
                side = self.chip.units[place.unit].side
                if side is None or self.side_of.get(group, side) != side:
                    raise ModelFault(f"'{name}' cannot be shared: the programs want it on different sides of the chip")
                self.side_of[group] = side
                self.chosen[group] = (*self.chosen.get(group, ()), place.unit)
                if buffer.stripes > 1:
                    self.for_loads.add(place.unit)
                self.slices[place.unit].take(place.base, buffer.words_per_place(segment), 0, end)
            self.places[name] = places or {}

    def settle(self, device: DeviceRows) -> None:
        """On a device: keep off its rows, and leave tensors that it holds where they are, if this program can."""
        for unit in self.chip.slices("rram"):
            self.slices[unit.name].blocked = device.blocked(unit.name)
        for name, buffer in self.flow.buffers.items():
            places = {} if self.places[name] else device.places(buffer)
            units: defaultdict[Group, list[str]] = defaultdict(list)
            for (segment, _, tile, _), found in sorted(places.items()):
                units[name, segment, tile].append(found.unit)
            if not units or not all(self.can_have(group, chosen) for group, chosen in units.items()):
                continue
            self.places[name] = places
            for (_, segment, tile), chosen in units.items():
                group = (name, segment, tile)
                self.chosen[group] = tuple(chosen)
                side = self.chip.units[chosen[0]].side
                assert side is not None
                self.side_of[group] = side
                self.for_loads.update(chosen if buffer.stripes > 1 else ())
            for (segment, *_), found in places.items():
                self.slices[found.unit].blocked.append((found.base, found.base + buffer.words_per_place(segment)))
        for unit in self.chip.slices("rram"):
            self.slices[unit.name].blocked.sort()

    def keep_rram(self, places: Places) -> None:
        """Weights in RRAM stay where they are: loads wait for the banks of others as they have been laid out for."""
        end = len(self.flow.trips)
        for name, buffer in self.flow.buffers.items():
            if buffer.memory != "rram" or self.places[name]:
                continue
            self.places[name] = places[name]
            for (segment, _, tile, _), place in places[name].items():
                group, side = (name, segment, tile), self.chip.units[place.unit].side
                assert side is not None
                self.side_of[group] = side
                self.chosen[group] = (*self.chosen.get(group, ()), place.unit)
                self.slices[place.unit].take(place.base, buffer.words_per_place(segment), 0, end)

    def can_have(self, group: Group, units: list[str]) -> bool:
        """May a column group lie in these slices, next to what has been chosen?"""
        sides = {self.chip.units[unit].side for unit in units}
        near = {unit for other in self.graph.neighbors(group) for unit in self.chosen.get(other, ())}
        return len(sides) == 1 and self.side_of.get(group) in (None, *sides) and near.isdisjoint(units)

    def run(self, order: list[Group]) -> Places:
        for group in (g for g in order if g not in self.chosen):
            self.place_group(group, self.flow.buffers[group[0]])
        return self.places

    def run_by_freedom(self, order: list[Group], way: Way) -> Places:
        """Weights, what lives long (`lasts`) and constants; then what running sums read; then always the group that has the
        fewest slices left for its width (as DSATUR colours graphs), of those the one with most neighbours, of those the first
        in the order. A group that has none left takes those of neighbours, which look for others."""
        order = [g for g in order if g not in self.chosen]
        weights = [g for g in order if loaded(self.flow.buffers[g[0]])]
        constants = [g for g in order if is_constant(self.flow.buffers[g[0]])]
        lasting = [g for g in order if self.lasts(g, way) and g not in weights]
        # First those that most others are touched with: trips of all layers leave less and less for what all of them read.
        lasting.sort(key=lambda g: -self.graph.degree(g))
        constants = [g for g in constants if g not in lasting]
        advance = stage("place-memory", len(order))
        for group in (*weights, *lasting, *constants):
            advance(1)
            self.place_group(group, self.flow.buffers[group[0]])
        number = {group: i for i, group in enumerate(order)}
        movable = set(order) - set(weights)
        waiting = movable - set(constants) - set(lasting)
        taken = {group: self.taken_near(group) for group in waiting}
        heap = [self.freedom(group, number[group], taken[group]) for group in waiting]
        heapify(heap)
        while waiting:
            group = order[heappop(heap)[-1]]
            if group not in waiting:
                continue
            waiting.remove(group)
            advance(1)
            if not self.try_group(group, self.flow.buffers[group[0]]):
                moved = self.make_way(group, self.flow.buffers[group[0]], movable)
                waiting |= moved
                advance(-len(moved))
                for other in moved | {o for m in moved for o in self.graph.neighbors(m) if o in waiting}:
                    taken[other] = self.taken_near(other)
                    heappush(heap, self.freedom(other, number[other], taken[other]))
            mine = set(self.chosen[group])
            for other in self.graph.neighbors(group):
                if other in waiting and not mine <= taken[other]:
                    taken[other] |= mine
                    heappush(heap, self.freedom(other, number[other], taken[other]))
        return self.places

    def lasts(self, group: Group, way: Way) -> bool:
        """Whether the group is a temporary that lives for more than half of the program, or with the way `throughout` anything
        that is touched for so long: it would find no slice that is free all the time, once others have gone through all of
        them. With the way `freedom` none counts."""
        if way == "freedom":
            return False
        if self.flow.buffers[group[0]].role == "temporary":
            first, last = self.lives[group[0]]
            return 2 * (last - first) > len(self.flow.trips)
        stages = self.traffic.of.get(group, {0: 0.0})
        return way == "throughout" and 2 * (max(stages) - min(stages)) > self.traffic.stages

    def freedom(self, group: Group, number: int, taken: set[str]) -> tuple[bool, int, int, int]:
        """(operands of running sums first, how often the group's width goes into the slices of one side that are not taken,
        most neighbours first, number)."""
        buffer = self.flow.buffers[group[0]]
        sides: tuple[Side, ...] = (self.side_of[group],) if group in self.side_of else ("w", "e")
        free = max(sum(u.name not in taken for u in self.chip.slices(buffer.memory, side)) for side in sides)
        return group not in self.summed, free // (buffer.stripes * buffer.bytes), -self.graph.degree(group), number

    def taken_near(self, group: Group) -> set[str]:
        """Slices of the groups that are touched together with this one."""
        return {unit for other in self.graph.neighbors(group) for unit in self.chosen.get(other, ())}

    def make_way(self, group: Group, buffer: Buffer, movable: set[Group]) -> set[Group]:
        """Place a group that finds no slices by taking them from neighbours, the fewest there are and rather those that were
        not moved before. Returns the neighbours, which have no place now. Raises NoRoomFault where even that does not help."""
        width = buffer.stripes * buffer.bytes
        words, life = buffer.words_per_place(group[1]), self.lives[group[0]]
        stays = buffer.role in ("param", "state", "constant")
        holders: defaultdict[str, set[Group]] = defaultdict(set)
        for other in self.graph.neighbors(group):
            for unit in self.chosen.get(other, ()):
                holders[unit].add(other)
        options: list[set[Group]] = []
        for side in self.sides(buffer, group, set()):
            units = [u.name for u in self.chip.slices(buffer.memory, side)]
            units = [u for u in units if self.slices[u].find(words, *life, True, stays) is not None]
            moved = cheapest_eviction({u: holders[u] for u in units}, width, movable, self.evictions)
            options += [] if moved is None else [moved]
        if not options:
            raise self.too_large(buffer, width, words, len(holders))
        chosen = min(options, key=lambda moved: (sum(1 + self.evictions[g] for g in moved), sorted(moved)))
        for other in sorted(chosen):
            self.evictions[other] += 1
            self.release(other, self.flow.buffers[other[0]])
        self.place_group(group, buffer)
        return chosen

    def release(self, group: Group, buffer: Buffer) -> None:
        """Undo `take` for a group in SRAM."""
        name, segment, tile = group
        units, words = self.chosen.pop(group), buffer.words_per_place(segment)
        for i, unit in enumerate(units):
            stripe, byte = divmod(i, buffer.bytes)
            place = self.places[name].pop((segment, stripe, tile, byte))
            self.slices[unit].give_back(place.base, words, *self.lives[name])
        self.words_on_side[buffer.memory, self.side_of.pop(group)] -= words * len(units)
        if self.rehearsal:
            self.rehearsal.add(group, units, -1)
        if (segment, tile) in buffer.sides:
            self.side_of[group] = buffer.sides[segment, tile]
        self.traffic.remove(group, units)

    def place_group(self, group: Group, buffer: Buffer) -> None:
        """Raises NoRoomFault."""
        if not self.try_group(group, buffer):
            width, words = buffer.stripes * buffer.bytes, buffer.words_per_place(group[1])
            raise self.too_large(buffer, width, words, len(self.taken_near(group)))

    def try_group(self, group: Group, buffer: Buffer) -> bool:
        """Place a group; False where no slices are left for it."""
        name, segment, _ = group
        width = buffer.stripes * buffer.bytes
        words = buffer.words_per_place(segment)
        forbidden = self.taken_near(group)
        life = self.lives[name]
        stays = buffer.role in ("param", "state", "constant")
        apart = self.operations.around(*life, APART_OPERATIONS)
        met = self.met(group, buffer)
        for share in (False, True):
            for side in self.sides(buffer, group, forbidden):
                free: list[_Choice] = []
                contended = Counter(u for other in self.together(group, buffer) for u in self.chosen.get(other, ()))
                passed = Counter(u for other in self.in_passing.get(group, ()) for u in self.chosen.get(other, ()))
                for number, unit in enumerate(self.chip.slices(buffer.memory, side)):
                    if unit.name in forbidden:
                        continue
                    base = self.base(group, unit, words, life, apart, share, stays)
                    if base is not None:
                        cost = self.cost(group, buffer, unit.name, number, contended, passed, met[unit.name])
                        free.append(_Choice(cost, number, unit.name, base))
                if len(free) >= width:
                    self.take(group, buffer, side, sorted(free, key=lambda c: c.cost)[:width], words)
                    return True
        return False

    def base(
        self, group: Group, unit: Unit, words: int, life: tuple[int, int], apart: tuple[int, int], share: bool, stays: bool
    ) -> int | None:
        """First word for a group in a slice, with the low bit that suits its bursts (`phases`) where there is room for it."""
        words_of = self.slices[unit.name]
        wanted = (self.phases[group] + unit.position) % 2 if group in self.phases else None
        for bit in (wanted, None) if wanted is not None else (None,):
            base = words_of.find(words, *life, share, stays, bit)
            if base is None and not share:
                base = words_of.find(words, *apart, True, stays, bit)
            if base is not None:
                return base
        return None

    def together(self, group: Group, buffer: Buffer) -> set[Group]:
        """Groups with which this one would rather share no slice."""
        if self.colouring and buffer.memory == "rram":
            return self.colouring.neighbours(group)
        return self.rivals.get(group, set())

    def met(self, group: Group, buffer: Buffer) -> Counter[str]:
        """What the group would meet in each slice, as the rehearsal has it."""
        if self.rehearsal is None or buffer.memory == "rram":
            return Counter()
        return Counter(dict(zip(self.rehearsal.numbers, self.rehearsal.overlaps(group).tolist(), strict=True)))

    def cost(
        self, group: Group, buffer: Buffer, unit: str, number: int, contended: Counter[str], passed: Counter[str], met: int
    ) -> tuple[int, ...]:
        """Weights crowd together in the outermost slices of SRAM, and spread over those of RRAM where the scheme cares;
        constants crowd in the innermost, but for maps; everything else spreads over the slices that have neither. After a
        rehearsal what a group `met` counts before that, but for walks of few cycles, which keep off loads first."""
        if self.colouring and buffer.memory == "rram":
            return (contended[unit], self.slices[unit].used, -number)
        if buffer.stripes > 1:
            return (self.is_filled(group, buffer, unit), unit not in self.for_loads, -number)
        if self.packed:
            return (unit in self.for_loads, contended[unit], self.slices[unit].used, number)
        if is_constant(buffer):
            within = (unit in self.for_constants) == (group in self.maps)
            crowd = -passed[unit] if group in self.in_passing.get(group, ()) else 0
            return (unit in self.for_loads, within, met, contended[unit], crowd, self.traffic.at_once(group, unit), number)
        loads = unit in self.for_made_weights or (unit in self.for_loads and self.traffic.beside_loads(group, unit))
        if self.traffic.longest_walk[group] <= SHORT_WALK_CYCLES:
            constants = unit in self.for_constants
            return (loads, met, contended[unit], constants, passed[unit], self.traffic.at_once(group, unit), number)
        apart = loads or unit in self.for_constants
        return (met, contended[unit], apart, passed[unit], self.traffic.at_once(group, unit), number)

    def is_filled(self, group: Group, buffer: Buffer, unit: str) -> bool:
        """Whether weights that stay have their share of the slice."""
        level = self.slices[unit].used + buffer.words_per_place(group[1]) // 2
        return kept_weights(buffer) and level > self.even_fill.get(self.chip.units[unit].side or "w", level)

    def sides(self, buffer: Buffer, group: Group, forbidden: set[str]) -> list[Side]:
        present: list[Side] = [s for s in ("w", "e") if self.chip.slices(buffer.memory, s)]
        tied = next((other for other in self.on_one_side.get(group, ()) if other in self.chosen), None)
        if tied is not None:
            return [self.side_of[tied]]
        wanted = self.ties.wanted(group) if self.ties and group not in self.side_of else None
        if wanted:
            return [wanted]
        if group in self.side_of:
            # Of several segments the sides are wishes: work spreads over both. Of a single one it is a need.
            fixed = self.side_of[group]
            wish = len(buffer.segments) > 1 and not loaded(buffer) and not self.packed
            return sorted(present, key=lambda side: side != fixed) if wish else [fixed]

        def cost(side: Side) -> tuple[int, ...]:
            units = self.chip.slices(buffer.memory, side)
            blocked = sum(1 for u in units if u.name in forbidden)
            return *self.demand.strain(group, side, self.side_of), blocked, self.words_on_side[buffer.memory, side]

        return sorted(present, key=cost)

    def take(self, group: Group, buffer: Buffer, side: Side, free: list[_Choice], words: int) -> None:
        name, segment, tile = group
        # Neighbouring stripes in neighbouring slices: order by the slice's number, not by how full it is.
        units = sorted(free, key=lambda choice: choice.number)
        self.side_of[group] = side
        if self.ties:
            self.ties.chosen(group, side)
        self.chosen[group] = tuple(choice.unit for choice in units)
        if buffer.stripes > 1:
            self.set_apart(buffer, side, self.chosen[group])
        self.words_on_side[buffer.memory, side] += words * len(units)
        if buffer.memory == "sram":
            self.traffic.add(group, self.chosen[group])
            if self.rehearsal:
                self.rehearsal.add(group, self.chosen[group])
        step = self.word_step if buffer.memory == "rram" else 1
        for i, (unit, base) in enumerate(self.bases(group, buffer, units, words)):
            self.slices[unit].take(base, words, *self.lives[name])
            stripe, byte = divmod(i, buffer.bytes)
            self.places[name][segment, stripe, tile, byte] = Place(unit, base, step)

    def set_apart(self, buffer: Buffer, side: Side, units: tuple[str, ...]) -> None:
        """These slices are for loads from now on; not for temporary weights where that would be most slices of the side."""
        wider = self.for_loads.union(units)
        slices = {unit.name for unit in self.chip.slices(buffer.memory, side)}
        if buffer.role != "temporary" or 2 * len(wider & slices) <= len(slices):
            self.for_loads = wider
            self.for_made_weights.update(() if kept_weights(buffer) else units)

    def bases(self, group: Group, buffer: Buffer, units: list[_Choice], words: int) -> list[tuple[str, int]]:
        """(slice, first word): behind what is there, in RRAM as far behind it as the start bank of the group asks for."""
        if self.colouring is None or self.rram is None or buffer.memory != "rram":
            return [(choice.unit, choice.base) for choice in units]
        bank = self.colouring.choose(group, units[0].base)
        found: list[tuple[str, int]] = []
        for choice in units:
            base = self.slices[choice.unit].clear(choice.base, words, bank, self.rram.banks)
            found.append((choice.unit, choice.base if base is None else base))
        return found

    def first_use(self, buffer: Buffer) -> Location | None:
        """The source place of the first trip that touches the buffer."""
        trips = self.flow.trips
        touching = (t for t in trips if any(g[0] == buffer.name for n in t.nodes for g in touched(n, self.flow.buffers)))
        first = next(touching, None)
        return location_of(first.origin) if first else None

    def too_large(self, buffer: Buffer, width: int, words: int, forbidden: int) -> NoRoomFault:
        kind = buffer.memory.upper()
        slices = self.chip.slices(buffer.memory)
        capacity = sum(self.slices[u.name].words for u in slices) * self.chip.lanes
        used = sum(self.slices[u.name].used for u in slices) * self.chip.lanes
        need = width * words * buffer.tiles * len(buffer.segments) * self.chip.lanes
        return NoRoomFault(
            f"'{buffer.name}' does not fit: it needs {width} {kind} slices of one side with {words} words free in each",
            self.first_use(buffer),
            notes=(
                f"'{buffer.name}' takes {need:,} bytes in all; chip {self.chip.name} has {capacity:,} bytes of {kind}, "
                f"{used:,} of them taken by what was placed before",
                f"{forbidden} slices are out because the same operation reads or writes them at the same time",
            ),
            hint="use a chip with more memory, a narrower element type, or split the tensor",
        )
