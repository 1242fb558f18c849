"""The tensor language: text to tree to graph dialect. `docs/language.md` is its reference."""

from compiler.frontend.elaborate import Settings, build_graph
from compiler.frontend.parser import parse_source

__all__ = ["Settings", "build_graph", "parse_source"]
