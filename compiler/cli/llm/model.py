"""A Llama-type model: the numbers that `decoder.lks` needs, where its weights are, and how it turns text into tokens.

`read_model.py` makes one of a file or a folder.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from isa.errors import DataFault

if TYPE_CHECKING:
    from tokenizers import Tokenizer

ARCHITECTURE = "llama"


class Words(Protocol):
    """What a model says of its text."""

    def tokenizer(self) -> Tokenizer:
        """Raises DataFault where the model has none, or none that is read."""
        ...

    @property
    def first(self) -> list[int]:
        """Tokens before every text."""
        ...

    @property
    def ends(self) -> set[int]:
        """Tokens after which a text is complete."""
        ...

    @property
    def chat_template(self) -> str:
        """A Jinja template; empty where there is none."""
        ...


@dataclass(frozen=True, slots=True)
class Model:
    """`name` is for messages, `weights` the file that holds the tensors or names the files that do, `files` all that programs
    depend on."""

    name: str
    weights: Path
    files: tuple[Path, ...]
    constants: Mapping[str, int | float]
    context: int
    """Positions that the model was trained for; 0 where it does not say."""
    words: Words


def require_architecture(kind: Any, name: str) -> None:
    """Raises DataFault for a model that is not of Llama's type."""
    if kind != ARCHITECTURE:
        raise DataFault(f"'{name}' is a model of the type '{kind}'; only '{ARCHITECTURE}' models are run")
