"""Token by token on a device: the prompt in buckets, then one token a call. The host only chooses tokens and positions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from compiler.cli.llm.sampling import Sampling
from compiler.progress import stage
from isa.errors import DataFault
from isa.program import Program
from sim.device import Device, Machine, Result

Array = NDArray[np.float32]


@dataclass(slots=True)
class Spent:
    """Cycles so far, and the result of the last decode call."""

    prompt_cycles: int = 0
    decode_cycles: list[int] = field(default_factory=list[int])
    last_decode: Result | None = None


class Generator:
    """A model on a device: keys and values of all positions so far lie on the chip."""

    def __init__(
        self, decode: Program, prefill: Program | None, machine: Machine = "fast", *, first_only: bool = False
    ) -> None:
        """`first_only`: the prefill program looks at no older keys, so it is for the first tokens of a prompt alone."""
        self.decode, self.prefill, self.first_only = decode, prefill, first_only
        self.device = Device(decode, machine)
        if prefill is not None:
            self.device.load(prefill)
        state = next(s for s in decode.symbols if s.role == "state")
        self.context = state.shape[0]
        self.bucket = _rows(prefill) if prefill is not None else 1
        self.position = 0
        self.spent = Spent()

    def prompt(self, tokens: list[int]) -> Array:
        """Logits after a prompt at the beginning of the context. Raises DataFault for one that is empty or too long."""
        if not tokens:
            raise DataFault("the prompt is empty")
        if len(tokens) > self.context:
            raise DataFault(
                f"the prompt has {len(tokens)} tokens, the context {self.context} positions",
                hint="shorten the prompt, or ask for a longer --context",
            )
        logits = np.zeros(0, np.float32)
        advance = stage("positions", len(tokens))
        while self.position < len(tokens):
            before = self.position
            by_bucket = self.prefill is not None and len(tokens) > 1 and not (self.first_only and self.position)
            logits = self._bucket(tokens) if by_bucket else self.step(tokens[self.position])
            advance(self.position - before)
        return logits

    def step(self, token: int) -> Array:
        """Logits after one more token, by the decode program."""
        logits = self._call(self.decode, [token], self.position, 0)
        self.position += 1
        return logits

    def _bucket(self, tokens: list[int]) -> Array:
        """One call of the prefill program. Rows past the prompt write positions that later calls write again before any row
        looks at them; a last bucket that would leave the context begins earlier."""
        assert self.prefill is not None
        first = min(self.position, self.context - self.bucket)
        rows = tokens[first : first + self.bucket]
        logits = self._call(self.prefill, rows + [0] * (self.bucket - len(rows)), first, len(rows) - 1)
        self.position = first + len(rows)
        return logits

    def _call(self, program: Program, tokens: list[int], first: int, last: int) -> Array:
        inputs = {
            "token": np.array(tokens, np.int32),
            "position": first + np.arange(len(tokens), dtype=np.int32),
            "last": np.array([last], np.int32),
        }
        result = self.device.run(inputs, program=program)
        self.spent.prompt_cycles += result.cycles
        if program is self.decode:
            self.spent.last_decode = result
        return result.outputs["logits"][0]

    def continuation(self, tokens: list[int], limit: int, sampling: Sampling, seed: int, ends: set[int]) -> Iterator[int]:
        """At most `limit` tokens after a prompt, until one that ends the text or the end of the context."""
        random = np.random.default_rng(seed)
        logits = self.prompt(tokens)
        for number in range(limit):
            token = sampling.choose(logits, random)
            yield token
            if token in ends or self.position >= self.context or number == limit - 1:
                return
            before = self.spent.prompt_cycles
            logits = self.step(token)
            self.spent.decode_cycles.append(self.spent.prompt_cycles - before)
            self.spent.prompt_cycles = before


def _rows(program: Program) -> int:
    return next(s for s in program.symbols if s.name == "token").shape[0]
