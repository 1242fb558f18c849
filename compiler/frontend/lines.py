"""Where statements end: newlines that mean nothing are dropped before the parser sees them."""

from __future__ import annotations

import re
from collections.abc import Iterator

from lark import Token
from lark.lark import PostLex

CLOSER = {"LPAR": "RPAR", "LSQB": "RSQB", "LBRACE": "RBRACE"}
CONTINUES = frozenset(
    ("COMMA", "EQUAL", "AUGMENT", "COMPARE", "PLUS", "MINUS", "STAR", "FLOORDIV", "SLASH", "PERCENT", "AT", "DOTDOT")
)


class Lines(PostLex):
    """Drops separators inside ( ) and [ ] and after an operator or a comma. A ';' is always kept."""

    always_accept = ("_SEP",)

    def process(self, stream: Iterator[Token]) -> Iterator[Token]:
        inside: list[str] = []
        before = ""
        for token in stream:
            if token.type == "_SEP" and not _ends_statement(token, before, inside):
                continue
            if token.type in CLOSER:
                inside.append(CLOSER[token.type])
            elif inside and token.type == inside[-1]:
                inside.pop()
            before = token.type
            yield token


def _ends_statement(token: Token, before: str, inside: list[str]) -> bool:
    if ";" in re.sub("#.*", "", token):
        return True
    return before not in CONTINUES and (not inside or inside[-1] == "RBRACE")
