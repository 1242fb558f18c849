"""The table of translators: one function an operator, that builds the graph operations of one node."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from compiler.frontend.onnx.emitter import OnnxEmitter
from compiler.frontend.onnx.model import Array, Node
from compiler.frontend.onnx.values import Value
from isa.errors import ModelFault


@dataclass(frozen=True, slots=True)
class Call:
    """A node with the values of its inputs: what a translator is given besides the emitter."""

    node: Node
    inputs: tuple[Value | None, ...]

    @property
    def version(self) -> int:
        return self.node.version

    @property
    def outputs(self) -> int:
        """How many outputs the node names (absent ones in between count)."""
        return len(self.node.outputs)

    def wants(self, output: int) -> bool:
        """Does anybody ask for this output?"""
        return output < len(self.node.outputs) and bool(self.node.outputs[output])

    def optional(self, index: int) -> Value | None:
        return self.inputs[index] if index < len(self.inputs) else None

    def input(self, index: int) -> Value:
        """Raises ModelFault when the node lacks this input."""
        value = self.optional(index)
        if value is None:
            raise ModelFault(f"input {index} is missing")
        return value

    def all_inputs(self) -> list[Value]:
        """Of operators with any number of inputs. Raises ModelFault when there is none."""
        found = [value for value in self.inputs if value is not None]
        if not found:
            raise ModelFault("there are no inputs")
        return found

    def known(self, index: int, what: str) -> Array | None:
        """The array of an optional input that must be known at compile time; None when absent. Raises ModelFault."""
        value = self.optional(index)
        return None if value is None else value.require_known(what)

    def integer(self, name: str, default: int | None = None) -> int:
        return int(self._attribute(name, (int,), default))

    def number(self, name: str, default: float | None = None) -> float:
        return float(self._attribute(name, (float, int), default))

    def text(self, name: str, default: str | None = None) -> str:
        return str(self._attribute(name, (str,), default))

    def integers(self, name: str, default: Sequence[int] | None = None) -> tuple[int, ...]:
        found = self._attribute(name, (tuple,), None if default is None else tuple(default))
        if not all(isinstance(n, int) for n in found):
            raise ModelFault(f"attribute '{name}' must be a list of integers; found {found}")
        return found

    def has(self, name: str) -> bool:
        return name in self.node.attributes

    def integers_of(self, name: str, index: int) -> tuple[int, ...] | None:
        """A list that older operator sets have as an attribute, newer ones as an input; None when it is in neither."""
        if self.has(name):
            return self.integers(name)
        array = self.known(index, f"'{name}' (input {index})")
        return None if array is None else tuple(int(n) for n in array.reshape(-1))

    def _attribute(self, name: str, kinds: tuple[type, ...], default: Any) -> Any:
        if name not in self.node.attributes:
            if default is None:
                raise ModelFault(f"attribute '{name}' is missing")
            return default
        found = self.node.attributes[name]
        if not isinstance(found, kinds):
            raise ModelFault(f"attribute '{name}' must be of type {kinds[0].__name__}; found {found!r:.80}")
        return found


Translator = Callable[[OnnxEmitter, Call], Value | Sequence[Value]]

TRANSLATORS: dict[tuple[str, str], Translator] = {}
"""By domain and operator. A translator gives the node's output, or its outputs in order; trailing ones may be left out
unless the model uses them. It raises ModelFault, without a place, for what it does not support."""


def translator(*operators: str, domain: str = "") -> Callable[[Translator], Translator]:
    """Register a function for these operators of a domain."""

    def register(function: Translator) -> Translator:
        for operator in operators:
            if (domain, operator) in TRANSLATORS:
                raise ValueError(f"two translators for {operator}")
            TRANSLATORS[domain, operator] = function
        return function

    return register


def no_translator(node: Node) -> ModelFault:
    """Why a node without a translator cannot be compiled, and what would help."""
    known = sorted(op for domain, op in TRANSLATORS if domain == node.domain)
    if node.op in CONTROL_FLOW:
        return ModelFault("control flow that depends on data cannot run on the chip", hint="export with static control flow")
    if not known:
        return ModelFault(f"operators of the domain '{node.domain}' are not known", hint="export with standard operators only")
    near = get_close_matches(node.op, known, n=1, cutoff=0.85)
    return ModelFault("there is no translator for this operator", hint=f"there is one for {near[0]}" if near else "")


CONTROL_FLOW = ("If", "Loop", "Scan")
