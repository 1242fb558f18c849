"""A Llama-type model small enough for tests: random weights in a GGUF file, with the constants that `decoder.lks` needs."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[1]
DECODER = ROOT / "samples" / "smollm2" / "decoder.lks"
LAYERS, WIDTH, HEADS, KV_HEADS, HIDDEN, VOCABULARY = 2, 64, 4, 2, 96, 288
CONSTANTS = {
    "CONTEXT": 48,
    "LAYERS": LAYERS,
    "WIDTH": WIDTH,
    "HEADS": HEADS,
    "KV_HEADS": KV_HEADS,
    "HEAD": WIDTH // HEADS,
    "HIDDEN": HIDDEN,
    "VOCABULARY": VOCABULARY,
    "THETA": 10000.0,
}


CONTROL = ["<|im_start|>", "<|im_end|>"]
PRINTABLE = [*range(33, 127), *range(161, 173), *range(174, 256)]
BYTES_OF_GPT2 = [*PRINTABLE, *range(256, 256 + 256 - len(PRINTABLE))]
"""The characters that stand for the 256 bytes in GPT-2's vocabularies."""


def tensors(seed: int = 0, tied: bool = True) -> dict[str, np.ndarray]:
    """Arrays by their name in a GGUF file, f32, [out, in]."""
    random = np.random.default_rng(seed)

    def matrix(rows: int, columns: int) -> np.ndarray:
        return (random.standard_normal((rows, columns)) / np.sqrt(columns)).astype(np.float32)

    found = {"token_embd.weight": matrix(VOCABULARY, WIDTH) * np.float32(3)}
    if not tied:
        found["output.weight"] = matrix(VOCABULARY, WIDTH)
    for i in range(LAYERS):
        kv = WIDTH // HEADS * KV_HEADS
        found |= {
            f"blk.{i}.attn_q.weight": matrix(WIDTH, WIDTH) * np.float32(2),
            f"blk.{i}.attn_k.weight": matrix(kv, WIDTH) * np.float32(2),
            f"blk.{i}.attn_v.weight": matrix(kv, WIDTH),
            f"blk.{i}.attn_output.weight": matrix(WIDTH, WIDTH),
            f"blk.{i}.ffn_gate.weight": matrix(HIDDEN, WIDTH),
            f"blk.{i}.ffn_up.weight": matrix(HIDDEN, WIDTH),
            f"blk.{i}.ffn_down.weight": matrix(WIDTH, HIDDEN),
            f"blk.{i}.attn_norm.weight": random.uniform(0.5, 1.5, WIDTH).astype(np.float32),
            f"blk.{i}.ffn_norm.weight": random.uniform(0.5, 1.5, WIDTH).astype(np.float32),
        }
    return found | {"output_norm.weight": random.uniform(0.5, 1.5, WIDTH).astype(np.float32)}


def write_gguf(path: Path, arrays: dict[str, np.ndarray], kind: str = "F32", tokenizer: bool = True, **numbers: float) -> Path:
    """Matrices in this storage type, vectors in F32, the model's numbers, and a tokenizer of bytes."""
    import gguf

    writer = gguf.GGUFWriter(str(path), "llama")
    writer.add_block_count(LAYERS)
    writer.add_context_length(64)
    writer.add_embedding_length(WIDTH)
    writer.add_feed_forward_length(HIDDEN)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(10000.0)
    for name, number in numbers.items():
        writer.add_uint32(f"llama.{name.replace('__', '.')}", int(number))
    if tokenizer:
        words = [chr(code) for code in BYTES_OF_GPT2] + CONTROL
        words += [f"[{i}]" for i in range(VOCABULARY - len(words))]
        writer.add_tokenizer_model("gpt2")
        writer.add_tokenizer_pre("smollm")
        writer.add_token_list(words)
        writer.add_token_types([3 if word in CONTROL else 1 for word in words])
        writer.add_token_merges([])
        writer.add_eos_token_id(words.index("<|im_end|>"))
        writer.add_chat_template("{{ '<|im_start|>system\\nBe brief<|im_end|>\\n' }} … <|im_start|>")
    for name, array in arrays.items():
        stored = gguf.GGMLQuantizationType[kind if array.ndim > 1 else "F32"]
        writer.add_tensor(name, gguf.quants.quantize(array, stored), raw_dtype=stored)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def hugging_face(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The same model under Hugging Face's names: rows of queries and keys go from pairs to halves, by the definition: row 2i of
    a head is row i, row 2i + 1 is row i + head / 2."""
    from compiler.frontend.llama_names import LAYER, WHOLE

    stored: dict[str, np.ndarray] = {}
    for key, array in arrays.items():
        parts = key.split(".")
        name = WHOLE.get(key) or f"model.layers.{parts[1]}.{LAYER[parts[2]]}.weight"
        heads = {"attn_q": HEADS, "attn_k": KV_HEADS}.get(parts[-2])
        if heads:
            head = array.shape[0] // heads
            order = [h * head + (2 * i if i < head // 2 else 2 * i - head + 1) for h in range(heads) for i in range(head)]
            array = array[order]
        stored[name] = array
    return stored


def write_folder(folder: Path, arrays: dict[str, np.ndarray], parts: int = 1, **numbers: object) -> Path:
    """A folder as Hugging Face's: the numbers of the model, its weights in so many files, its tokenizer of bytes."""
    from safetensors.numpy import save_file
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

    folder.mkdir()
    stored = hugging_face(arrays)
    names = [f"model-{i + 1:05}-of-{parts:05}.safetensors" for i in range(parts)] if parts > 1 else ["model.safetensors"]
    part_of = {key: names[i % parts] for i, key in enumerate(stored)}
    for name in names:
        save_file({key: array for key, array in stored.items() if part_of[key] == name}, folder / name)
    if parts > 1:
        (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": part_of}))
    config = {
        "model_type": "llama",
        "num_hidden_layers": LAYERS,
        "hidden_size": WIDTH,
        "num_attention_heads": HEADS,
        "num_key_value_heads": KV_HEADS,
        "intermediate_size": HIDDEN,
        "rms_norm_eps": 1e-5,
        "rope_theta": 10000.0,
        "vocab_size": VOCABULARY,
        "max_position_embeddings": 64,
        "eos_token_id": 257,
        "tie_word_embeddings": True,
    }
    (folder / "config.json").write_text(json.dumps(config | numbers))
    words = [chr(code) for code in BYTES_OF_GPT2] + CONTROL
    tokenizer = Tokenizer(models.BPE({word: i for i, word in enumerate(words)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(word, special=True, normalized=False) for word in CONTROL])
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps({"chat_template": "… <|im_start|> …"}))
    return folder
