"""The reference evaluation: what a tensor program means, down to the bit.

It shares no code with the machines. Vector functions come from `isa.numerics`, which defines them; products of matrices
are computed by a path of their own (`matmul.py`).
"""

from compiler.reference.evaluate import Evaluation, evaluate, evaluate_operation

__all__ = ["Evaluation", "evaluate", "evaluate_operation"]
