"""The graph dialect: tensor programs, as front ends leave them and as the reference evaluates them.

A program is `func.func @main` without arguments: one block of these operations and `func.return`. Values are
`tensor<…>` of i8, f16, i32, f32 with static shapes, every size at least 1. Names of inputs, outputs, parameters and
states are strings, each used once; every `graph.update` names a `graph.state` of the same type. Illegal here: dynamic
shapes, other element types, regions, and anything that speaks of memory or time.

Constructors infer the result type and raise ModelFault on operands that do not fit (`graph_shapes`); verifiers ask the
same rules. Operations keep the source location; constructors take it as `location`, and errors carry it.
"""

from __future__ import annotations

from xdsl.ir import Dialect

from compiler.dialects.graph_base import GraphOp, NamedOp, SinkOp
from compiler.dialects.graph_compute import (
    BinaryAttr,
    BinaryFunction,
    BinaryOp,
    CastOp,
    DequantizeOp,
    LayerNormOp,
    MatmulOp,
    MatmulPrecision,
    PrecisionAttr,
    QuantizeOp,
    ReduceAttr,
    ReduceFunction,
    ReduceOp,
    RequantizeOp,
    RmsNormOp,
    ScaledOp,
    SoftmaxOp,
    UnaryAttr,
    UnaryFunction,
    UnaryOp,
    WhereOp,
)
from compiler.dialects.graph_moves import (
    BroadcastOp,
    ConcatOp,
    GatherOp,
    InsertOp,
    PadOp,
    ReshapeOp,
    ScatterOp,
    SliceOp,
    TakeOp,
    TransposeOp,
)
from compiler.dialects.graph_shapes import Tensor
from compiler.dialects.graph_spatial import Conv2dOp, DepthwiseOp, MaxPool2dOp
from compiler.dialects.graph_stencil import PackOp, StencilOp
from compiler.dialects.graph_values import ConstantOp, InputOp, OutputOp, ParamOp, StateOp, UpdateOp

Graph = Dialect(
    "graph",
    [
        InputOp, OutputOp, ParamOp, StateOp, UpdateOp, ConstantOp,
        UnaryOp, BinaryOp, WhereOp, CastOp, QuantizeOp, DequantizeOp, RequantizeOp,
        ReduceOp, MatmulOp, Conv2dOp, DepthwiseOp, MaxPool2dOp, PackOp, StencilOp, SoftmaxOp, LayerNormOp, RmsNormOp,
        ReshapeOp, TransposeOp, SliceOp, TakeOp, ConcatOp, PadOp, GatherOp, ScatterOp, InsertOp, BroadcastOp,
    ],
    [UnaryAttr, BinaryAttr, ReduceAttr, PrecisionAttr],
)  # fmt: skip

__all__ = [
    "BinaryAttr",
    "BinaryFunction",
    "BinaryOp",
    "BroadcastOp",
    "CastOp",
    "ConcatOp",
    "ConstantOp",
    "Conv2dOp",
    "DepthwiseOp",
    "DequantizeOp",
    "GatherOp",
    "Graph",
    "GraphOp",
    "InputOp",
    "InsertOp",
    "LayerNormOp",
    "MatmulOp",
    "MatmulPrecision",
    "MaxPool2dOp",
    "NamedOp",
    "OutputOp",
    "PackOp",
    "PadOp",
    "ParamOp",
    "PrecisionAttr",
    "QuantizeOp",
    "ReduceAttr",
    "ReduceFunction",
    "ReduceOp",
    "RequantizeOp",
    "ReshapeOp",
    "RmsNormOp",
    "ScaledOp",
    "ScatterOp",
    "SinkOp",
    "SliceOp",
    "SoftmaxOp",
    "StateOp",
    "StencilOp",
    "TakeOp",
    "Tensor",
    "TransposeOp",
    "UnaryAttr",
    "UnaryFunction",
    "UnaryOp",
    "UpdateOp",
    "WhereOp",
]
