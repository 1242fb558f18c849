"""What README files and docs tell people to type is there and does what they say: commands, options, examples, pictures."""

from __future__ import annotations

import importlib.util
import re
import shlex
from pathlib import Path
from types import ModuleType

import click
import pytest

from compiler.cli.main import lockstep
from compiler.passes import PASSES

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md"), *(ROOT / "samples").rglob("README.md")])


def script(name: str) -> ModuleType:
    """A script of docs/ as a module."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "docs" / f"{name}.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def typed(text: str) -> list[list[str]]:
    """The commands in code blocks and help texts, as words, without comments and prompts."""
    found: list[list[str]] = []
    for line in text.splitlines():
        line = re.split(r"\s{3,}|\s#\s", line.strip().removeprefix("$ "))[0]
        for part in line.split("|"):
            words = re.split(r"\s\d?>", part)[0]
            if re.match(r"(lockstep|make) ", words.strip()):
                found.append(shlex.split(words))
    return found


def code_blocks(page: str) -> str:
    return "\n".join(re.findall(r"^```[^\n]*\n(.*?)^```", page, re.MULTILINE | re.DOTALL))


def usage_problem(words: list[str], targets: set[str]) -> str:
    """Why a command line would be refused, or empty."""
    if words[0] == "make":
        wrong = [w for w in words[1:] if "=" not in w and w not in targets]
        return f"no such target: {', '.join(wrong)}" if wrong else ""
    command: click.Command = lockstep
    words = words[1:]
    while isinstance(command, click.Group) and words and words[0] in command.commands:
        command, words = command.commands[words[0]], words[1:]
    if command.name == "opt" or words in (["--help"], ["--version"]):
        return ""
    if isinstance(command, click.Group):
        return f"no such command: {words}"
    try:
        command.make_context(command.name, words)
    except click.UsageError as error:
        return error.format_message()
    except click.exceptions.Exit:
        return ""
    return ""


def make_targets() -> set[str]:
    return set(re.findall(r"^([a-z]+):.*##", (ROOT / "Makefile").read_text(), re.MULTILINE))


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_commands_of_a_page_are_right(page: Path) -> None:
    problems = [(words, usage_problem(words, make_targets())) for words in typed(code_blocks(page.read_text()))]
    assert [(words, problem) for words, problem in problems if problem] == []


@pytest.mark.parametrize("name", sorted(lockstep.commands))
def test_examples_of_the_help_are_right(name: str) -> None:
    examples = typed(lockstep.commands[name].help or "")
    assert examples
    assert [(words, usage_problem(words, set())) for words in examples if usage_problem(words, set())] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text())
    assert [link for link in links if "://" not in link and not (page.parent / link).exists()] == []


def test_readme_has_the_two_commands() -> None:
    commands = [words[:2] for words in typed(code_blocks((ROOT / "README.md").read_text()))]
    assert ["make", "demo"] in commands
    assert ["make", "test"] in commands
    assert {"demo", "test", "fuzz", "bench", "clean"} <= make_targets()


@pytest.mark.parametrize(
    "line",
    ["lockstep frobnicate x", "lockstep compile --emit soup a", "lockstep run", "make tset", "lockstep chip shw tiny"],
)
def test_a_wrong_command_is_seen(line: str) -> None:
    assert usage_problem(typed(line)[0], {"test"}) != ""


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("$ lockstep disasm a.lbin | less   # read it", ["lockstep", "disasm", "a.lbin"]),
        ("lockstep chip show tiny --toml > my.toml    a copy", ["lockstep", "chip", "show", "tiny", "--toml"]),
        ("  make fuzz N=10", ["make", "fuzz", "N=10"]),
    ],
)
def test_commands_are_found_in_lines(line: str, words: list[str]) -> None:
    assert typed(f"before\n{line}\nmakeshift") == [words]


EXAMPLES = script("refresh_examples")


def without_seconds(text: str) -> list[str]:
    return EXAMPLES.SECONDS.sub("# s", text).splitlines()


@pytest.mark.parametrize("page", EXAMPLES.PAGES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_examples_print_what_the_page_says(page: Path, tmp_path: Path) -> None:
    """If cycles have moved on purpose: python docs/refresh_examples.py."""
    text = page.read_text()
    now = EXAMPLES.refreshed(text, EXAMPLES.prepared(tmp_path))
    assert without_seconds(now) == without_seconds(text)


def test_the_table_of_samples_has_the_cycles_of_their_pages() -> None:
    text = (ROOT / "README.md").read_text()
    rows = EXAMPLES.SAMPLE_ROW.findall(text)
    assert sorted(name for _, name in rows) == sorted(p.name for p in (ROOT / "samples").iterdir() if p.is_dir())
    assert EXAMPLES.with_cycles(text) == text


def test_an_example_that_prints_something_else_is_seen(tmp_path: Path) -> None:
    page = "```lks a.txt\nseven\n```\n\n```sh run\ncat a.txt\necho took 0.25 s\n```\n\n```text\nseven\ntook 3.11 s\n```\n"
    assert EXAMPLES.refreshed(page, tmp_path) == page
    assert EXAMPLES.refreshed(page.replace("\nseven\ntook", "\nsix\ntook"), tmp_path) == page.replace("3.11", "0.25")
    with pytest.raises(RuntimeError, match="ended with 1"):
        EXAMPLES.refreshed("```sh run\nfalse\n```\n", tmp_path)


def test_pictures_are_those_of_the_chip() -> None:
    """Else: python docs/draw_pictures.py."""
    for name, text in script("draw_pictures").pictures().items():
        assert (ROOT / "docs" / name).read_text() == text


def test_the_design_names_every_pass() -> None:
    design = (ROOT / "docs" / "architecture.md").read_text()
    assert [name for name in PASSES if f"`{name}`" not in design] == []


def test_figures_are_those_of_the_last_benchmark_run() -> None:
    text = (ROOT / "README.md").read_text()
    figures = re.findall(r"\d[\d,.]*(?:%| s\b)|\d+,\d+", text[text.index("## Figures") : text.index("## What it does not")])
    last_run = (ROOT / "benchmarks" / "README.md").read_text()
    assert len(figures) > 20
    assert [f for f in figures if f.removesuffix(" s") not in last_run] == []
