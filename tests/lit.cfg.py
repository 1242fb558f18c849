"""lit over tests/filecheck: `lit tests`, or as part of `pytest` through tests/filecheck/test_filecheck.py."""

import os
import sys
from pathlib import Path

import lit.formats

config.name = "lockstep"  # noqa: F821
config.test_format = lit.formats.ShTest(execute_external=False)  # noqa: F821
config.suffixes = [".mlir"]  # noqa: F821
config.test_source_root = str(Path(__file__).parent)  # noqa: F821
config.test_exec_root = lit_config.params.get("exec_root", config.test_source_root)  # noqa: F821
tools = str(Path(sys.executable).parent)
config.environment["PATH"] = os.pathsep.join((tools, os.environ["PATH"]))  # noqa: F821
