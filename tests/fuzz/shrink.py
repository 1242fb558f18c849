"""Smaller texts that still fail: lines go, assignments become inputs, sizes get smaller, as long as the fault stays."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

ASSIGNMENT = re.compile(r"^(\w+) = .*  # (\w+(?:\[[\d, ]*\])?)$")


def shrink(text: str, still_fails: Callable[[str], bool], tries: int = 400) -> str:
    """The smallest text found with at most so many tries."""
    found = True
    while found and tries > 0:
        found = False
        for candidate in candidates(text):
            tries -= 1
            if still_fails(candidate):
                text, found = candidate, True
                break
            if tries <= 0:
                break
    return text


def candidates(text: str) -> Iterator[str]:
    """Texts a step simpler, the boldest first."""
    lines = text.splitlines()
    length = len(lines) // 2
    while length:
        for first in range(0, len(lines) - length + 1, length):
            yield "\n".join(lines[:first] + lines[first + length :]) + "\n"
        length //= 2
    for i in reversed(range(len(lines))):
        match = ASSIGNMENT.match(lines[i])
        if match:
            yield "\n".join([*lines[:i], f"input {match[1]}: {match[2]}", *lines[i + 1 :]]) + "\n"
    for number in sorted({int(n) for n in re.findall(r"(?<![\w.])\d+(?![\w.])", text)}, reverse=True):
        for smaller in sorted({1, 2, number // 2, number - 1}):
            if 0 < smaller < number:
                yield re.sub(rf"(?<![\w.]){number}(?![\w.])", str(smaller), text)
