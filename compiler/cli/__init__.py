"""The command line: one module a command, all of them thin over `compiler.session` and `isa`."""

import os

# Before anything imports NumPy. The products of the matrix unit are small (at most a few thousand rows × 320 × 320), and waking
# BLAS threads for each costs more than they give: with two threads on two busy cores a simulation took 2 to 3 times as long as
# with one (benchmarks/README.md). Whoever has an idle machine can still set the variable.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
