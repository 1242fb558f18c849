"""What each instruction means: one function a mnemonic, on whole arrays of vectors, the same for both machines.

A stream operand arrives as a typed array [n, lanes] (a span of groups as [n, span, lanes]), an immediate as [1, 1]. Timing,
ports and the state of memories and planes belong to the machines; here they are plain array arguments.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from isa import numerics
from isa.layout import NUMPY_TYPES
from isa.program import Immediate, Operation, Stream
from isa.spec import BYTES, INSTRUCTIONS

Vectors = NDArray[Any]
"""[n, lanes] of a stream type."""
Semantics = Callable[..., Any]

_FUNCTIONS: dict[str, Semantics] = {}
SEMANTICS: Mapping[str, Semantics] = _FUNCTIONS
"""The function of every mnemonic."""


def semantics(*mnemonics: str) -> Callable[[Semantics], Semantics]:
    """Register the function that gives a mnemonic its meaning."""

    def register(function: Semantics) -> Semantics:
        for mnemonic in mnemonics:
            if mnemonic in _FUNCTIONS:
                raise ValueError(f"two meanings of {mnemonic}")
            _FUNCTIONS[mnemonic] = function
        return function

    return register


def join_bytes(streams: Sequence[NDArray[np.uint8]], type_name: str) -> Vectors:
    """Byte streams of a group, lowest first, each [n, lanes], to values [n, lanes]."""
    if len(streams) == 1:
        return np.ascontiguousarray(streams[0]).view(NUMPY_TYPES[type_name])
    return np.stack(streams, axis=-1).view(NUMPY_TYPES[type_name])[..., 0]


def split_bytes(values: Vectors) -> NDArray[np.uint8]:
    """Values [n, lanes] to byte streams [n, lanes, bytes], lowest first. A view where the values are contiguous."""
    values = np.ascontiguousarray(values)
    return values.view(np.uint8).reshape(*values.shape, values.dtype.itemsize)


def immediate_value(operand: Immediate, domain: str) -> Vectors:
    """The constant in its domain, [1, 1]."""
    word = np.array([[operand.bits & 0xFFFF_FFFF]], np.uint32)
    return word.view(np.float32 if domain == "f" else np.int32)


def transform(op: Operation, operands: Sequence[Vectors]) -> Vectors:
    """The result of a VXM or SXM operation: [n, lanes] of its result's type ([n, span, lanes] where it spans groups).

    `operands` are its sources in order: typed arrays, immediates by `immediate_value`.
    """
    return SEMANTICS[op.mnemonic](op, *operands)


# Memory ---------------------------------------------------------------------------------------------------------------


@semantics("read", "gather")
def fetch(words: NDArray[np.uint8], addresses: NDArray[np.int64] | slice) -> NDArray[np.uint8]:
    """Words [n, lanes] at the addresses; a view where they are a slice."""
    return words[addresses]


@semantics("write", "scatter")
def store(
    words: NDArray[np.uint8],
    addresses: NDArray[np.int64] | slice,
    vectors: NDArray[np.uint8],
    lanes: NDArray[np.bool_] | None = None,
) -> None:
    """Put vectors [n, lanes] at the addresses, the last one where an address repeats; only in `lanes` if given."""
    if lanes is None:
        words[addresses] = vectors  # NumPy leaves the last value where an index repeats
    elif isinstance(addresses, slice):
        words[addresses, lanes] = vectors[:, lanes]
    else:
        words[addresses[:, None], np.flatnonzero(lanes)[None, :]] = vectors[:, lanes]


def lane_mask(mask: int, lanes: int, superlane: int) -> NDArray[np.bool_] | None:
    """Lanes that a write's superlane mask lets through; None for all of them."""
    parts = [bool(mask >> i & 1) for i in range(lanes // superlane)]
    return None if all(parts) else np.repeat(parts, superlane)


def word_indices(index: Vectors) -> NDArray[np.int64]:
    """The index of a gather or scatter from index vectors i32 [n, lanes]: lane 0."""
    return index[:, 0].astype(np.int64)


# Matrix unit ----------------------------------------------------------------------------------------------------------


@semantics("load")
def install(weights: Vectors, places: slice, vectors: Vectors, transposed: bool) -> None:
    """Install vectors [n, lanes] as these n rows (columns if transposed) of weights [lanes, lanes]."""
    if transposed:
        weights[:, places] = vectors.T
    else:
        weights[places] = vectors


@semantics("swap")
def exchange(shadow: Any, active: Any) -> tuple[Any, Any]:
    """(shadow, active) after a swap. The machines empty the new shadow."""
    return active, shadow


def prepared_weights(mode: str, weights: Vectors) -> Vectors:
    """Weights [lanes, lanes] as `product` takes them: worth keeping while they are fed to."""
    return numerics.prepare_i8(weights) if mode == "i8" else numerics.prepare_f16(weights)


@semantics("feed")
def product(op: Operation, mode: str, activations: Vectors, prepared: Vectors) -> Vectors:
    """Dots [n, lanes] of activations [n, lanes] with weights: i32 in mode i8, else f32. Row r meets lane `lane` + r."""
    first, depth = op.get("lane"), op.get("depth")
    dot = numerics.dot_i8_prepared if mode == "i8" else numerics.dot_f16_prepared
    return dot(activations[:, first : first + depth], prepared[:depth])


# Lane moves -----------------------------------------------------------------------------------------------------------


def _retyped(op: Operation, moved: Vectors) -> Vectors:
    """Moved bytes under the type of the result, which is as wide as the operand's."""
    assert op.result is not None
    return np.ascontiguousarray(moved).view(NUMPY_TYPES[op.result.type])


@semantics("shift")
def _shift(op: Operation, a: Vectors) -> Vectors:
    by = op.get("by")
    lanes = a.shape[1]
    moved = np.zeros_like(a)
    if 0 <= by < lanes:
        moved[:, by:] = a[:, : lanes - by]
    elif -lanes < by < 0:
        moved[:, :by] = a[:, -by:]
    return _retyped(op, moved)


@semantics("rotate")
def _rotate(op: Operation, a: Vectors) -> Vectors:
    lanes = op.get("lanes")
    moved = np.zeros_like(a)
    moved[:, :lanes] = np.roll(a[:, :lanes], op.get("by"), axis=1)
    return _retyped(op, moved)


@semantics("permute")
def _permute(op: Operation, a: Vectors, places: Vectors) -> Vectors:
    lanes = a.shape[1]
    legal = (places >= 0) & (places < lanes)
    moved = np.take_along_axis(a, np.where(legal, places, 0).astype(np.int64), axis=1)
    moved[~legal] = 0
    return _retyped(op, moved)


@semantics("select")
def _select(op: Operation, a: Vectors, b: Vectors) -> Vectors:
    split = op.get("split")
    return _retyped(op, np.concatenate([a[:, :split], b.view(a.dtype)[:, split:]], axis=1))


@semantics("broadcast")
def _broadcast(op: Operation, a: Vectors) -> Vectors:
    return _retyped(op, np.repeat(a[:, op.get("lane"), None], a.shape[1], axis=1))


@semantics("transpose")
def _transpose(op: Operation, a: Vectors) -> Vectors:
    n, span, lanes = a.shape
    blocks = a.reshape(n, span, lanes // span, span)
    return np.ascontiguousarray(blocks.transpose(0, 3, 2, 1)).reshape(n, span, lanes)


_FOLDS: tuple[Literal["add", "max", "min"], ...] = ("add", "max", "min")
"""By the number of the field `op`."""


@semantics("reduce")
def _reduce(op: Operation, a: Vectors) -> Vectors:
    folded = numerics.lane_tree(_FOLDS[op.get("op")], a[:, : op.get("lanes")])
    return _retyped(op, np.repeat(folded[:, None], a.shape[1], axis=1))


# Vector unit ----------------------------------------------------------------------------------------------------------

_VECTOR = tuple(row for row in INSTRUCTIONS if row.ports == ("vxm",))


def _in_domain(op: Operation, operands: Sequence[Vectors]) -> list[Vectors]:
    """Operands in the operation's domain; immediates are there already."""
    domain: Literal["f", "i"] = "f" if op.row.domain == "f" else "i"
    pairs = zip(op.sources, operands, strict=True)
    return [x if isinstance(s, Immediate) else numerics.to_domain(x, domain) for s, x in pairs]


@semantics(*(row.mnemonic for row in _VECTOR if not any(f.name == "group" for f in row.fields)))
def _elementwise(op: Operation, *operands: Vectors) -> Vectors:
    assert op.result is not None
    return numerics.from_domain(numerics.apply(op.mnemonic, _in_domain(op, operands)), op.result.type)


@semantics(*(row.mnemonic for row in _VECTOR if any(f.name == "group" for f in row.fields)))
def _along_time(op: Operation, *operands: Vectors) -> Vectors:
    """[n, lanes] to [n / group, lanes]: each group folded in time order."""
    assert op.result is not None
    first, *others = _in_domain(op, operands)
    if others:
        folded = numerics.running_product(op.mnemonic, first, others[0], op.get("group"))
    else:
        folded = numerics.running(op.mnemonic, first, op.get("group"))
    return numerics.from_domain(folded, op.result.type)


def operand_layout(op: Operation) -> list[tuple[str, int, int]]:
    """(type, groups, first ordinal among `timing.stream_reads`) of each source; immediates have no groups.

    A load's streams are bytes of weights, so its span is the streams that it names.
    """
    layout: list[tuple[str, int, int]] = []
    ordinal = 0
    for operand, source in zip(op.row.sources, op.sources, strict=True):
        if not isinstance(source, Stream):
            layout.append(("", 0, ordinal))
            continue
        groups = operand.span if isinstance(operand.span, int) else op.get(operand.span)
        layout.append((source.type, groups, ordinal))
        ordinal += groups * BYTES[source.type]
    return layout
