"""Column groups that should share no slice, though no trip touches them together: trips that could run at once touch them.

Trips of one operation could run at once, but for those of one plane, which feeds one burst after the other: two tiles of
constants that the same plane needs in turn may lie in one slice.
"""

from __future__ import annotations

from collections import defaultdict
from itertools import groupby

import networkx as nx

from compiler.scheduling.trip import Buffer, Feed, Flow, Group, Read, Trip, Write, touched

BRIEF = 3
"""Walks that take less than this part of a trip's longest keep each other waiting for hardly a cycle (our choice)."""

_Users = dict[Group, set[str]]


def rivals(flow: Flow) -> tuple[dict[Group, set[Group]], dict[Group, set[Group]]]:
    """For every group those that others of its operation read while it is read, or write while it is written; and apart from
    them those that are read in passing only (`BRIEF`)."""
    found: defaultdict[Group, set[Group]] = defaultdict(set)
    in_passing: defaultdict[Group, set[Group]] = defaultdict(set)
    for _, trips in groupby(flow.trips, key=lambda trip: trip.origin):
        reads: _Users = defaultdict(set)
        writes: _Users = defaultdict(set)
        brief: set[Group] = set()
        for number, trip in enumerate(trips):
            user = _user(trip, number)
            longest = max((node.count for node in trip.nodes if isinstance(node, Read)), default=0)
            for node in trip.nodes:
                groups = [g for g in touched(node, flow.buffers) if not loaded(flow.buffers[g[0]])]
                if isinstance(node, Read) and node.count * BRIEF < longest:
                    brief.update(groups)
                    continue
                kind = writes if isinstance(node, Write) else reads
                for group in groups:
                    kind[group].add(user)
        for users in (reads, writes):
            _add(found, users)
        for group in {*reads, *brief} if brief else ():
            in_passing[group] |= brief
    return found, in_passing


def on_one_side(flow: Flow) -> dict[Group, set[Group]]:
    """Groups that one value is written to, or read from: it runs one way, so they lie on one side."""
    tied: nx.Graph[Group] = nx.Graph()
    for trip in flow.trips:
        touching: defaultdict[tuple[int, bool], set[Group]] = defaultdict(set)
        for node in trip.nodes:
            if isinstance(node, (Read, Write)):
                value = node.source if isinstance(node, Write) else node.result
                touching[value, isinstance(node, Write)].update(touched(node, flow.buffers))
        for first, *others in touching.values():
            tied.add_edges_from((first, other) for other in others)
    found: dict[Group, set[Group]] = {}
    for together in nx.connected_components(tied):
        found |= {group: together - {group} for group in together}
    return found


def loaded(buffer: Buffer) -> bool:
    """Whether loads of weights read it."""
    return buffer.stripes > 1 or buffer.memory == "rram"


def _user(trip: Trip, number: int) -> str:
    feed = next((node for node in trip.nodes if isinstance(node, Feed)), None)
    return f"trip {number}" if feed is None else f"plane {feed.plane}"


def _add(found: defaultdict[Group, set[Group]], users: _Users) -> None:
    everyone = set(users)
    alone: defaultdict[str, set[Group]] = defaultdict(set)
    for group, mine in users.items():
        if len(mine) == 1:
            alone[next(iter(mine))].add(group)
    for group, mine in users.items():
        found[group] |= everyone - alone[next(iter(mine))] if len(mine) == 1 else everyone
