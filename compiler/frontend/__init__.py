"""The tensor language: text to tree to graph dialect. `docs/language.md` is its reference."""

from compiler.frontend.elaborate import build_graph
from compiler.frontend.parser import parse_source

__all__ = ["build_graph", "parse_source"]
