"""Every pass and every dialect by name. A module is imported when its pass or dialect is first asked for."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

from xdsl.ir import Dialect
from xdsl.passes import ModulePass


def _dialect(module: str, name: str) -> Callable[[], Dialect]:
    def load() -> Dialect:
        return getattr(import_module(f"compiler.dialects.{module}"), name)

    return load


def _from(module: str, name: str) -> Callable[[], type[ModulePass]]:
    def load() -> type[ModulePass]:
        return getattr(import_module(f"compiler.{module}"), name)

    return load


PASSES: dict[str, Callable[[], type[ModulePass]]] = {
    "integer-products": _from("transforms.integer_products", "IntegerProductsPass"),
    "set-precision": _from("transforms.set_precision", "SetPrecisionPass"),
    "pack-images": _from("transforms.pack_images", "PackImagesPass"),
    "decompose": _from("transforms.decompose", "DecomposePass"),
    "canonicalize-graph": _from("transforms.canonicalize_graph", "CanonicalizeGraphPass"),
    "fold-constants": _from("transforms.fold_constants", "FoldConstantsPass"),
    "common-subexpressions": _from("transforms.common_subexpressions", "CommonSubexpressionsPass"),
    "join-heads": _from("transforms.join_heads", "JoinHeadsPass"),
    "casts-at-users": _from("transforms.casts_at_users", "CastsAtUsersPass"),
    "lower-to-flow": _from("transforms.lower_to_flow", "LowerToFlowPass"),
    "prefetch-weights": _from("transforms.prefetch_weights", "PrefetchWeightsPass"),
    "place-memory": _from("transforms.place_memory", "PlaceMemoryPass"),
    "schedule": _from("transforms.schedule", "SchedulePass"),
    "place-again": _from("transforms.place_again", "PlaceAgainPass"),
}
"""In the order in which the default pipeline first uses them."""

DIALECTS: dict[str, Callable[[], Dialect]] = {
    "graph": _dialect("graph", "Graph"),
    "flow": _dialect("flow", "Flow"),
}
