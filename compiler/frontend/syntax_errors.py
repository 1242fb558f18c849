"""What a parser error says to a person: what was found, what could stand there, and which bracket is still open."""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import Any, cast

from lark.exceptions import UnexpectedCharacters, UnexpectedInput, UnexpectedToken

from compiler.frontend.ast import MAX_EXCERPT
from isa.errors import Location, SyntaxFault

STATEMENTS = ("const", "param", "input", "state", "output", "fn", "for", "if", "return", "from")
KEYWORDS = frozenset((*STATEMENTS, "else", "in", "as", "step"))

VALUES = frozenset(("STRING", "FLOAT", "INT", "NAME", "MINUS", "LSQB", "LPAR"))
OPERATORS = frozenset(
    ("PLUS", "MINUS", "STAR", "SLASH", "FLOORDIV", "PERCENT", "AT", "COMPARE", "DOT", "LSQB", "EQUAL", "AUGMENT", "DOTDOT")
)
CONTINUING = ("+", "*", "/", "//", "%", "@", "=", "==", "<", "<=", ">", ">=", ",")
WORDS = {
    "LPAR": "'('",
    "RPAR": "')'",
    "LSQB": "'['",
    "RSQB": "']'",
    "LBRACE": "'{'",
    "RBRACE": "'}'",
    "COMMA": "','",
    "COLON": "':'",
    "EQUAL": "'='",
    "DOTDOT": "'..'",
    "NAME": "a name",
    "STRING": "a string",
    "FROM": "'from'",
    "AS": "'as'",
    "IN": "'in'",
    "STEP": "'step'",
    "ELSE": "'else'",
    "FOR": "'for'",
    "IF": "'if'",
}
ORDER = tuple(WORDS)


def explain(error: UnexpectedInput, text: str, file: str) -> SyntaxFault:
    """The fault for what lark refused."""
    line, column, found, expected = _facts(error, text)
    lines = text.split("\n")
    excerpt = lines[line - 1][: max(MAX_EXCERPT, column)].rstrip("\r") if line <= len(lines) else ""
    message = f"found {found}, expected {_join(_words(expected))}"
    notes: tuple[str, ...] = ()
    opened = _open_bracket(lines, line, column)
    closing = {"(": "RPAR", "[": "RSQB", "{": "RBRACE"}
    if opened and closing[opened[0]] in expected:
        notes = (f"the '{opened[0]}' at {file}:{opened[1]}:{opened[2]} is still open",)
    return SyntaxFault(message, Location(file, line, column, excerpt), notes=notes, hint=_hint(error, found, excerpt, expected))


def _facts(error: UnexpectedInput, text: str) -> tuple[int, int, str, set[str]]:
    """Line, column, what stands there in words, and the terminals that could."""
    if isinstance(error, UnexpectedToken):
        token: Any = cast(Any, error).token
        expected = set(error.accepts or error.expected)
        if token.type == "$END":
            lines = text.rstrip().split("\n")
            return len(lines), len(lines[-1]) + 1, "the end of the source", expected
        if token.type == "_SEP":
            found = "';'" if ";" in re.sub("#.*", "", token) else "the end of the line"
            return token.line or 1, token.column or 1, found, expected
        return token.line or 1, token.column or 1, f"'{token}'", expected
    assert isinstance(error, UnexpectedCharacters)
    char = str(cast(Any, error).char)
    found = "a string without its closing '\"'" if char == '"' else f"the character {char!r}"
    return error.line, error.column, found, set(error.allowed) - {"_SEP"}


def _words(expected: set[str]) -> list[str]:
    """Expected terminals as a reader would say them, most telling first."""
    words: list[str] = []
    rest = set(expected)
    if {"CONST", "PARAM"} & rest:
        words.append("a statement")
        rest &= {"RBRACE"}
    if {"PLUS", "STAR"} & rest:
        words.append("an operator")
        rest -= OPERATORS
    if {"INT", "NAME"} <= rest:
        words.append("a value")
        rest -= VALUES
    words += [WORDS[t] for t in ORDER if t in rest]
    if {"_SEP", "$END"} & rest:
        words.append("the end of the statement")
    return words or ["something else"]


def _join(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"


def _hint(error: UnexpectedInput, found: str, excerpt: str, expected: set[str]) -> str:
    word = found.strip("'")
    before = excerpt[: error.column - 1].rstrip() if error.column > 0 else ""
    last = re.search(r"[A-Za-z_]\w*$", before)
    if word in KEYWORDS and "NAME" in expected:
        return f"'{word}' is a keyword"
    if not before.strip() and word in CONTINUING:
        return f"a line goes on after an operator: put '{word}' at the end of the line before"
    if before.endswith("*") and word == "*":
        return "there is no power operator; write x * x, or sqrt, exp, log"
    if last and before.strip() == last[0] and re.match(r"[A-Za-z_]", word):
        near = get_close_matches(last[0], (*STATEMENTS, "else"), n=1)
        if near and near[0] != last[0]:
            return f"did you mean '{near[0]}'?"
    if "else" in (word, before.strip()):
        return "'else' stands on the line of the '}' before it"
    return ""


def _open_bracket(lines: list[str], line: int, column: int) -> tuple[str, int, int] | None:
    """The innermost bracket that is open at a place, with its own place."""
    opened: list[tuple[str, int, int]] = []
    for number, text in enumerate(lines[:line], 1):
        for match in re.finditer(r'"[^"]*"|#.*|[\[({\])}]', text if number < line else text[: column - 1]):
            if match[0] in "([{":
                opened.append((match[0], number, match.start() + 1))
            elif match[0] in ")]}" and opened:
                opened.pop()
    return opened[-1] if opened else None
