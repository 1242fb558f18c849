"""Operations of a flow: runs of trips that come of one operation of the graph, numbered in program order.

When trips run is known only after placement; until then operations tell what runs at about the same time, for they hardly
overtake each other by more than a few.
"""

from __future__ import annotations

from itertools import groupby

from compiler.scheduling.trip import Flow


class Operations:
    """`of`: the operation of each trip. A trip beyond the last one is an operation of its own."""

    def __init__(self, flow: Flow) -> None:
        self.of: list[int] = []
        self.first_trips: list[int] = []
        for number, (_, trips) in enumerate(groupby(flow.trips, key=lambda trip: trip.origin)):
            self.first_trips.append(len(self.of))
            self.of += [number for _ in trips]
        self.first_trips.append(len(self.of))
        self.of.append(len(self.first_trips) - 1)

    @property
    def count(self) -> int:
        return len(self.first_trips)

    def around(self, first_trip: int, last_trip: int, margin: int) -> tuple[int, int]:
        """First and last trip of the operations from `margin` before those of the two trips to `margin` after them."""
        first, end = max(0, self.of[first_trip] - margin), self.of[last_trip] + margin + 1
        return self.first_trips[first], (self.first_trips[end] if end < self.count else len(self.of)) - 1
