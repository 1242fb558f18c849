"""Random programs of the tensor language, as text: valid, small, around the borders of a chip's lanes.

A program is a function of (seed, lanes, what the chip can do). Each assignment ends with a comment that gives the type of what
it binds; the shrinker replaces assignments by inputs with it.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from math import prod

import numpy as np

FLOATS, INTEGERS = ("f32", "f16"), ("i8", "i32")
TYPES = (*FLOATS, *INTEGERS)
BYTES = {"i8": 1, "f16": 2, "i32": 4, "f32": 4}
FLOAT_FUNCTIONS = (
    "relu", "abs", "exp", "log", "sqrt", "rsqrt", "recip", "tanh", "erf", "sin", "cos", "atan",
    "sigmoid", "gelu", "silu", "floor", "round",
)  # fmt: skip
SUM_TYPES = {"i8": "i32", "i32": "i32", "f16": "f32", "f32": "f32"}

MOST_INDICES = 40
"""Of one look-up: they go one by one."""

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Value:
    name: str
    type: str
    shape: Shape

    @property
    def text(self) -> str:
        return type_text(self.type, self.shape)


def type_text(kind: str, shape: Shape) -> str:
    return f"{kind}{list(shape)}" if shape else kind


@dataclass
class Limits:
    """What programs are made for. `vectors` bounds rows × tiles of every tensor."""

    lanes: int
    vectors: int = 64
    transposes: bool = True
    """Whether the last axis of values computed at run time may change its place."""


@dataclass
class Generator:
    rng: random.Random
    limits: Limits
    lines: list[str] = field(default_factory=list)
    pool: list[Value] = field(default_factory=list)
    used: set[str] = field(default_factory=set)
    states: list[Value] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    count: int = 0

    # Values ---------------------------------------------------------------------------------------------------------

    def fresh(self, stem: str) -> str:
        self.count += 1
        return f"{stem}{self.count}"

    def fits(self, shape: Shape) -> bool:
        tiles = -(-(shape[-1] if shape else 1) // self.limits.lanes)
        return prod(shape[:-1]) * tiles <= self.limits.vectors and len(shape) <= 4

    def shape(self, rank: int | None = None) -> Shape:
        """Sizes of the program's own few; leading ones get smaller until the tensor is small enough."""
        rank = self.rng.choice((0, 1, 1, 2, 2, 2, 2, 3, 3, 4)) if rank is None else rank
        sizes = [self.rng.choice(self.sizes) for _ in range(rank)]
        for axis in range(rank - 1):
            if not self.fits(tuple(sizes)):
                sizes[axis] = self.rng.randint(1, 3)
        return tuple(sizes)

    def leaf(self, kind: str, shape: Shape, below: int = 0) -> Value:
        """A new input, parameter or constant. `below` > 0 makes indices."""
        rng, elements = self.rng, prod(shape)
        how = rng.random()
        if elements <= 24 and shape and how < 0.15:
            value = Value(self.fresh("c"), kind, shape)
            numbers = [
                rng.randrange(below) if below
                else rng.choice((-128, -7, -1, 0, 1, 3, 100)) if kind in INTEGERS
                else rng.choice((-2.5, -1, 0, 0.125, 1, 3))
                for _ in range(elements)
            ]  # fmt: skip
            self.lines.append(
                f"{value.name} = {kind}({np.array(numbers, dtype=object).reshape(shape).tolist()})  # {value.text}"
            )
        elif how < 0.5:
            value = Value(self.fresh("w"), kind, shape)
            self.lines.append(f'param {value.name}: {value.text} from "fuzz.npz"' + (f"  # below {below}" if below else ""))
        else:
            value = Value(self.fresh("x"), kind, shape)
            self.lines.append(f"input {value.name}: {value.text}" + (f"  # below {below}" if below else ""))
        if not below:
            self.pool.append(value)
        return value

    def bind(self, expression: str, kind: str, shape: Shape) -> Value:
        value = Value(self.fresh("v"), kind, shape)
        self.lines.append(f"{value.name} = {expression}  # {value.text}")
        self.pool.append(value)
        return value

    def take(self, kinds: tuple[str, ...] = TYPES, rank: int = 0, test: Callable[[Shape], bool] = lambda s: True) -> Value:
        """A value of one of the types with at least so many axes: late ones rather than early ones; else a new leaf."""
        fitting = [v for v in self.pool if v.type in kinds and len(v.shape) >= rank and test(v.shape)]
        if fitting and self.rng.random() < 0.85:
            value = fitting[-1 - int(len(fitting) * self.rng.random() ** 2)]
        else:
            value = None
            for _ in range(20):
                shape = self.shape(max(rank, self.rng.choice((1, 2, 2, 3))))
                if test(shape):
                    value = self.leaf(self.rng.choice(kinds), shape)
                    break
            value = value or self.leaf(self.rng.choice(kinds), (2,) * rank)
        self.used.add(value.name)
        return value

    def match(self, kind: str, shape: Shape) -> Value:
        """A value of exactly this type and shape, if need be a leaf."""
        fitting = [v for v in self.pool if (v.type, v.shape) == (kind, shape)]
        value = self.rng.choice(fitting) if fitting and self.rng.random() < 0.6 else self.leaf(kind, shape)
        self.used.add(value.name)
        return value

    def partner(self, x: Value) -> Value:
        """A value that broadcasts with x (to x's shape, seldom to a larger one)."""
        rng = self.rng
        shape = list(x.shape)
        for axis in range(len(shape)):
            if rng.random() < 0.2:
                shape[axis] = 1
        if rng.random() < 0.35:
            shape = shape[rng.randint(0, len(shape)) :]
        elif rng.random() < 0.1 and self.fits((2, *x.shape)):
            shape = [2, *x.shape]
        return self.match(x.type, tuple(shape))

    # Elementwise ----------------------------------------------------------------------------------------------------

    def number(self, kind: str) -> str:
        if kind in INTEGERS:
            return str(self.rng.choice((-5, 0, 1, 2, 3, 100)))
        return str(self.rng.choice((-2.5, -0.5, 0, 0.125, 1, 3, 1000)))

    def unary(self) -> None:
        x = self.take()
        if x.type in INTEGERS:
            self.bind(self.rng.choice(("-{}", "relu({})", "abs({})")).format(x.name), x.type, x.shape)
        else:
            function = self.rng.choice(("-{}", *(f"{f}({{}})" for f in FLOAT_FUNCTIONS)))
            self.bind(function.format(x.name), x.type, x.shape)

    def binary(self) -> None:
        x = self.take()
        y = self.partner(x)
        forms = ["{} + {}", "{} - {}", "{} * {}", "max({}, {})", "min({}, {})"]
        forms += ["{} / {}"] if x.type in FLOATS else []
        a, b = (x, y) if self.rng.random() < 0.7 else (y, x)
        self.bind(self.rng.choice(forms).format(a.name, b.name), x.type, np.broadcast_shapes(x.shape, y.shape))

    def with_number(self) -> None:
        x = self.take()
        n = self.number(x.type)
        forms = [f"{x.name} * {n}", f"{n} - {x.name}", f"{x.name} + {n}", f"max({x.name}, {n})", f"min({x.name}, {n})"]
        self.bind(self.rng.choice(forms), x.type, x.shape)

    def compare(self) -> None:
        x = self.take()
        y = self.partner(x)
        sign = self.rng.choice(("<", "<=", ">", ">=", "==", "!="))
        if self.rng.random() < 0.3:
            self.bind(f"{x.name} {sign} {self.number(x.type)}", "i8", x.shape)
        else:
            self.bind(f"{x.name} {sign} {y.name}", "i8", np.broadcast_shapes(x.shape, y.shape))

    def choose(self) -> None:
        x = self.take()
        y = self.partner(x)
        shape = np.broadcast_shapes(x.shape, y.shape)
        mask = self.partner(Value("", "i8", shape))
        shape = np.broadcast_shapes(shape, mask.shape)
        sides = [x.name, y.name] if self.rng.random() < 0.8 else [self.number(x.type), y.name]
        if sides[0] != x.name:
            shape = np.broadcast_shapes(mask.shape, y.shape)
        if self.rng.random() < 0.5:
            sides.reverse()
        self.bind(f"where({mask.name}, {sides[0]}, {sides[1]})", x.type, shape)

    def cast(self) -> None:
        x, kind = self.take(), self.rng.choice(TYPES)
        self.bind(f"{kind}({x.name})", kind, x.shape)

    def quantise(self) -> None:
        way, sources, result = self.rng.choice(
            (("quantize", FLOATS, "i8"), ("dequantize", INTEGERS, "f32"), ("requantize", ("i32",), "i8"))
        )
        x = self.take(sources)
        if self.rng.random() < 0.5 or not x.shape:
            self.bind(f"{way}({x.name}, {self.rng.choice((0.05, 0.1, 0.0078125))})", result, x.shape)
        else:
            shape = self.rng.choice(((x.shape[-1],), (1,) * len(x.shape)))
            scale = self.match("f32", shape)
            self.bind(f"{way}({x.name}, {scale.name})", result, x.shape)

    def masked_by_position(self) -> None:
        x = self.take(rank=1)
        n = x.shape[-1]
        limit = self.rng.randint(0, n)
        self.bind(f"where(iota(i32[{n}]) < {limit}, {x.name}, {self.number(x.type)})", x.type, x.shape)

    # Products -------------------------------------------------------------------------------------------------------

    def matmul(self) -> None:
        rng = self.rng
        x = self.take(("i8", "f16", "f16", "f32"), 2)
        kind = rng.choice(("i8", "f16")) if x.type == "f16" else x.type
        result = "i32" if x.type == "i8" else "f32"
        inner, columns = x.shape[-1], rng.choice(self.sizes)
        batch = x.shape[:-2] if rng.random() < 0.4 else ()
        if not self.fits((*x.shape[:-1], columns)):
            columns = rng.randint(1, 3)
        turned = rng.random() < 0.35
        shape = (*batch, columns, inner) if turned else (*batch, inner, columns)
        if not self.fits(shape):
            turned, shape = False, (*batch, inner, columns)
        if not self.fits(shape):
            shape = (inner, columns)
            if not self.fits(shape):
                return
        y = self.match(kind, shape) if not turned or self.limits.transposes else self.parameter(kind, shape)
        other = f"{y.name}.T" if turned else y.name
        if kind == "f32" and rng.random() < 0.4:
            text = f'matmul({x.name}, {other}, precision="{rng.choice(("f16", "f32"))}")'
        else:
            text = f"{x.name} @ {other}"
        z = self.bind(text, result, (*x.shape[:-1], columns))
        if rng.random() < 0.5:
            self.epilogue(z)

    def parameter(self, kind: str, shape: Shape) -> Value:
        value = Value(self.fresh("w"), kind, shape)
        self.lines.append(f'param {value.name}: {value.text} from "fuzz.npz"')
        return value

    def epilogue(self, z: Value) -> None:
        """What follows products in networks: a bias and an activation, or a scale."""
        bias = self.match(z.type, z.shape[-1:])
        self.used.add(z.name)
        if z.type == "i32":
            scale = self.match("f32", z.shape[-1:])
            self.bind(f"relu(requantize({z.name} + {bias.name}, {scale.name}))", "i8", z.shape)
        else:
            act = self.rng.choice(("gelu", "relu", "silu", "tanh", "f16"))
            self.bind(f"{act}({z.name} + {bias.name})", "f16" if act == "f16" else "f32", z.shape)

    def einsum(self) -> None:
        rng = self.rng
        if rng.random() < 0.3:
            x = self.take(("i8", "i32", "f16", "f32"), 2, lambda s: len(s) == 2)
            self.bind(f'einsum("ij->i", {x.name})', SUM_TYPES[x.type], x.shape[:1])
            return
        x = self.take(("i8", "f16"), 3, lambda s: len(s) == 3)
        b, s, d = x.shape
        t = rng.choice((1, 2, 5))
        if self.limits.transposes and self.fits((b, t, d)):
            y = self.match(x.type, (b, t, d))
            self.bind(f'einsum("bsd,btd->bst", {x.name}, {y.name})', "i32" if x.type == "i8" else "f32", (b, s, t))
        else:
            y = self.match(x.type, (d, t))
            self.bind(f'einsum("bsd,dt->bst", {x.name}, {y.name})', "i32" if x.type == "i8" else "f32", (b, s, t))

    # Normalisation and reductions -----------------------------------------------------------------------------------

    def normalise(self) -> None:
        rng = self.rng
        x = self.take(FLOATS, 1)
        way = rng.choice(("softmax", "softmax", "layernorm", "rmsnorm"))
        if way == "softmax":
            last = len(x.shape) - 1
            axis = rng.randrange(last + 1) if self.limits.transposes and rng.random() < 0.3 else last
            self.bind(f"softmax({x.name}, axis={axis})", x.type, x.shape)
            return
        gains = [self.match(x.type, x.shape[-1:]).name for _ in range(2 if way == "layernorm" else 1)]
        self.bind(f"{way}({', '.join([x.name, *gains])}, eps={rng.choice(('1e-5', '0.01'))})", x.type, x.shape)

    def reduce(self) -> None:
        rng = self.rng
        x = self.take(rank=1)
        way = rng.choice(("sum", "mean", "max", "min"))
        axes = sorted(rng.sample(range(len(x.shape)), rng.randint(1, len(x.shape))))
        keep = rng.random() < 0.5
        kind = {"sum": SUM_TYPES[x.type], "mean": "f32"}.get(way, x.type)
        shape = tuple(1 if a in axes else n for a, n in enumerate(x.shape) if keep or a not in axes)
        if not self.fits(shape):
            return
        self.bind(f"{way}({x.name}, axis={axes}, keepdims={str(keep).lower()})", kind, shape)

    # Moves ----------------------------------------------------------------------------------------------------------

    def reshape(self) -> None:
        x = self.take()
        elements, shape = prod(x.shape), []
        for _ in range(self.rng.randint(0, 3)):
            divisors = [d for d in range(1, elements + 1) if elements % d == 0]
            shape.append(self.rng.choice(divisors))
            elements //= shape[-1]
        shape.append(elements)
        self.rng.shuffle(shape)
        if self.fits(tuple(shape)):
            self.bind(f"reshape({x.name}, {shape})", x.type, tuple(shape))

    def transpose(self) -> None:
        x = self.take(rank=2)
        axes = list(range(len(x.shape)))
        if self.limits.transposes:
            self.rng.shuffle(axes)
        else:
            axes = [*self.rng.sample(axes[:-1], len(axes) - 1), axes[-1]]
        shape = tuple(x.shape[a] for a in axes)
        if not self.fits(shape):
            return
        if axes[-2:] == [len(axes) - 1, len(axes) - 2] and axes[:-2] == list(range(len(axes) - 2)):
            self.bind(f"{x.name}.T", x.type, shape)
        else:
            self.bind(f"transpose({x.name}, {axes})", x.type, shape)

    def part(self, n: int, may_drop: bool = True) -> tuple[str, int | None]:
        """An index into an axis of n, and the size that is left (None: dropped)."""
        rng = self.rng
        if may_drop and rng.random() < 0.2:
            i = rng.randrange(n)
            return str(i if rng.random() < 0.7 else i - n), None
        if rng.random() < 0.3:
            return ":", n
        low = rng.choice((0, rng.randrange(n)))
        high = rng.randint(low + 1, n)
        step = rng.choice((1, 1, 1, 2, 3))
        return f"{low}:{high}" + (f":{step}" if step > 1 else ""), -(-(high - low) // step)

    def slice(self) -> None:
        x = self.take(rank=1)
        parts = [self.part(n) for n in x.shape]
        self.bind(f"{x.name}[{', '.join(t for t, _ in parts)}]", x.type, tuple(n for _, n in parts if n is not None))

    def join(self) -> None:
        rng = self.rng
        x = self.take(rank=1)
        if rng.random() < 0.3 and len(x.shape) < 4 and self.fits((2, *x.shape)):
            y, axis = self.match(x.type, x.shape), rng.randrange(len(x.shape))
            self.bind(f"stack([{x.name}, {y.name}], axis={axis})", x.type, (*x.shape[:axis], 2, *x.shape[axis:]))
            return
        axis = rng.randrange(len(x.shape))
        parts, total = [x], x.shape[axis]
        for _ in range(rng.randint(1, 2)):
            size = rng.choice((1, 2, x.shape[axis]))
            parts.append(self.match(x.type, (*x.shape[:axis], size, *x.shape[axis + 1 :])))
            total += size
        rng.shuffle(parts)
        shape = (*x.shape[:axis], total, *x.shape[axis + 1 :])
        if self.fits(shape):
            self.bind(f"concat([{', '.join(p.name for p in parts)}], axis={axis})", x.type, shape)

    def split(self) -> None:
        x = self.take(rank=1, test=lambda s: any(n % 2 == 0 for n in s))
        axes = [a for a, n in enumerate(x.shape) if n % 2 == 0]
        if axes:
            axis = self.rng.choice(axes)
            shape = (*x.shape[:axis], x.shape[axis] // 2, *x.shape[axis + 1 :])
            i = self.rng.randrange(2)
            self.bind(f"split({x.name}, 2, axis={axis})[{i}]", x.type, shape)

    def pad(self) -> None:
        x = self.take(rank=1)
        widths = [[self.rng.choice((0, 0, 1, 3)) for _ in range(2)] for _ in x.shape]
        shape = tuple(n + sum(w) for n, w in zip(x.shape, widths, strict=True))
        if self.fits(shape):
            value = self.rng.choice(("", f", value={self.number(x.type)}"))
            self.bind(f"pad({x.name}, {widths}{value})", x.type, shape)

    def gather(self) -> None:
        rng = self.rng
        x = self.take(rank=1)
        if rng.random() < 0.2:
            rows = [rng.randrange(x.shape[0]) for _ in range(rng.randint(1, 3))]
            self.bind(f"{x.name}[{rows}]", x.type, (len(rows), *x.shape[1:]))
            return
        sizes = self.shape(rng.choice((1, 1, 2)))
        index = self.leaf("i32", sizes if prod(sizes) <= MOST_INDICES else sizes[-1:], x.shape[0])
        shape = (*index.shape, *x.shape[1:])
        if self.fits(shape):
            form = rng.choice(("gather({}, {})", "{}[{}]"))
            self.bind(form.format(x.name, index.name), x.type, shape)

    def insert(self) -> None:
        """A copy with a slice replaced; the right side broadcasts."""
        x = self.take(rank=1)
        parts = [self.part(n) for n in x.shape]
        parts = [("0:1", 1) if t.count(":") == 2 else (t, n) for t, n in parts]
        sizes = tuple(n for _, n in parts if n is not None)
        block = self.match(x.type, self.rng.choice((sizes, sizes[-1:] if sizes else ())))
        copy = self.bind(x.name, x.type, x.shape)
        self.lines.append(f"{copy.name}[{', '.join(t for t, _ in parts)}] = {block.name}")

    def scatter(self) -> None:
        """A copy with rows replaced at run time."""
        x = self.take(rank=2)
        if len(x.shape) > 1:
            copy = self.bind(x.name, x.type, x.shape)
            self.put_rows(copy)

    def put_rows(self, target: Value) -> None:
        sizes = self.rng.choice(((), (1,), (2,), (3,)))
        index = self.leaf("i32", sizes, target.shape[0])
        rows = self.match(target.type, (*sizes, *target.shape[1:]))
        self.lines.append(f"{target.name}[{index.name}] = {rows.name}")

    def broadcast(self) -> None:
        x = self.take()
        shape = tuple(self.rng.choice((2, 3)) if n == 1 else n for n in x.shape)
        shape = (2, *shape) if self.rng.random() < 0.5 else shape
        if self.fits(shape):
            self.bind(f"broadcast({x.name}, {list(shape)})", x.type, shape)

    # Structure ------------------------------------------------------------------------------------------------------

    def function(self) -> None:
        name, x = self.fresh("act"), self.take(FLOATS, 1, lambda s: len(s) in (1, 2))
        sizes = ", ".join("nd"[2 - len(x.shape) :])
        body = self.rng.choice((
            "y = x * 0.5 + k; return tanh(y) - x",
            "for i in 0..3 { x = x * 0.5 + i }; return x",
            "m = max(x, axis=-1, keepdims=true); return exp(x - m) * k",
            "if x.rank == 2 { return x[0] * k } else { return relu(x) + k }",
        ))  # fmt: skip
        shape = x.shape[1:] if "x[0]" in body and len(x.shape) == 2 else x.shape
        self.lines.append(f"fn {name}(x: {x.type}[{sizes}], k = 2) {{ {body} }}")
        self.bind(f"{name}({x.name}{self.rng.choice(('', ', k=0.25'))})", x.type, shape)

    def loop(self) -> None:
        x = self.take(rank=2, test=lambda s: s[0] <= 3)
        if len(x.shape) < 2 or x.shape[0] > 3:
            return
        total = self.bind(f"zeros({type_text(x.type, x.shape[1:])})", x.type, x.shape[1:])
        sign = self.rng.choice(("+", "-"))
        self.lines.append(f"for row in {x.name} {{ {total.name} = {total.name} {sign} row }}")

    def remember(self) -> None:
        """A state changes: as a whole, or in a slice."""
        fitting = [s for s in self.states if s.name not in self.used]
        if not fitting:
            return
        state = self.rng.choice(fitting)
        self.used.add(state.name)
        if len(state.shape) > 1 and self.rng.random() < 0.4:
            self.put_rows(state)
        elif state.shape and self.rng.random() < 0.6:
            parts = [self.part(n) for n in state.shape]
            parts = [("0:1", 1) if t.count(":") == 2 else (t, n) for t, n in parts]
            block = self.match(state.type, tuple(n for _, n in parts if n is not None))
            if state.shape[0] > 1 and self.rng.random() < 0.5:
                self.lines.append(f"{state.name}[0:{state.shape[0] - 1}] = {state.name}[1:{state.shape[0]}]")
            self.lines.append(f"{state.name}[{', '.join(t for t, _ in parts)}] = {block.name}")
        else:
            other = self.partner(state)
            if np.broadcast_shapes(other.shape, state.shape) == state.shape:
                self.lines.append(f"{state.name} = {state.name} {self.rng.choice('+-*')} {other.name}")

    def steps(self) -> list[tuple[Callable[[], None], int]]:
        return [
            (self.unary, 3), (self.binary, 4), (self.with_number, 2), (self.compare, 2), (self.choose, 2), (self.cast, 3),
            (self.quantise, 2), (self.masked_by_position, 1), (self.matmul, 6), (self.einsum, 1), (self.normalise, 3),
            (self.reduce, 3), (self.reshape, 2), (self.transpose, 2), (self.slice, 2), (self.join, 2), (self.split, 1),
            (self.pad, 1), (self.gather, 2), (self.insert, 2), (self.scatter, 1), (self.broadcast, 1), (self.function, 1),
            (self.loop, 1),
        ]  # fmt: skip

    def program(self) -> str:
        rng, lanes = self.rng, self.limits.lanes
        borders = (1, 2, 3, 5, lanes // 2, lanes - 1, lanes, lanes + 1, 2 * lanes, 2 * lanes + 3)
        self.sizes = [rng.choice(borders) for _ in range(3)]
        if rng.random() < 0.25:
            for _ in range(rng.randint(1, 2)):
                state = Value(self.fresh("s"), rng.choice(TYPES), self.shape())
                self.lines.append(f"state {state.name}: {state.text}")
                self.states.append(state)
                self.pool.append(state)
        steps, weights = zip(*self.steps(), strict=True)
        length = rng.randint(1, 7) if rng.random() < 0.9 or self.limits.vectors < 32 else rng.randint(8, 18)
        for _ in range(length):
            rng.choices(steps, weights)[0]()
        for _ in self.states:
            self.remember()
        unused = [v for v in self.pool if v.name not in self.used]
        results = [v for v in unused if v.name[0] == "v"][-3:] or [rng.choice(self.pool)]
        self.lines += [f"output y{i} = {v.name}" for i, v in enumerate(results)]
        return "\n".join(self.lines) + "\n"


def generate(seed: int, limits: Limits) -> str:
    """The text of program number `seed`."""
    return Generator(random.Random(seed), limits).program()
