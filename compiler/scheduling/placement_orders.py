"""In what order column groups choose their places; lives of buffers, and which groups one trip touches together."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

import networkx as nx

from compiler.scheduling.rivals import loaded
from compiler.scheduling.trip import Compute, Flow, Group, Read, touched
from isa.numerics import RUNNING_PRODUCTS

RANDOM_ORDERS = 4
"""Orders of placement that are tried when the considered ones fail."""


def lives_of(flow: Flow) -> dict[str, tuple[int, int]]:
    """First and last trip of each buffer; what the host reads or writes lives to the end, what it sets lives from the start."""
    lives: dict[str, tuple[int, int]] = {}
    for index, trip in enumerate(flow.trips):
        for node in trip.nodes:
            for name, _, _ in touched(node, flow.buffers):
                lives[name] = (lives.get(name, (index, 0))[0], index)
    end = len(flow.trips)
    for name, buffer in flow.buffers.items():
        first, last = lives.get(name, (0, 0))
        if buffer.role in ("param", "state", "constant"):
            first, last = 0, end
        elif buffer.role == "input":
            first = 0
        elif buffer.role == "output":
            last = end
        lives[name] = (first, last)
    return lives


def interference_of(flow: Flow) -> nx.Graph[Group]:
    """Groups that one trip touches together."""
    graph: nx.Graph[Group] = nx.Graph()
    for name, buffer in flow.buffers.items():
        for segment in range(len(buffer.segments)):
            graph.add_nodes_from((name, segment, tile) for tile in range(buffer.tiles))
    for trip in flow.trips:
        groups = list(dict.fromkeys(g for node in trip.nodes for g in touched(node, flow.buffers)))
        graph.add_edges_from((a, b) for i, a in enumerate(groups) for b in groups[i + 1 :])
    return graph


def operands_of_sums(flow: Flow) -> set[Group]:
    """Groups that running sums of products read. Each of many sums takes a port for all of its time, so two in one slice take
    twice as long: these choose before what is only passed through, which would leave them no slices of their own."""
    found: set[Group] = set()
    for trip in flow.trips:
        summed = {o for n in trip.nodes if isinstance(n, Compute) and n.mnemonic in RUNNING_PRODUCTS for o in n.operands}
        reads = (n for n in trip.nodes if isinstance(n, Read) and n.result in summed)
        found.update(group for node in reads for group in touched(node, flow.buffers))
    return found


def orders_of(flow: Flow, scheme: str) -> Iterator[list[Group]]:
    """Program order; those with most neighbours first; those that need most slices at once first; then random ones. Weights
    choose before all others, in the order of their loads (or declarations, as the scheme has it): they have the least freedom.
    """
    lives = lives_of(flow)
    groups = _groups_by_first_touch(flow)
    if scheme != "scheduled":
        declared = {group: i for i, group in enumerate(_groups_by_declaration(flow))}
        groups.sort(key=lambda g: declared[g] if loaded(flow.buffers[g[0]]) else -1)
    groups.sort(key=lambda g: (0, 0) if loaded(flow.buffers[g[0]]) else (1, lives[g[0]][0]))
    yield groups
    graph = interference_of(flow)
    yield sorted(groups, key=lambda g: (not loaded(flow.buffers[g[0]]), -graph.degree(g)))
    yield sorted(groups, key=lambda g: -flow.buffers[g[0]].stripes * flow.buffers[g[0]].bytes)
    rng = Random(0)
    for _ in range(RANDOM_ORDERS):
        shuffled = sorted(groups, key=lambda _: rng.random())
        yield sorted(shuffled, key=lambda g: not loaded(flow.buffers[g[0]]))


def _groups_by_first_touch(flow: Flow) -> list[Group]:
    """Every group, those that trips touch in that order, the others after them."""
    groups = dict.fromkeys(g for trip in flow.trips for node in trip.nodes for g in touched(node, flow.buffers))
    for name, buffer in flow.buffers.items():
        groups |= dict.fromkeys((name, s, t) for t in range(buffer.tiles) for s in range(len(buffer.segments)))
    return list(groups)


def _groups_by_declaration(flow: Flow) -> list[Group]:
    """Every group, buffer by buffer, tile column by tile column."""
    buffers = flow.buffers.items()
    return [(name, s, t) for name, buffer in buffers for t in range(buffer.tiles) for s in range(len(buffer.segments))]
