"""Words of memory images in assembly text: lines of hexadecimal, or a side file for large ones.

A hexadecimal line is one word from lane 0 on; lanes that it leaves out are zero. A side file is a safetensors file of
uint8 [words, lanes] tensors; the text names it, the tensor in it, and the sha256 of the tensor's bytes.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load as load_tensors

from isa.asm_text import Line, Token

Words = NDArray[np.uint8]


def word_text(word: Words) -> str:
    """One word in normal form: without zeros at the end, but at least one byte."""
    return word.tobytes().rstrip(b"\0").hex() or "00"


def words_digest(data: Words) -> str:
    return hashlib.sha256(np.ascontiguousarray(data).tobytes()).hexdigest()


def parse_word(file: str, number: int, text: str, lanes: int) -> bytes:
    """The bytes of one hexadecimal line, filled up to `lanes`. Raises SyntaxFault."""
    try:
        digits = "".join(text.partition(";")[0].split())
        octets = bytes.fromhex(digits)
    except ValueError:
        octets = None
    if octets is not None and len(octets) <= lanes:
        return octets.ljust(lanes, b"\0")
    line = Line(file, number, "")
    line.text = text
    token = Token("word", text.strip(), len(text) - len(text.lstrip()) + 1)
    if octets is None:
        line.fault("a word of data in hexadecimal, two digits a lane", token)
    return line.wrong(f"a word has {lanes} lanes, found {len(octets)} bytes", token)


class SideFiles:
    """Side files that a text names, each read once. Their places are relative to the text's folder."""

    def __init__(self, text_file: str) -> None:
        self._folder = Path(text_file).parent
        self._read: dict[str, dict[str, NDArray[Any]]] = {}

    def words(self, line: Line, place: Token, file: str, key: str, shape: tuple[int, int], digest: str) -> Words:
        """The words of one image. Raises SyntaxFault at `place` if the file has no such words."""
        if file not in self._read:
            try:
                path = self._folder / file
                if not path.is_file():
                    line.wrong(f"there is no file {path}", place)
                self._read[file] = load_tensors(path.read_bytes())
            except (OSError, SafetensorError, ValueError, LookupError) as error:
                line.wrong(f"cannot read images from {file}: {error}", place)
        data = self._read[file].get(key)
        if data is None:
            line.wrong(f"{file} has no image '{key}'", place)
        if data.dtype != np.uint8 or data.shape != shape:
            line.wrong(f"image '{key}' of {file} is {data.dtype} {list(data.shape)}, expected uint8 {list(shape)}", place)
        words: Words = data
        if words_digest(words) != digest:
            line.wrong(f"image '{key}' of {file} is not the one the text was written with: its sha256 differs", place)
        return words
