"""A column group without a slice takes those of neighbours: which, at what price, and that the others find new ones."""

from __future__ import annotations

import sys
from itertools import chain, combinations
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from compiler.scheduling.eviction import MAX_EVICTIONS, cheapest_eviction
from compiler.scheduling.trip import Group
from isa.chip import load_chip

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
from measure.decoder import Decoder, compiled, random_weights

GROUPS: list[Group] = [(name, 0, 0) for name in "abcdef"]
HOLDERS = st.dictionaries(st.sampled_from(["s0", "s1", "s2", "s3"]), st.sets(st.sampled_from(GROUPS)))


@given(HOLDERS, st.integers(1, 3), st.sets(st.sampled_from(GROUPS)))
def test_as_many_slices_become_free_as_are_needed(holders: dict[str, set[Group]], width: int, movable: set[Group]) -> None:
    found = cheapest_eviction(holders, width, movable, {})
    subsets = chain.from_iterable(combinations(sorted(movable), n) for n in range(len(movable) + 1))
    enough = [set(s) for s in subsets if sum(groups <= set(s) for groups in holders.values()) >= width]
    assert (found is None) == (not enough)
    if found is not None:
        assert found <= movable
        assert sum(groups <= found for groups in holders.values()) >= width
        if all(len(groups) <= 1 for groups in holders.values()):
            assert len(found) <= width


def test_who_was_moved_before_stays_if_others_can_go_and_in_the_end_for_good() -> None:
    holders = {"s0": {GROUPS[0]}, "s1": {GROUPS[1]}}
    assert cheapest_eviction(holders, 1, GROUPS, {GROUPS[0]: 1}) == {GROUPS[1]}
    assert cheapest_eviction(holders, 2, GROUPS, {GROUPS[0]: MAX_EVICTIONS}) is None


def test_prefill_of_two_layers_keeps_its_fusion(tmp_path: Path) -> None:
    """Greedy colouring finds no place for a column of this program in any order; then every trip would be cut shorter."""
    shape = Decoder("two layers", 2, 576, 9, 3, 640, 320)
    file = random_weights(shape, tmp_path / "random.gguf")
    facts = compiled(file, shape.constants, load_chip("lpu-rram"), "i8f16", 128, 128).program.facts
    assert facts["fuse_limit"] == 8
