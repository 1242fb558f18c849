"""The examples of README.md and of the samples' pages: run them, and put what they print into the pages.

    python docs/refresh_examples.py          # after a change that moves cycles

A block that begins with ```lks NAME.lks is a file. The commands of a block that begins with ```sh run are run one after the
other, in a fresh folder with those files and with `samples` and `benchmarks` of this project; a block that begins with
```python run is a program. A ```text block right behind one is what it prints. Seconds are left alone: they
differ from run to run.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGES = (*sorted((ROOT / "samples").glob("*/README.md")), ROOT / "README.md")
BLOCK = re.compile(r"^```(\w+)[ ]?([\w.-]*)\n(.*?)^```\n(\n```text\n(.*?)^```\n)?", re.MULTILINE | re.DOTALL)
SAMPLE_ROW = re.compile(r"^(\| \[\w+\]\(samples/(\w+)/README\.md\) .*\|)[^|]*\|[^|]*\|$", re.MULTILINE)
CYCLES = re.compile(r"^([\d,]+) cycles .* at least ([\d,]+)", re.MULTILINE)
SECONDS = re.compile(r"\d+\.\d\d s\b")


def prepared(folder: Path) -> Path:
    """A folder to run examples in."""
    for name in ("samples", "benchmarks"):
        (folder / name).symlink_to(ROOT / name)
    return folder


def runs(page: str, folder: Path) -> Iterator[tuple[re.Match[str], str]]:
    """Each block that is to be run, with what it prints. Raises RuntimeError where a command fails."""
    for block in BLOCK.finditer(page):
        language, mark, text = block.group(1), block.group(2), block.group(3)
        if language == "lks" and mark:
            (folder / mark).write_text(text, encoding="utf-8")
        elif mark == "run":
            command = [sys.executable, "-c", text] if language == "python" else ["bash", "-e", "-o", "pipefail", "-c", text]
            path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
            environment = os.environ | {"PATH": path, "COLUMNS": "120", "PYTHONIOENCODING": "utf-8"}
            done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, encoding="utf-8", check=False)
            if done.returncode:
                raise RuntimeError(f"{text}ended with {done.returncode}:\n{done.stdout}{done.stderr}")
            yield block, done.stdout


def refreshed(page: str, folder: Path) -> str:
    """The page with the outputs of its examples as they are now."""
    result, at = "", 0
    for block, printed in runs(page, folder):
        if block.group(4) is None or SECONDS.sub("", printed) == SECONDS.sub("", block.group(5)):
            continue
        result += page[at : block.start(5)] + printed
        at = block.end(5)
    return result + page[at:]


def with_cycles(page: str) -> str:
    """The page with the cycles and the lower bound in its table of samples as the samples' own pages have them."""

    def row(match: re.Match[str]) -> str:
        text = (ROOT / "samples" / match.group(2) / "README.md").read_text(encoding="utf-8")
        cycles = CYCLES.search(text)
        return f"{match.group(1)} {cycles.group(1)} | {cycles.group(2)} |" if cycles else match.group(0)

    return SAMPLE_ROW.sub(row, page)


if __name__ == "__main__":
    for path in PAGES:
        with tempfile.TemporaryDirectory() as name:
            old = path.read_text(encoding="utf-8")
            new = with_cycles(refreshed(old, prepared(Path(name))))
        if new != old:
            path.write_text(new, encoding="utf-8")
            print(f"{path.relative_to(ROOT)}: refreshed")
