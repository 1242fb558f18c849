"""Attention with its caches and masks, and rotary embeddings."""

from __future__ import annotations

import math

import numpy as np

from compiler.frontend.onnx.emitter import OnnxEmitter
from compiler.frontend.onnx.formula import Term, iota, wide
from compiler.frontend.onnx.registry import Call, translator
from compiler.frontend.onnx.translators.indexing import rows_at
from compiler.frontend.onnx.translators.slicing import part
from compiler.frontend.onnx.values import Value
from isa.errors import ModelFault

RAW, CAPPED, BIASED, SOFTMAX = range(4)
"""What the fourth output shows of the scores (`qk_matmul_output_mode`)."""


def split_heads(e: OnnxEmitter, x: Value, heads: int | None) -> Value:
    """[batch, sequence, heads · size] as [batch, heads, sequence, size]; a tensor of four axes is that already."""
    if x.rank == 4:
        return x
    if heads is None or x.rank != 3 or x.shape[2] % heads:
        raise ModelFault(f"{x} does not divide into {heads} heads")
    return e.transposed(e.reshaped(x, (*x.shape[:2], heads, x.shape[2] // heads)), (0, 2, 1, 3))


def repeat_heads(e: OnnxEmitter, x: Value, times: int) -> Value:
    """Each head `times` times in a row."""
    if times == 1:
        return x
    b, h, s, d = x.shape
    return e.reshaped(e.broadcasted(e.reshaped(x, (b, h, 1, s, d)), (b, h, times, s, d)), (b, h * times, s, d))


@translator("Attention")
def attention(e: OnnxEmitter, call: Call) -> list[Value]:
    """Y, present key, present value, scores. Rows without any key to attend to are 0."""
    heads = [call.integer(n) if call.has(n) else None for n in ("q_num_heads", "kv_num_heads")]
    query = split_heads(e, call.input(0), heads[0])
    key, value = (split_heads(e, call.input(i), heads[1]) for i in (1, 2))
    past = call.optional(4), call.optional(5)
    if past[0] is not None and past[1] is not None:
        key, value = e.concatenated([past[0], key], 2), e.concatenated([past[1], value], 2)
    groups = query.shape[1] // key.shape[1]
    scale = math.sqrt(call.number("scale", 1 / math.sqrt(query.shape[3])))
    left, right = wide(e, query) * scale, wide(e, repeat_heads(e, key, groups)) * scale
    scores = Term(e, e.product(left.value, right.value, transpose_b=True))
    shown = scores
    cap = call.number("softcap", 0.0)
    if cap > 0:
        scores = (scores * (1 / cap))("tanh") * cap
    mode = call.integer("qk_matmul_output_mode", RAW)
    shown = scores if mode != RAW else shown
    bias = bias_of(e, call, query.shape[2], key.shape[2], 0 if past[0] is None else past[0].shape[2])
    biased = scores if bias is None else scores + bias
    weights = softmax_with_masked_rows(biased, bias)
    shown = biased if mode == BIASED else weights if mode == SOFTMAX else shown
    mixed = e.product(weights.value, wide(e, repeat_heads(e, value, groups)).value)
    y = e.cast(mixed, query.kind)
    if call.input(0).rank == 3:
        b, h, s, d = y.shape
        y = e.reshaped(e.transposed(y, (0, 2, 1, 3)), (b, s, h * d))
    full = (query.shape[0], query.shape[1], query.shape[2], key.shape[2])
    return [y, key, value, e.broadcasted(shown.to(query.kind).value, full)]


def bias_of(e: OnnxEmitter, call: Call, queries: int, keys: int, past: int) -> Term | None:
    """What is added to the scores, float32 that broadcasts to [batch, heads, queries, keys]; None where nothing is."""
    mask, lengths = call.optional(3), call.optional(6)
    parts: list[Term] = []
    if mask is not None:
        parts.append(mask_bias(e, mask, keys))
    left, right = call.integer("left_window_size", -1), call.integer("right_window_size", -1)
    if call.integer("is_causal", 0):
        right = 0 if right < 0 else min(right, 0)
    place = iota(e, keys, 3, 4)
    length = None if lengths is None else wide(e, lengths).reshaped(lengths.shape[0], 1, 1, 1)
    if left >= 0 or right >= 0:
        first = Term(e, e.constant(np.full((1, 1, 1, 1), past, np.int32))) if length is None else length - queries
        at = iota(e, queries, 2, 4) + first
        seen = [place <= at + right] if right >= 0 else []
        seen += [at - left <= place] if left >= 0 else []
        parts.append((seen[0] if len(seen) == 1 else seen[0] & seen[1]).where(0.0, -math.inf))
    if length is not None:
        parts.append((place < length).where(0.0, -math.inf))
    total: Term | None = None
    for one in parts:
        total = one if total is None else total + one
    return total


def mask_bias(e: OnnxEmitter, mask: Value, keys: int) -> Term:
    """Bools as 0 and -infinity, floats as they are; keys that the mask does not reach are not attended to."""
    bias = Term(e, mask).where(0.0, -math.inf) if mask.kind == "bool" else wide(e, mask)
    missing = keys - mask.shape[-1]
    if missing > 0:
        high = [0] * (mask.rank - 1) + [missing]
        bias = Term(e, e.padded(bias.value, [0] * mask.rank, high, -math.inf))
    return bias


def softmax_with_masked_rows(scores: Term, bias: Term | None) -> Term:
    """Over the last axis. Which rows are masked the bias says, for scores may hold NaN there."""
    last = (len(scores.shape) - 1,)
    if bias is None:
        return Term(scores.e, scores.e.softmax(scores.value))
    masked = bias.reduce("max", (len(bias.shape) - 1,)).equals(-math.inf)
    largest = scores.reduce("max", last)
    grown = (scores - largest.equals(-math.inf).where(0.0, largest))("exp")
    return masked.where(0.0, grown / grown.reduce("sum", last))


@translator("RotaryEmbedding")
def rotary_embedding(e: OnnxEmitter, call: Call) -> Value:
    """Pairs of features turned by the angles of their position, whose cosines and sines come as tables or per position."""
    source, positions = call.input(0), call.optional(3)
    heads = call.integer("num_heads", 0)
    x = e.transposed(source, (0, 2, 1, 3)) if source.rank == 4 else source  # [batch, sequence, heads, size]
    if x.rank == 3:
        if heads < 1 or x.shape[2] % heads:
            raise ModelFault(f"{x} does not divide into {heads} heads (num_heads)")
        x = e.reshaped(x, (*x.shape[:2], heads, x.shape[2] // heads))
    batch, sequence, heads, size = x.shape
    turned = call.integer("rotary_embedding_dim", 0) or size
    cos, sin = (angles(e, call.input(i), positions, batch, sequence) for i in (1, 2))
    if cos.shape[-1] != turned // 2:
        raise ModelFault(f"the table has {cos.shape[-1]} angles; {turned} features need {turned // 2}")
    first, second = halves(e, part(e, x, 3, 0, turned), bool(call.integer("interleaved", 0)))
    real, imaginary = cos * first - sin * second, sin * first + cos * second
    if call.integer("interleaved", 0):
        pairs = [e.reshaped(v.value, (batch, sequence, heads, turned // 2, 1)) for v in (real, imaginary)]
        rotated = e.reshaped(e.concatenated(pairs, 4), (batch, sequence, heads, turned))
    else:
        rotated = e.concatenated([real.value, imaginary.value], 3)
    result = e.cast(rotated, x.kind)
    if turned < size:
        result = e.concatenated([result, part(e, x, 3, turned, size - turned)], 3)
    return e.transposed(result, (0, 2, 1, 3)) if source.rank == 4 else e.reshaped(result, source.shape)


def halves(e: OnnxEmitter, x: Value, interleaved: bool) -> tuple[Term, Term]:
    """Both features of every pair: even and odd ones, or the first and the second half."""
    count = x.shape[3] // 2
    starts, step = ((0, 1), 2) if interleaved else ((0, count), 1)
    first, second = (wide(e, part(e, x, 3, start, count, step)) for start in starts)
    return first, second


def angles(e: OnnxEmitter, table: Value, positions: Value | None, batch: int, sequence: int) -> Term:
    """[batch, sequence, 1, half]: rows of the table at the positions, or the table where it has them already."""
    half = table.shape[-1]
    if positions is None:
        return wide(e, table).reshaped(batch, sequence, 1, half)
    return wide(e, rows_at(e, table, wide(e, positions), (batch, sequence, 1, half)))
