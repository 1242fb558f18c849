"""Names: what they stand for, which may change, and what a missing one was probably meant to be."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from difflib import get_close_matches

from compiler.dialects.graph_shapes import Tensor
from compiler.frontend import ast, indexing
from compiler.frontend.builtins import BUILTINS
from compiler.frontend.values import AnyValue, TensorValue
from isa.errors import ModelFault
from isa.spec import TYPES

CONSTANTS: dict[str, AnyValue] = {"inf": math.inf, "pi": math.pi, "true": 1, "false": 0, **{t: Tensor(t, ()) for t in TYPES}}
"""Names that every program has."""


@dataclass(slots=True)
class Scope:
    """The names of a program, and of the function being elaborated (`local` is None outside functions)."""

    top: dict[str, AnyValue] = field(default_factory=dict[str, AnyValue])
    local: dict[str, AnyValue] | None = None
    states: dict[str, TensorValue] = field(default_factory=dict[str, TensorValue])
    """The present value of each state."""
    families: dict[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    """Names of the states that a family's name stands for: `keys.0`, `keys.1`, …"""
    declared: dict[str, tuple[str, int]] = field(default_factory=dict[str, tuple[str, int]])
    """Names that were declared: as what, and on which line."""
    functions: dict[str, ast.Function] = field(default_factory=dict[str, ast.Function])

    def declare(self, name: str, what: str, line: int) -> None:
        """Raises ModelFault when the name is taken, or belongs to the language."""
        if name in self.declared:
            kind, before = self.declared[name]
            raise ModelFault(f"'{name}' is declared twice: as {kind} on line {before}", hint="choose another name")
        if name in CONSTANTS:
            raise ModelFault(f"'{name}' belongs to the language", hint="choose another name")
        self.declared[name] = (what, line)

    def look_up(self, name: str) -> AnyValue:
        """Raises ModelFault for a name that stands for nothing."""
        if name in self.families and name not in (self.local or {}):
            return tuple(self.states[member] for member in self.families[name])
        for names in (self.local or {}, self.states, self.top, CONSTANTS):
            if name in names:
                return names[name]
        if name in self.functions or name in BUILTINS:
            raise ModelFault(f"'{name}' is a function; call it: {name}(…)")
        raise ModelFault(f"'{name}' is not defined here", hint=self._near(name))

    def knows(self, name: str) -> bool:
        """Is it a number, list or tensor of the top level or of the language?"""
        return name in self.top or name in CONSTANTS

    def member(self, family: str, indices: tuple[indexing.Index, ...]) -> str:
        """The state that `family[i]` is. Raises ModelFault."""
        name = indexing.of_list(self.families[family], indices)
        if not isinstance(name, str):
            raise ModelFault(f"the states of '{family}' are assigned one by one", hint=f"for i in … {{ {family}[i] = … }}")
        return name

    def bind(self, name: str, value: AnyValue) -> None:
        """Assign to a name. Raises ModelFault for names that cannot change."""
        if self.local is not None and name in self.local:
            self.local[name] = value
        elif name in self.states:
            self._bind_state(name, value)
        elif name in self.families:
            raise ModelFault(f"the states of '{name}' are assigned one by one", hint=f"for i in … {{ {name}[i] = … }}")
        elif name in CONSTANTS:
            raise ModelFault(f"'{name}' belongs to the language", hint="choose another name")
        elif self.local is not None:
            self.local[name] = value
        else:
            kind, line = self.declared.get(name, ("", 0))
            if kind not in ("", "input", "output"):
                raise ModelFault(
                    f"'{name}' is declared as {kind} on line {line} and does not change", hint="choose another name"
                )
            self.top[name] = value

    def enter(self, name: str) -> AnyValue | None:
        """Before a loop over `name`: what it stood for in this scope, for `leave`. Raises ModelFault for a state."""
        if (name in self.states or name in self.families) and name not in (self.local or {}):
            raise ModelFault(f"'{name}' is a state; a loop needs a name of its own", hint="choose another name")
        return (self.top if self.local is None else self.local).get(name)

    def leave(self, name: str, before: AnyValue | None) -> None:
        names = self.top if self.local is None else self.local
        if before is None:
            names.pop(name, None)
        else:
            names[name] = before

    def _bind_state(self, name: str, value: AnyValue) -> None:
        before = self.states[name].tensor
        if not isinstance(value, TensorValue) or value.tensor != before:
            found = str(value.tensor) if isinstance(value, TensorValue) else "a compile-time value"
            hint = f"write {before.type}(…)" if isinstance(value, TensorValue) and value.shape == before.shape else ""
            raise ModelFault(f"the state '{name}' is {before}; it cannot become {found}", hint=hint)
        self.states[name] = value

    def function_hint(self, name: str) -> str:
        return _suggestion(name, [*self.functions, *BUILTINS])

    def _near(self, name: str) -> str:
        return _suggestion(name, [*(self.local or {}), *self.states, *self.families, *self.top, *CONSTANTS])


def _suggestion(name: str, known: list[str]) -> str:
    near = get_close_matches(name, known, n=1)
    return f"did you mean '{near[0]}'?" if near else ""
