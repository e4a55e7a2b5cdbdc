"""A flag is named where it is read: in the commands, which have every flag that they name; and only
they take signals.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from eacl_jax.cli.options import NAMING
from eacl_jax.corpora.columns import PARTS
from tests.stubs.commands import OPTIONS, SUBCOMMANDS
from tests.stubs.root import ROOT

PACKAGE = ROOT / "eacl_jax"
COMMANDS = PACKAGE / "cli"
FLAG = re.compile(r"--[a-z][a-z_-]*")
# Custom properties of CSS look the same.
SHEETS = {
    PACKAGE / "reports" / "style.py",
    PACKAGE / "serving" / "http" / "site.py",
    PACKAGE / "studies" / "page.py",
}
# Whole command lines, for people: of another program, and of this one in a model's card.
LINES = {
    # A number that is not there, as Praat writes it.
    PACKAGE / "features" / "files.py": {"--undefined"},
    PACKAGE / "training" / "profiling.py": {"--logdir"},
    # Programs of their own once they are exported.
    PACKAGE / "export" / "standalone.py": {"--help"},
    PACKAGE / "export" / "standalone_onnx.py": {"--help"},
    PACKAGE / "recognizer" / "card.py": {"--model", "--input", "--output"},
}


def strings(path: Path) -> Iterator[tuple[int, str]]:
    """Every string of a file that names flags with its line, docstrings and the pieces of f-strings
    among them.
    """
    text = path.read_text(encoding="utf-8")
    if not FLAG.search(text):  # parsing takes its time
        return
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, node.value


def flags(text: str) -> list[str]:
    return [found.rstrip("-_") for found in FLAG.findall(text)]


def options_of(path: Path) -> set[str]:
    """Of the commands in a file; in a file without any, those of all."""
    own = [
        name
        for name, command in SUBCOMMANDS.items()
        if command.callback.__code__.co_filename == str(path)
    ]
    return (
        {"--version"}.union(*OPTIONS.values())
        if not own
        else set().union(*(OPTIONS[name] for name in own))
    )


def test_the_library_names_no_flag():
    named = [
        f"{path.relative_to(ROOT)}:{line} names {flag}"
        for path in PACKAGE.rglob("*.py")
        if COMMANDS not in path.parents and path not in SHEETS
        for line, text in strings(path)
        for flag in flags(text)
        if flag not in LINES.get(path, ())
    ]
    assert not named
    assert LINES[PACKAGE / "recognizer" / "card.py"] <= OPTIONS["predict"]


def test_a_command_has_the_flags_that_it_names():
    """Its own, but for a string that names another command."""
    missing = [
        f"{path.relative_to(ROOT)}:{line} names {flag}"
        for path in COMMANDS.glob("*.py")
        for line, text in strings(path)
        for flag in flags(text)
        if flag
        not in options_of(path).union(
            *(OPTIONS[name] for name in OPTIONS if f"eacl {name} " in text)
        )
    ]
    assert not missing
    # Made of a name and an ending, `{option}-format`.
    assert OPTIONS["predict"] >= {"--input-format", "--output-format"}
    assert {NAMING.format(part=part) for part in PARTS} <= OPTIONS["adapt"] | OPTIONS["predict"]


def test_only_commands_take_signals():
    """`signal.signal` and its like; the signals' names and numbers may stand anywhere."""
    names = ("signal", "pthread_sigmask", "add_signal_handler")
    taking = {
        path.relative_to(PACKAGE).parts[0]
        for path in PACKAGE.rglob("*.py")
        if path != PACKAGE / "features" / "sound" / "workers.py"  # in processes of its own
        if any(name in path.read_text(encoding="utf-8") for name in names)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and node.attr in names
    }
    assert taking == {"cli"}
