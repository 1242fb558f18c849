"""What a wrong program says: place, what was found, what was expected, what would help."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest

from compiler.frontend import build_graph, parse_source
from compiler.weights import WeightStore
from isa.errors import ModelFault, SyntaxFault, ToolchainError

ROOT = Path(__file__).parents[2]


def fault(text: str) -> ToolchainError:
    with pytest.raises(ToolchainError) as caught:
        build_graph(text, "t.lks", WeightStore())
    return caught.value


SYNTAX = {
    "x = 3 y": (1, 7, "found 'y', expected an operator, ',' or the end of the statement", ""),
    "x = $": (1, 5, "found the character '$', expected a value", ""),
    'from "abc': (1, 6, "a string without its closing", ""),
    "parm w: f16[3]": (1, 6, "found 'w'", "did you mean 'param'?"),
    "x = a ** 2": (1, 8, "found '*', expected a value", "no power operator"),
    "const = 3": (1, 7, "found '=', expected a name", ""),
    "const in = 3": (1, 7, "'in' is a keyword, a name is expected here", ""),
    "input x f16": (1, 9, "found 'f16', expected ':'", ""),
    "input x: f64[3]": (1, 10, "'f64' is no element type; there are i8, f16, i32, f32", ""),
    "for i in 0..4 {": (1, 16, "found the end of the source, expected a statement or '}'", ""),
    "a = b\n  + c": (2, 3, "found '+', expected a statement", "put '+' at the end of the line before"),
    "}": (1, 1, "found '}', expected a statement", ""),
    "x = (;)": (1, 6, "found ';', expected a value", ""),
    "x = in": (1, 5, "'in' is a keyword", ""),
    "f(x)": (1, 1, "this value is not used", "output name"),
    "x[3].T = 5": (1, 6, "cannot be assigned to", ""),
    "fn f(a, a) {}": (1, 9, "'a' is there twice", ""),
    "a = 99999999999999999999": (1, 5, "more than 63 bits", ""),
    "a = 1e999": (1, 5, "larger than float64", "inf"),
    "if a { b = 1 }\nelse { b = 2 }": (2, 6, "", "'else' stands on the line of the '}'"),
    "\n\n  x = 1 < 2 < 3": (3, 13, "found '<'", ""),
}


@pytest.mark.parametrize("text", SYNTAX)
def test_syntax(text: str) -> None:
    line, column, message, hint = SYNTAX[text]
    found = fault(text)
    assert isinstance(found, SyntaxFault)
    assert found.location is not None
    assert (found.location.file, found.location.line, found.location.column) == ("t.lks", line, column)
    assert message in found.message
    assert hint in found.hint


def test_open_bracket_is_named() -> None:
    assert fault("x = f(3,\n  [1, 2\ny = 4\n").notes == ("the '[' at t.lks:2:3 is still open",)


def test_caret_stands_under_the_column() -> None:
    lines = fault("\tx = 1 +* 2").render().split("\n")
    assert lines[1:3] == ["  \tx = 1 +* 2", "  \t       ^"]


MODEL = {
    "output z = x @ y": (7, 14, "'@' of f16[4, 8] and f32[8, 8]: element types differ", "write f32(x)"),
    "output z = i8(x) + x": (7, 18, "'+' of i8[4, 8] and f16[4, 8]", "write f16(left)"),
    "output z = i8(x) / i8(x)": (7, 18, "'/' is for f16 and f32", "f32(left) / f32(right)"),
    "output z = x @ x": (7, 14, "inner sizes differ: 8 and 4", ""),
    "output z = xy": (7, 12, "'xy' is not defined here", "did you mean 'y'?"),
    "output z = sotfmax(x)": (7, 12, "there is no function 'sotfmax'", "did you mean 'softmax'?"),
    "output z = softmax(x, axs=1)": (7, 12, "softmax has no parameter 'axs'", "did you mean 'axis'? it is softmax(x, axis=-1)"),
    "output z = softmax(x, 1, 2)": (7, 12, "takes at most 2 arguments, found 3", "softmax(x, axis=-1)"),
    "output z = softmax(x, x=x)": (7, 12, "'x' is given twice", ""),
    "output z = softmax(axis=1, x)": (7, 28, "follows one with a name", ""),
    "output z = layernorm(x, x[0])": (7, 12, "layernorm needs 'bias'", "layernorm(x, gain, bias, eps=1e-05)"),
    "output z = relu": (7, 12, "'relu' is a function", ""),
    "output z = softmax(3)": (7, 12, "'x' is a tensor; found the number 3", "f32("),
    "output z = sum(x, axis=x)": (7, 12, "'axis' is an axis or a list of axes; found f16[4, 8]", ""),
    "output z = x[4]": (7, 12, "index 4 leaves the tensor: axis 0 has 4 elements", ""),
    "output z = x[[3, 4]]": (7, 12, "index 4 leaves the tensor: axis 0 has 4 elements", ""),
    "output z = x[2:9]": (7, 12, "the slice 2:9 leaves the tensor", ""),
    "output z = x[2:2]": (7, 12, "the slice 2:2 is empty", ""),
    "output z = x[0, 0, 0]": (7, 12, "3 indices for a tensor of 2 axes", ""),
    "output z = x[..., ...]": (7, 12, "it can be there once", ""),
    "x[::2] = 1": (7, 1, "a slice with a step", "for loop"),
    "x[0] = y[0]": (7, 1, "cannot take f32[8]", "write f16("),
    "x[0] = x": (7, 1, "broadcast", ""),
    "output z = x + 1e9": (7, 14, "does not fit f16; the largest value is 65504", ""),
    "output z = i8(x) + 0.5": (7, 18, "0.5 is not a value of i8", "i8(0.5) rounds"),
    "output z = i8(x) + 128": (7, 18, "128 is not a value of i8", ""),
    "state c[i in 0..2]: i32[8]\nc = s": (8, 1, "the states of 'c' are assigned one by one", "for i in"),
    "state c[i in 0..2]: i32[8]\nc[2] = s": (8, 1, "index 2 leaves the tensor: axis 0 has 2 elements", ""),
    "state c[i in 0..2]: i32[8]\nc[0] = x": (8, 1, "the state 'c.0' is i32[8]; it cannot become f16[4, 8]", ""),
    "x[s] = y": (7, 1, "rows of f16[4, 8] cannot take f32[8, 8]", "write f16("),
    "x[s, 0] = x": (7, 1, "a tensor index names whole rows", ""),
    "s = x": (7, 1, "the state 's' is i32[8]; it cannot become f16[4, 8]", ""),
    "s = f32(s)": (7, 1, "it cannot become f32[8]", "write i32("),
    "state r: i32[8] = 1": (7, 7, "a state starts as zeros", ""),
    "const H = 1": (7, 7, "'H' is declared twice: as const on line 4", ""),
    "input f: i8": (7, 7, "'f' is declared twice: as function on line 5", ""),
    "H = 3": (7, 1, "declared as const on line 4", ""),
    "pi = 3": (7, 1, "'pi' belongs to the language", ""),
    "for s in 0..3 { a = s }": (7, 1, "'s' is a state", ""),
    "const K = x": (7, 7, "a constant is known at compile time", ""),
    "input q: f16[0]": (7, 10, "at least 1", ""),
    "input q: f16[x]": (7, 14, "a size is a compile-time integer; found f16[4, 8], known only at run time", ""),
    "input q: f16[H / 3]": (7, 16, "a size is a compile-time integer", ""),
    "output z = 4": (7, 8, "an output is a tensor; found the number 4", ""),
    "output s = s": (7, 8, "'s' is the name of a state already", "output s_out = s"),
    "if x { a = 1 }": (7, 4, "a condition is a compile-time integer", ""),
    "for i in x.rank { a = i }": (7, 12, "a loop runs over a range, a list or a tensor; found the number 2", "0..n"),
    "for i in 0..4 { input q: i8 }": (7, 23, "stands at the top level", ""),
    "a, b = [1, 2, 3]": (7, 1, "2 names are assigned 3 values", ""),
    "a = [1][1]": (7, 5, "axis 0 has 1 elements", ""),
    "a = 1 / 0": (7, 7, "division by zero", ""),
    "a = 9223372036854775807 * 2": (7, 25, "63 bits", ""),
    "a = x.t": (7, 7, "there is no '.t'", "there are .T"),
    "a = s.T": (7, 7, "'.T' swaps the last two axes; i32[8] has 1", ""),
    "a = f32([[1, 2], [3]])": (7, 5, "equally long", ""),
    "a = [1, 2] * 2": (7, 12, "'*' of a list of 2 and the number 2", "f32([1, 2])"),
    "a = [1, x] * x": (7, 12, "a constant is made of numbers; found f16[4, 8]", ""),
    "a = concat([x, y])": (7, 5, "differ in more than axis 0", ""),
    "a = pad(x, [1, 2])": (7, 5, "'widths' of f16[4, 8] is [[before, after], [before, after]]", ""),
    "a = split(x, 3)": (7, 5, "does not divide into 3 equal parts", ""),
    "a = reshape(x, [3, -1])": (7, 5, "reshape: f16[4, 8] has 32 elements", ""),
    "a = iota(i8[300])": (7, 5, "i8 counts exactly up to 127", ""),
    'a = einsum("ab,cb->ad", x, x)': (7, 5, "'d' is in the result and in no operand", ""),
    'a = einsum("aa->a", y)': (7, 5, "a letter is there twice", ""),
    'a = einsum("ab,bc", x, y)': (7, 5, "cannot read 'ab,bc'", "'hsd,htd->hst'"),
    'a = einsum("abc->a", x)': (7, 5, "'abc' names 3 axes; f16[4, 8] has 2", ""),
    'a = einsum("ab,ac->bc", x, y)': (7, 5, "'a' of 'ab,ac->bc' is 4 in one operand and 8 in the other", ""),
    'a = matmul(x, x.T, precision="f16")': (7, 5, "precision is for f32", ""),
    'a = matmul(y, y, precision="f8")': (7, 5, "must be f32 or f16", ""),
    "a = rmsnorm(y, y[0], eps=0)": (7, 5, "eps is above 0", ""),
    "return x": (7, 1, "'return' is for functions", ""),
    "param p: f16[3]": (7, 7, "nothing says where the parameter 'p' comes from", "from"),
    'param p[i in 1..3]: f16 from "a.npz"': (7, 9, "a family counts from 0", ""),
    'param p[i in 0..3]: f16 from "a.npz" as "k"': (7, 41, "'k' has no {i}", ""),
    "a = zeros(f32[99999, 99999, 999])": (7, 11, "a tensor has at most", ""),
    "a = [zeros(f32[1, 1, 1, 1, 1, 1, 1, 1, 1])]": (7, 12, "at most 8 axes", ""),
    "a = broadcast(s, [999999999, 8])": (7, 5, "has 7999999992 elements", ""),
}
PRELUDE = """# the lines above a mistake
input x: f16[4, 8]
input y: f32[8, 8]
const H = 4
fn f(a, b) { return a @ b }
state s: i32[8]
"""


@pytest.mark.parametrize("text", MODEL)
def test_model(text: str) -> None:
    line, column, message, hint = MODEL[text]
    found = fault(PRELUDE + text)
    assert isinstance(found, ModelFault)
    assert found.location is not None
    assert (found.location.line, found.location.column, found.location.text) == (line, column, text.splitlines()[-1])
    assert message in found.message
    assert hint in found.hint


def test_calls_are_listed_from_the_inside_out() -> None:
    found = fault("input x: f16[4, 8]\nfn f(a, b) { return a @ b }\nfn g(a) { return f(a, 2 * a) }\noutput y = g(x)")
    assert str(found.location) == "t.lks:2:23"
    assert found.notes == (
        "in f(f16[4, 8], f16[4, 8]), called at t.lks:3:18",
        "in g(f16[4, 8]), called at t.lks:4:12",
    )


def test_declared_types_of_function_parameters() -> None:
    text = "input x: f16[4, 8]\nconst N = 8\nfn f(a: f16[r, N], b: f16[N, r]) { return a @ b }\noutput y = f(x, {})"
    assert "graph.matmul" in str(build_graph(text.replace("{}", "x.T"), "t.lks", WeightStore()))
    found = fault(text.replace("{}", "x"))
    assert found.message == "'b' is f16[8, 4]; found f16[4, 8]"
    assert str(found.location) == "t.lks:4:12"


def test_nothing_to_do() -> None:
    assert fault("input x: f16").message == "the program has no output and changes no state"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("for i in 0..999999999 { a = i }", "steps to elaborate"),
        ("a = [i for i in 0..999999999]", "steps to elaborate"),
        ("fn r(a) { return r(a) }\nb = r(1)", "calls inside each other"),
        ("a = [1]\nfor i in 0..60 { a = a + a }", "a list has at most"),
        ("a = 1\nfor i in 0..60 { a = [a, a] }\nb = i8(a)", "at most 8 axes"),
        ("a = [1, 1]\nfor i in 0..60 { a = [[1], a] }\nb = -a", "equally long"),
        ("a = 3\nfor i in 0..60 { a = a * a }", "63 bits"),
        ("a = " + "(" * 2000 + "1" + ")" * 2000, "no output"),
        ("a = " + "-" * 2000 + "1", "nested too deeply"),
        ("a = " + "[" * 2000 + "1" + "]" * 2000, "nested too deeply"),
    ],
)
def test_limits(text: str, message: str) -> None:
    before = time.process_time()
    assert message in fault(text).message
    assert time.process_time() - before < 20


def test_operations_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("compiler.frontend.emitter.MAX_OPERATIONS", 50)
    found = fault("input x: f16\nfor i in 0..100 { x = x + 1 }\noutput y = x")
    assert found.message == "the program has more than 50 tensor operations"
    assert str(found.location) == "t.lks:2:25"


def test_error_on_the_reference_page_is_the_real_one() -> None:
    page = (ROOT / "docs" / "language.md").read_text(encoding="utf-8")
    shown = re.search(r"```\n(block\.lks.*?)\n```", page, re.DOTALL)
    assert shown
    source = (ROOT / "samples" / "transformer" / "block.lks").read_text(encoding="utf-8")
    wrong = source.replace("f16(f16(share) @ v)", "f16(share) @ v")
    with pytest.raises(ModelFault) as caught:
        build_graph(wrong, "block.lks", WeightStore(), ROOT / "samples" / "transformer")
    assert caught.value.render() == shown[1]


def test_operations_have_their_place_in_the_source() -> None:
    module = build_graph("input x: f16[2, 2]\noutput y = relu(x @ x) * 2", "dir/t.lks", WeightStore())
    places = {op.name: str(op.location) for op in module.walk() if op.name.startswith("graph.")}
    assert 'loc("dir/t.lks":2:19)' in places["graph.matmul"]
    assert 'loc("dir/t.lks":2:12)' in places["graph.unary"]
    assert 'loc("dir/t.lks":2:8)' in places["graph.output"]


def test_same_text_same_graph() -> None:
    text = (ROOT / "samples" / "counter" / "counter.lks").read_text(encoding="utf-8")
    assert str(build_graph(text, "a.lks", WeightStore())) == str(build_graph(text, "a.lks", WeightStore()))
    assert parse_source(text, "a.lks") == parse_source(text, "a.lks")
