"""Pipelines as text: `decompose,fold-constants{limit=64}` to passes, with faults that users can read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from difflib import get_close_matches

from xdsl.passes import ModulePass
from xdsl.utils.arg_spec import parse_pipeline
from xdsl.utils.exceptions import ArgSpecParseError, ParseError

from compiler.passes import PASSES
from isa.errors import Location, SyntaxFault

FILE = "--passes"


def parse_passes(text: str, known: Mapping[str, Callable[[], type[ModulePass]]] = PASSES) -> list[ModulePass]:
    """The passes of a pipeline. Raises SyntaxFault for a malformed text, a pass that is not known, a wrong option."""
    try:
        specs = list(parse_pipeline(text))
    except (ArgSpecParseError, ParseError, ValueError) as error:
        reason = str(error).removeprefix("Error parsing pass pipeline specification:\n").strip()
        raise SyntaxFault("this is not a pipeline", Location(FILE), notes=(reason,), hint=_FORM) from None
    found: list[ModulePass] = []
    for spec in specs:
        if spec.name not in known:
            near = get_close_matches(spec.name, known, n=1)
            hint = f"did you mean {near[0]}?" if near else f"passes are {', '.join(PASSES)}"
            column = text.find(spec.name) + 1
            raise SyntaxFault(f"there is no pass '{spec.name}'", Location(FILE, 1, column, text), hint=hint)
        try:
            found.append(known[spec.name]().from_pass_spec(spec))
        except ValueError as error:
            raise SyntaxFault(f"pass {spec.name}: {error}", Location(FILE)) from None
    return found


_FORM = "passes are separated by commas: name,name{option=value},…"
