"""What the benchmark scripts share: the programs they measure, and tables with marks.

Importing this package sets the number of BLAS threads, so scripts import it before NumPy.
"""

import os

# The products of the matrix unit are small (at most a few thousand rows × 320 × 320): waking a second thread for each costs
# more than it saves, and on a machine with other work it makes a simulation several times slower. See compiler/cli/__init__.py.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
