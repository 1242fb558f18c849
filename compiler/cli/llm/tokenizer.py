"""Text to tokens and back, by a model's own tokenizer (package `tokenizers`, extra `llm`)."""

from __future__ import annotations

import re
from importlib.util import find_spec
from typing import TYPE_CHECKING

from isa.errors import DataFault

if TYPE_CHECKING:
    from compiler.cli.llm.model import Model

CHAT_MARKS = "<|im_start|>", "<|im_end|>"


class TokenizerOf:
    """The tokenizer of a model. Raises DataFault where it has none, or one of another kind."""

    def __init__(self, model: Model) -> None:
        if find_spec("tokenizers") is None:
            raise DataFault("text needs the package tokenizers", hint="pip install 'lockstep-lpu[llm]'")
        self._tokenizer = model.words.tokenizer()
        self._first, self._template, self._name = model.words.first, model.words.chat_template, model.name
        self.ends = model.words.ends
        """Tokens after which a text is complete."""

    def encode(self, text: str) -> list[int]:
        return [*self._first, *self._tokenizer.encode(text, add_special_tokens=False).ids]

    def decode(self, tokens: list[int]) -> str:
        return self._tokenizer.decode(tokens, skip_special_tokens=True)

    def chat(self, message: str) -> str:
        """The prompt that asks for an answer to a message. Raises DataFault where the model's chats are not ChatML."""
        begin, end = CHAT_MARKS
        if begin not in self._template:
            raise DataFault(
                f"'{self._name}' has no chat template of the kind {begin}role … {end}",
                hint="leave --chat out, or write the prompt",
            )
        system = re.search(re.escape(f"{begin}system") + r"(?:\\n|\n)(.*?)" + re.escape(end), self._template, re.DOTALL)
        opening = f"{begin}system\n{system[1]}{end}\n" if system and "message" not in system[1] else ""
        return f"{opening}{begin}user\n{message}{end}\n{begin}assistant\n"
