"""A Llama-type model in NumPy f32, from a GGUF file: what `samples/smollm2` is compared with. It shares no code with it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]


@dataclass(frozen=True)
class Shape:
    """The numbers of a model, as its file has them."""

    layers: int
    width: int
    heads: int
    kv_heads: int
    hidden: int
    theta: float
    eps: float

    @property
    def head(self) -> int:
        return self.width // self.heads


class Llama:
    """Weights, and keys and values of all positions so far."""

    def __init__(self, path: Path) -> None:
        from gguf import GGUFReader, quants

        reader = GGUFReader(str(path))

        def number(name: str) -> float:
            return reader.fields[f"llama.{name}"].contents()

        self.shape = Shape(
            int(number("block_count")),
            int(number("embedding_length")),
            int(number("attention.head_count")),
            int(number("attention.head_count_kv")),
            int(number("feed_forward_length")),
            float(number("rope.freq_base")),
            float(number("attention.layer_norm_rms_epsilon")),
        )
        self.weights: dict[str, Array] = {
            t.name: quants.dequantize(t.data, t.tensor_type).astype(np.float32).reshape(t.shape[::-1]) for t in reader.tensors
        }
        self.keys: list[Array] = []
        self.values: list[Array] = []

    def _norm(self, x: Array, name: str) -> Array:
        scale = 1 / np.sqrt(np.mean(x * x, -1, keepdims=True, dtype=np.float32) + np.float32(self.shape.eps))
        return x * scale * self.weights[f"{name}.weight"]

    def _turned(self, x: Array, first: int) -> Array:
        """Pairs of neighbouring lanes turned; x is [tokens, heads, head]."""
        half = self.shape.head // 2
        speed = self.shape.theta ** (-np.arange(half) / half)
        angle = np.arange(first, first + len(x))[:, None, None] * speed
        cos, sin = np.cos(angle).astype(np.float32), np.sin(angle).astype(np.float32)
        even, odd = x[..., 0::2], x[..., 1::2]
        return np.stack([even * cos - odd * sin, even * sin + odd * cos], -1).reshape(x.shape)

    def __call__(self, tokens: list[int]) -> Array:
        """Logits after each of these tokens, which follow those before."""
        s, w = self.shape, self.weights
        first = len(self.keys[0]) if self.keys else 0
        if not self.keys:
            self.keys = self.values = [np.zeros((0, s.kv_heads, s.head), np.float32)] * s.layers
            self.values = list(self.values)
        x = w["token_embd.weight"][tokens]
        after = first + np.arange(len(tokens))
        seen = np.arange(first + len(tokens)) <= after[:, None]
        for i in range(s.layers):
            b = f"blk.{i}"
            h = self._norm(x, f"{b}.attn_norm")
            q = self._turned((h @ w[f"{b}.attn_q.weight"].T).reshape(len(tokens), s.heads, s.head), first)
            k = self._turned((h @ w[f"{b}.attn_k.weight"].T).reshape(len(tokens), s.kv_heads, s.head), first)
            v = (h @ w[f"{b}.attn_v.weight"].T).reshape(len(tokens), s.kv_heads, s.head)
            self.keys[i] = np.concatenate([self.keys[i], k])
            self.values[i] = np.concatenate([self.values[i], v])
            group = np.arange(s.heads) // (s.heads // s.kv_heads)
            score = np.einsum("shd,thd->hst", q, self.keys[i][:, group]) / np.float32(np.sqrt(s.head))
            score = np.where(seen, score, -np.inf)
            share = np.exp(score - score.max(-1, keepdims=True))
            share /= share.sum(-1, keepdims=True)
            mixed = np.einsum("hst,thd->shd", share, self.values[i][:, group]).reshape(len(tokens), -1)
            x = x + mixed @ w[f"{b}.attn_output.weight"].T
            h = self._norm(x, f"{b}.ffn_norm")
            gate = h @ w[f"{b}.ffn_gate.weight"].T
            x = x + (gate / (1 + np.exp(-gate)) * (h @ w[f"{b}.ffn_up.weight"].T)) @ w[f"{b}.ffn_down.weight"].T
        head = w.get("output.weight", w["token_embd.weight"])
        return self._norm(x, "output_norm") @ head.T
