"""Assembly text, one line at a time: tokens with their columns, and faults that point at them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Literal, NamedTuple, NoReturn, cast

from isa.errors import Location, SyntaxFault

TokenKind = Literal["word", "number", "immediate", "string", "directive", "mark", "end"]

_TOKENS = re.compile(
    r"""(?P<string>"(?:[^"\\]|\\.)*")
    |(?P<immediate>\#[^\s,|;!]*)
    |(?P<directive>\.[A-Za-z_]+)
    |(?P<mark>->|[@|,+!\[\]{])
    |(?P<number>-?(?:0[xX][0-9a-fA-F]+|\d+(?:\.\d*)?(?:[eE][-+]?\d+)?)(?![\w.]))
    |(?P<word>[A-Za-z_](?:[\w.]|-(?=\w))*(?::\w*)?)""",
    re.VERBOSE | re.ASCII,
)
_PLAIN_NAME = re.compile(r"[A-Za-z_](?:[\w.]|-(?=\w))*", re.ASCII)
_MAX_DIGITS = 24
SHOWN = 40
"""Most characters of the user's text that a message repeats."""


class Token(NamedTuple):
    kind: TokenKind
    text: str
    column: int

    def __str__(self) -> str:
        if self.kind == "end":
            return "the end of the line"
        return f"'{self.text if len(self.text) <= SHOWN else self.text[:SHOWN] + '…'}'"


def quoted(name: str) -> str:
    """A name as the text has it: bare where it can be, else a JSON string."""
    return name if _PLAIN_NAME.fullmatch(name) else json.dumps(name)


def listed(names: Iterable[str], most: int = 16) -> str:
    """'a, b or c' for messages."""
    all_names = list(names)
    shown = all_names[:most] + (["…"] if len(all_names) > most else [])
    return " or ".join([", ".join(shown[:-1]), shown[-1]] if len(shown) > 1 else shown)


class Line:
    """A cursor over the tokens of one line. `token` is the one not yet taken."""

    def __init__(self, file: str, number: int, text: str) -> None:
        self.file = file
        self.number = number
        self.text = text
        self.token = Token("end", "", 1)
        self._next = 0
        self.advance()

    def advance(self) -> Token:
        """Take the token; return it."""
        taken, text, at = self.token, self.text, self._next
        while at < len(text) and text[at] in " \t":
            at += 1
        if at == len(text) or text[at] == ";":
            self._next = len(text)
            self.token = Token("end", "", at + 1)
            return taken
        match = _TOKENS.match(text, at)
        if match is None:
            found = re.match(r"[^\s;|,]+|.", text[at:])
            self.fault("a word, a number or a mark", Token("word", found[0] if found else text[at], at + 1))
        self._next = match.end()
        self.token = Token(cast(TokenKind, match.lastgroup), match[0], at + 1)
        return taken

    def at(self, column: int) -> Location:
        return Location(self.file, self.number, column, self.text)

    def fault(self, expected: str, found: Token | None = None) -> NoReturn:
        """Raise SyntaxFault: expected this, found that (the token not yet taken)."""
        token = found or self.token
        raise SyntaxFault(f"expected {expected}, found {token}", self.at(token.column))

    def wrong(self, problem: str, token: Token, hint: str = "") -> NoReturn:
        """Raise SyntaxFault for a token that can be read but is wrong."""
        raise SyntaxFault(problem, self.at(token.column), hint=hint)

    def found(self, *texts: str) -> bool:
        """Whether the token is one of these marks or words."""
        return self.token.text in texts and self.token.kind in ("mark", "word")

    def mark(self, text: str) -> Token:
        if self.token.kind != "mark" or self.token.text != text:
            self.fault(f"'{text}'")
        return self.advance()

    def keyword(self, text: str) -> Token:
        if self.token.kind != "word" or self.token.text != text:
            self.fault(f"'{text}'")
        return self.advance()

    def word(self, expected: str) -> Token:
        if self.token.kind != "word":
            self.fault(expected)
        return self.advance()

    def name(self, expected: str) -> str:
        """A bare or quoted name."""
        if self.token.kind == "string":
            return self.string(expected)
        return self.word(expected).text

    def string(self, expected: str) -> str:
        if self.token.kind != "string":
            self.fault(expected)
        try:
            text = json.loads(self.token.text)
            text.encode()
        except ValueError:
            self.fault("a string with the escapes of JSON")
        self.advance()
        return text

    def integer(self, expected: str, low: int | None = None, high: int | None = None) -> int:
        """A decimal or 0x number, within low … high."""
        token = self.token
        value = integer_of(token.text) if token.kind == "number" else None
        if value is None:
            self.fault(expected)
        if (low is not None and value < low) or (high is not None and value > high):
            limits = f"{low} to {high}" if high is not None else f"at least {low}"
            self.fault(f"{expected}: {limits}")
        self.advance()
        return value

    def end(self) -> None:
        if self.token.kind != "end":
            self.fault("the end of the line")

    def rest_as_json(self, expected: str) -> object:
        """The JSON value that starts at the token; nothing but a comment may follow it."""
        start = self.token.column - 1
        try:
            decoder = json.JSONDecoder(parse_constant=_no_constant)
            value, end = decoder.raw_decode(self.text, start)
        except (ValueError, RecursionError):
            self.fault(expected, Token("word", self.text[start:], start + 1) if start < len(self.text) else None)
        self._next = end
        self.advance()
        self.end()
        return value


def _no_constant(name: str) -> object:
    raise ValueError(f"{name} is not JSON")


def integer_of(text: str) -> int | None:
    """The value of a decimal or 0x number, or None if the text is not one or is absurdly long."""
    if len(text) > _MAX_DIGITS or not re.fullmatch(r"-?(0[xX][0-9a-fA-F]+|[0-9]+)", text):
        return None
    return int(text, 16) if "x" in text.lower() else int(text)
