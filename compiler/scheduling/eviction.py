"""Which neighbours of a column group give up their slices, where it has found none of its own."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from compiler.scheduling.trip import Group

MAX_EVICTIONS = 8
"""How often a group may lose its place before it keeps it for good: so that repairing ends."""


def cheapest_eviction(
    holders: Mapping[str, Collection[Group]], width: int, movable: Collection[Group], evictions: Mapping[Group, int]
) -> set[Group] | None:
    """Groups that hold so many of the slices, or None where too many are held by groups that may not be moved.

    `holders` are the groups in each slice. Greedy: always the slice that costs least beyond what is evicted already, where a
    group costs more each time it has been evicted.
    """

    def fixed(group: Group) -> bool:
        return group not in movable or evictions.get(group, 0) >= MAX_EVICTIONS

    open_slices = {unit: set(groups) for unit, groups in holders.items() if not any(map(fixed, groups))}
    if len(open_slices) < width:
        return None
    evicted: set[Group] = set()
    for _ in range(width):
        unit = min(open_slices, key=lambda u: (sum(1 + evictions.get(g, 0) for g in open_slices[u] - evicted), u))
        evicted |= open_slices.pop(unit)
    return evicted
