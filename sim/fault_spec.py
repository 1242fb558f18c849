"""What a campaign plants in a run, as text: `cells:words=all:bits=0-2,streams:bits=1`.

| kind | plants |
|---|---|
| `cells` | `bits` wrong cells in each of `words` code words of RRAM that are read; or each cell errs with probability `rate` |
| `rows` | `count` rows of RRAM that are read, with all cells stuck at 0 or at 1 |
| `streams` | `bits` wrong bits in one superlane of each of `words` values under way on streams |
| `sram` | `bits` wrong bits in one superlane of each of `words` words of SRAM, each at a random cycle |

Numbers are 1 unless given; `bits` may be a range, from which each word draws; `words=all` takes every word.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, cast, get_args

from isa.errors import Location, SyntaxFault

Kind = Literal["cells", "rows", "streams", "sram"]
KEYS: dict[str, tuple[str, ...]] = {
    "cells": ("words", "bits", "rate"),
    "rows": ("count",),
    "streams": ("words", "bits"),
    "sram": ("words", "bits"),
}
_FORM = "for example cells:words=all:bits=0-2, cells:rate=1e-5, rows:count=1, streams:bits=2, sram:words=3:bits=1"


@dataclass(frozen=True, slots=True)
class FaultSpec:
    """One kind of fault of every run."""

    kind: Kind
    words: int | None = 1
    """None for all; the rows of `rows`."""
    bits: tuple[int, int] = (1, 1)
    """Fewest and most wrong bits of a word."""
    rate: float | None = None
    """In place of words and bits."""


def parse_faults(text: str) -> tuple[FaultSpec, ...]:
    """The faults that a text names. Raises SyntaxFault."""
    return tuple(_parse_one(part.strip(), text) for part in text.split(","))


def _parse_one(part: str, text: str) -> FaultSpec:
    kind, *settings = part.split(":")
    place = Location("--faults", 1, text.find(part) + 1, text)
    if kind not in KEYS:
        raise SyntaxFault(f"there is no kind of fault '{kind}'; kinds are {', '.join(get_args(Kind))}", place, hint=_FORM)
    found: dict[str, str] = {}
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not equals or key not in KEYS[kind] or key in found:
            expected = " or ".join(f"{name}=…" for name in KEYS[kind])
            raise SyntaxFault(f"found '{setting}' in {kind}, expected {expected}, each once", place, hint=_FORM)
        found[key] = value
    if "rate" in found and len(found) > 1:
        raise SyntaxFault("rate says how many words and bits err: it stands alone", place, hint=_FORM)
    try:
        rate = float(found["rate"]) if "rate" in found else None
        words = _words(found.get("words", found.get("count", "1")), kind)
        bits = _bits(found.get("bits", "1"))
        if rate is not None and not 0 <= rate <= 1:
            raise ValueError(f"rate={rate:g} is no probability")
    except ValueError as error:
        raise SyntaxFault(f"{part}: {error}", place, hint=_FORM) from None
    return FaultSpec(cast(Kind, kind), words, bits, rate)


def _words(value: str, kind: str) -> int | None:
    if value == "all" and kind == "cells":
        return None
    if not re.fullmatch(r"[1-9][0-9]{0,5}", value):
        raise ValueError(f"'{value}' is no number from 1 to 999999" + (" and not all" if kind == "cells" else ""))
    return int(value)


def _bits(value: str) -> tuple[int, int]:
    match = re.fullmatch(r"([0-9]{1,3})(?:-([0-9]{1,3}))?", value)
    if not match:
        raise ValueError(f"'{value}' is neither a number of bits nor a range such as 0-2")
    low, high = int(match[1]), int(match[2] or match[1])
    if low > high or not high:
        raise ValueError(f"{value} bits: the range must rise, to at least 1")
    return low, high
