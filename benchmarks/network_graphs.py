"""Networks as declared graphs of int8 images: random weights, the shapes and the work of the real ones.

Numerics of a layer: i8 × i8 → i32, times a scale and plus a bias in f32 a channel, plus the shortcut where there is one, relu,
rounded to i8. Scales keep the activations in the range of i8 whatever the weights.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from float_twin import float_outputs
from network_case import Builder as CaseBuilder
from network_case import Case
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Operation, SSAValue

from compiler.dialects import graph
from compiler.dialects.graph_program import new_program
from compiler.dialects.graph_types import named_location, tensor_of
from compiler.weights import WeightStore
from isa.chip import Chip
from isa.errors import DataFault

SPREAD = 32.0
"""Standard deviation that activations are scaled to."""


@dataclass
class Builder:
    """Operations so far, and where weights come from."""

    seed: int = 0
    weights: WeightStore = field(default_factory=WeightStore)
    operations: list[Operation] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng(self.seed)
        self.layer = "network"
        """Where operations come from: what runs at once is told apart by it."""
        self.layers = 0

    def enter(self, what: str) -> None:
        """Operations from here on are of a new layer."""
        self.layers += 1
        self.layer = f"layer {self.layers} ({what})"

    def add(self, op: Operation) -> SSAValue:
        op.location = named_location(self.layer)
        self.operations.append(op)
        return op.results[0] if op.results else op.operands[0]

    def param(self, array: np.ndarray) -> SSAValue:
        kind = {"int8": "i8", "float32": "f32"}[array.dtype.name]
        name = f"w{len(self.operations)}"
        return self.add(graph.ParamOp(name, self.weights.add(array), graph.Tensor(kind, array.shape)))

    def conv(
        self, x: SSAValue, columns: int, kernel: int, stride: int = 1, *, relu: bool = True, shortcut: SSAValue | None = None,
        groups: int = 1, pads: tuple[int, int, int, int] | None = None, most: float | None = None,
    ) -> SSAValue:  # fmt: skip
        """A layer with `SAME`-like padding unless pads are given; `most` is the largest activation after relu, if any."""
        self.enter(f"convolution {kernel} x {kernel}, {columns} channels")
        channels = tensor_of(x).shape[2] // groups
        w = np.clip(np.rint(self.rng.standard_normal((kernel, kernel, channels, columns)) * 40), -127, 127).astype(np.int8)
        pads = pads or (kernel // 2,) * 4
        total = self.add(graph.Conv2dOp(x, self.param(w), (stride, stride), pads, groups=groups))
        spread = 40.0 * SPREAD * np.sqrt(kernel * kernel * channels)
        scale = (SPREAD / spread * self.rng.uniform(0.8, 1.2, columns)).astype(np.float32)
        bias = (self.rng.standard_normal(columns) * SPREAD / 4).astype(np.float32)
        y = self.add(graph.BinaryOp("mul", self.add(graph.CastOp(total, "f32")), self.param(scale)))
        y = self.add(graph.BinaryOp("add", y, self.param(bias)))
        if shortcut is not None:
            y = self.add(graph.BinaryOp("add", y, self.add(graph.CastOp(shortcut, "f32"))))
        if relu:
            y = self.add(graph.UnaryOp("relu", y))
        if most is not None:
            y = self.add(graph.BinaryOp("min", y, self.add(graph.ConstantOp(np.float32(most)))))
        return self.add(graph.CastOp(y, "i8"))

    def classifier(self, x: SSAValue, classes: int) -> SSAValue:
        """The mean over all positions, rounded to i8, times a matrix: logits as i32 [1, classes]."""
        self.enter("classifier")
        channels = tensor_of(x).shape[2]
        mean = self.add(graph.ReduceOp("mean", x, [0, 1]))
        row = self.add(graph.ReshapeOp(self.add(graph.CastOp(mean, "i8")), [1, channels]))
        w = self.rng.integers(-127, 128, (channels, classes)).astype(np.int8)
        return self.add(graph.MatmulOp(row, self.param(w)))

    def module(self) -> ModuleOp:
        """The finished program."""
        return new_program(self.operations)


RESNETS = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}


def resnet(depth: int, size: int = 224, classes: int = 1000, seed: int = 0, blocks: tuple[int, ...] = ()) -> Builder:
    """ResNet with bottleneck blocks, the stride in the 3 × 3 layer (v1.5); returns the builder of a finished graph."""
    b = Builder(seed)
    x = b.add(graph.InputOp("image", graph.Tensor("i8", (size, size, 3))))
    x = b.conv(x, 64, 7, 2)
    b.enter("pool")
    x = b.add(graph.MaxPool2dOp(x, (3, 3), (2, 2), (1, 1, 1, 1)))
    for stage, count in enumerate(blocks or RESNETS[depth]):
        width = 64 << stage
        for block in range(count):
            stride = 2 if stage and not block else 1
            shortcut = x if block else b.conv(x, 4 * width, 1, stride, relu=False, pads=(0, 0, 0, 0))
            y = b.conv(x, width, 1)
            y = b.conv(y, width, 3, stride)
            x = b.conv(y, 4 * width, 1, shortcut=shortcut)
    b.add(graph.OutputOp("logits", b.classifier(x, classes)))
    return b


def resnet_case(depth: int) -> CaseBuilder:
    """A ResNet with random weights and a random image of a given side, for `networks.py`."""

    def build(precision: str, size: int, chip: Chip) -> Case:
        if precision != "int8":
            raise DataFault(f"the ResNets here are networks of i8, not of {precision}")
        b = resnet(depth, size)
        module = b.module()
        image = np.random.default_rng(1).integers(-100, 101, (size, size, 3)).astype(np.int8)
        return Case(module, b.weights, {"image": image}, lambda: float_outputs(module, b.weights, {"image": image}))

    return build
