"""Llama-type models in safetensors files by the names that GGUF gives their tensors, so that one program reads both.

Hugging Face turns the two halves of a head (lane i with i + head / 2), GGUF pairs of neighbouring lanes: rows of query and key
weights are put in GGUF's order. The numbers of heads are in `config.json` beside the file.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isa.errors import DataFault

WHOLE = {
    "token_embd.weight": "model.embed_tokens.weight",
    "output_norm.weight": "model.norm.weight",
    "output.weight": "lm_head.weight",
}
LAYER = {
    "attn_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
HEADS = {"attn_q": "num_attention_heads", "attn_k": "num_key_value_heads"}
_BLOCK = re.compile(r"blk\.(\d+)\.(\w+)\.weight")


def hugging_face_name(key: str, known: tuple[str, ...]) -> str:
    """The name of a GGUF tensor in a safetensors file with these names; the key itself where the file has none. A file without
    a head has the embedding as its head."""
    if key in known or WHOLE["token_embd.weight"] not in known:
        return key
    if key in WHOLE:
        name = WHOLE[key]
        return name if name in known or key != "output.weight" else WHOLE["token_embd.weight"]
    block = _BLOCK.fullmatch(key)
    return f"model.layers.{block[1]}.{LAYER[block[2]]}.weight" if block and block[2] in LAYER else key


def in_gguf_order(key: str, array: NDArray[np.generic], path: Path) -> NDArray[np.generic]:
    """Rows of query and key weights from halves of heads to pairs. Raises DataFault without the numbers of heads."""
    block = _BLOCK.fullmatch(key)
    if not block or block[2] not in HEADS:
        return array
    config = path.with_name("config.json")
    try:
        numbers: dict[str, Any] = json.loads(config.read_text(encoding="utf-8"))
        heads = int(numbers.get(HEADS[block[2]]) or numbers["num_attention_heads"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataFault(f"the heads of '{path.name}' are told by {config.name}, which cannot be read: {error}") from None
    if heads < 1 or array.shape[0] % (2 * heads):
        raise DataFault(f"{config.name} says {heads} heads; '{key}' has {array.shape[0]} rows")
    rest = array.shape[1:]
    return np.ascontiguousarray(array.reshape(heads, 2, -1, *rest).swapaxes(1, 2)).reshape(array.shape)
