"""Text to tokens and back, by the tokenizer that a GGUF file holds (byte-level BPE; package `tokenizers`, extra `llm`)."""

from __future__ import annotations

import re
from typing import Any, cast

from compiler.cli.llm.model import Model
from isa.errors import DataFault

CONTROL = 3
"""Token type of what stands for itself in a prompt, such as <|im_start|>."""

DIGITS_APART = ("smollm",)
BYTE_LEVEL = ("smollm", "gpt-2", "default")
"""Pre-tokenisers, as `tokenizer.ggml.pre` names them: GPT-2's words, with every digit apart in the first."""

CHAT_MARKS = "<|im_start|>", "<|im_end|>"


class TokenizerOf:
    """The tokenizer of a model. Raises DataFault where its file has none, or one of another kind."""

    def __init__(self, model: Model) -> None:
        try:
            import tokenizers
            from tokenizers import decoders, models, pre_tokenizers
        except ImportError:
            raise DataFault("text needs the package tokenizers", hint="pip install 'lockstep-lpu[llm]'") from None
        kind, before = model.field("tokenizer.ggml.model"), model.field("tokenizer.ggml.pre") or "default"
        if kind is None or model.field("tokenizer.ggml.tokens") is None:
            raise DataFault(f"'{model.path.name}' has no tokenizer", hint="a GGUF file made with its vocabulary has one")
        if kind != "gpt2" or before not in BYTE_LEVEL:
            raise DataFault(
                f"the tokenizer of '{model.path.name}' is {kind} with {before}; byte-level BPE is read",
                notes=(f"that is gpt2 with {', '.join(BYTE_LEVEL)}",),
            )
        self.words: list[str] = model.field("tokenizer.ggml.tokens")
        merges = [tuple(pair.split(" ", 1)) for pair in model.field("tokenizer.ggml.merges") or ()]
        bpe = cast(Any, models.BPE)({word: i for i, word in enumerate(self.words)}, merges)
        self._tokenizer: Any = tokenizers.Tokenizer(bpe)
        steps: list[Any] = [pre_tokenizers.ByteLevel(add_prefix_space=False)]
        if before in DIGITS_APART:
            steps.insert(0, pre_tokenizers.Digits(individual_digits=True))
        self._tokenizer.pre_tokenizer = pre_tokenizers.Sequence(steps)
        self._tokenizer.decoder = decoders.ByteLevel()
        kinds: list[int] = model.field("tokenizer.ggml.token_type") or []
        control = [word for word, kind in zip(self.words, kinds, strict=False) if kind == CONTROL]
        self._tokenizer.add_special_tokens([tokenizers.AddedToken(word, special=True, normalized=False) for word in control])
        self.first = [model.field("tokenizer.ggml.bos_token_id")] if model.field("tokenizer.ggml.add_bos_token") else []
        ends = (model.field("tokenizer.ggml.eos_token_id"), model.field("tokenizer.ggml.eot_token_id"))
        self.ends = {end for end in ends if end is not None}
        """Tokens after which a text is complete."""
        self._template = str(model.field("tokenizer.chat_template") or "")
        self._name = model.path.name

    def encode(self, text: str) -> list[int]:
        return [*self.first, *self._tokenizer.encode(text, add_special_tokens=False).ids]

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
