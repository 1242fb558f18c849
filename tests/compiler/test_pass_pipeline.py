"""Pipelines as text: what they mean, and what is said of those that mean nothing."""

from __future__ import annotations

import pytest

from compiler.pass_pipeline import parse_passes
from isa.errors import SyntaxFault


def test_names_and_options() -> None:
    found = parse_passes("decompose,set-precision{matmul=f16},decompose")
    assert [step.name for step in found] == ["decompose", "set-precision", "decompose"]
    assert str(found[1].pipeline_pass_spec()) == 'set-precision{matmul="f16"}'
    assert parse_passes("") == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("decompse", "did you mean decompose?"),
        ("decompose,zzz", "--passes:1:11: error: there is no pass 'zzz'"),
        ("decompose{", "Expected argument name here"),
        ("decompose,,", "Expected pass name here"),
        ("decompose fold-constants", "Expected a comma"),
        ("décompose", "Unknown token"),
        ("decompose{limit=1}", "limit"),
        ("set-precision{matmul=3}", "set-precision: Incompatible types"),
    ],
)
def test_faults_have_a_place_and_a_reason(text: str, words: str) -> None:
    with pytest.raises(SyntaxFault) as caught:
        parse_passes(text)
    assert words in caught.value.render()
    assert caught.value.render().startswith("--passes")
