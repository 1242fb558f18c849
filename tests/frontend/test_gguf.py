"""GGUF files: every storage type that is read against its definition, block by block; what is not read is named."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType

import gguf
import numpy as np
import pytest
from safetensors.numpy import save_file

from compiler.dialects.graph_shapes import Tensor
from compiler.frontend.gguf_file import READABLE, GgufFile
from compiler.frontend.parameters import ParameterFiles
from isa.errors import DataFault


def halves(octets: np.ndarray) -> np.ndarray:
    return octets.copy().view(np.float16).astype(np.float32)


def by_hand(raw: np.ndarray, kind: str) -> np.ndarray:
    """Weights [rows, columns] from the bytes of blocks of 32, as the format defines them: q · d, (q - 8) · d or q · d + m."""
    size = {"Q4_0": 18, "Q4_1": 20, "Q8_0": 34}[kind]
    blocks = raw.reshape(raw.shape[0], -1, size)
    d = halves(blocks[..., :2])
    if kind == "Q8_0":
        return (blocks[..., 2:].view(np.int8) * d).reshape(raw.shape[0], -1)
    nibbles = blocks[..., size - 16 :]
    q = np.concatenate([nibbles & 15, nibbles >> 4], axis=-1).astype(np.float32)
    return ((q - 8) * d if kind == "Q4_0" else q * d + halves(blocks[..., 2:4])).reshape(raw.shape[0], -1)


@pytest.mark.parametrize("kind", ["Q4_0", "Q4_1", "Q8_0", "F16", "F32"])
def test_storage_types(kind: str, tiny_llama: ModuleType, tmp_path: Path) -> None:
    arrays = tiny_llama.tensors()
    path = tiny_llama.write_gguf(tmp_path / "m.gguf", arrays, kind)
    file = GgufFile(path)
    name = "blk.1.ffn_gate.weight"
    found = file.read(name)
    assert found.dtype == np.float32
    assert found.shape == arrays[name].shape
    if kind in ("F16", "F32"):
        expected = arrays[name].astype(np.float16 if kind == "F16" else np.float32).astype(np.float32)
    else:
        raw = next(t for t in gguf.GGUFReader(str(path)).tensors if t.name == name).data
        expected = by_hand(np.asarray(raw), kind)
    np.testing.assert_array_equal(found, expected)
    assert kind in READABLE


def test_a_type_that_is_not_read_is_named(tmp_path: Path) -> None:
    writer = gguf.GGUFWriter(str(tmp_path / "q.gguf"), "llama")
    writer.add_tensor("w", np.zeros((2, 210), np.uint8), raw_dtype=gguf.GGMLQuantizationType.Q6_K)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with pytest.raises(DataFault, match=r"'w' in 'q\.gguf' is stored as Q6_K") as caught:
        GgufFile(tmp_path / "q.gguf").read("w")
    assert "Q4_1" in caught.value.notes[0]


def test_the_embedding_is_the_head_where_there_is_none(tiny_llama: ModuleType, tmp_path: Path) -> None:
    tied = GgufFile(tiny_llama.write_gguf(tmp_path / "tied.gguf", tiny_llama.tensors()))
    np.testing.assert_array_equal(tied.read("output.weight"), tied.read("token_embd.weight"))
    own = GgufFile(tiny_llama.write_gguf(tmp_path / "own.gguf", tiny_llama.tensors(tied=False)))
    assert (own.read("output.weight") != own.read("token_embd.weight")).any()


def test_safetensors_with_the_names_of_hugging_face(tiny_llama: ModuleType, tmp_path: Path) -> None:
    """Halves of heads become neighbouring pairs; scores of turned queries and keys are the same either way."""
    arrays = tiny_llama.tensors()
    save_file(tiny_llama.hugging_face(arrays), tmp_path / "model.safetensors")
    config = {"num_attention_heads": tiny_llama.HEADS, "num_key_value_heads": tiny_llama.KV_HEADS}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with ParameterFiles(tmp_path) as files:
        for key, array in (arrays | {"output.weight": arrays["token_embd.weight"]}).items():
            np.testing.assert_array_equal(files.read("model.safetensors", key, Tensor("f32", array.shape)), array)
        (tmp_path / "config.json").write_text("{")
        with pytest.raises(DataFault, match=r"told by config\.json"):
            files.read("model.safetensors", "blk.0.attn_q.weight", Tensor("f32", (64, 64)))
        with pytest.raises(DataFault, match=r"has no key 'blk\.9"):
            files.read("model.safetensors", "blk.9.attn_q.weight", Tensor("f32", (64, 64)))


def test_safetensors_in_parts(tiny_llama: ModuleType, tmp_path: Path) -> None:
    arrays = tiny_llama.tensors()
    folder = tiny_llama.write_folder(tmp_path / "parts", arrays, parts=3)
    index = "model.safetensors.index.json"
    with ParameterFiles(folder) as files:
        for key in ("blk.1.attn_k.weight", "blk.0.ffn_up.weight", "output.weight"):
            expected = arrays["token_embd.weight" if key == "output.weight" else key]
            np.testing.assert_array_equal(files.read(index, key, Tensor("f32", expected.shape)), expected)
    for part in folder.glob("model-*.safetensors"):
        part.unlink()
    with (
        ParameterFiles(folder) as files,
        pytest.raises(DataFault, match=r"its part 'model-0000\d-of-00003\.safetensors' is missing"),
    ):
        files.read(index, "blk.1.attn_k.weight", Tensor("f32", arrays["blk.1.attn_k.weight"].shape))
    for text in ("[]", "{", '{"weight_map": 3}', '{"weight_map": {"w": "../x.safetensors"}}'):
        (folder / index).write_text(text)
        with ParameterFiles(folder) as files, pytest.raises(DataFault, match=r"cannot read 'model\.safetensors\.index\.json'"):
            files.read(index, "w", Tensor("f32", (2,)))
