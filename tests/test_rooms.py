"""Who may import whom: a room imports from the rooms above it only, wherever in a file the import
stands.
"""

import ast
import functools
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.stubs.root import ROOT

# From the ground up; rooms of one row never import each other.
ROWS = (
    ("errors",),
    ("files",),
    ("dialogue", "config"),
    ("features",),
    ("corpora", "encoders", "reports"),
    ("data",),
    ("model",),
    ("onnx",),
    ("recognizer",),
    ("training", "export", "bulk", "serving"),
    ("studies",),
    ("cli",),
)
LEVEL = {room: level for level, row in enumerate(ROWS) for room in row}


@functools.cache
def imports(path: Path) -> tuple[str, ...]:
    """Dotted names of all that a file imports, also inside functions and under TYPE_CHECKING."""
    return tuple(_imports(path))


def _imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (each.name for each in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            yield from (f"{node.module}.{each.name}" for each in node.names)


def rooms(path: Path) -> Iterator[str]:
    """The rooms from which a file of the package imports."""
    return (name.split(".")[1] for name in imports(path) if name.startswith("eacl_jax."))


def test_each_room_imports_from_the_rooms_above_it():
    wrong = []
    for path in sorted((ROOT / "eacl_jax").rglob("*.py")):
        room = path.relative_to(ROOT / "eacl_jax").parts[0].removesuffix(".py")
        if room == "__init__":  # the front door: its names are looked up on demand
            continue
        assert room in LEVEL, f"{path}: a room that is in no row"
        wrong += [
            f"{path.relative_to(ROOT)} imports from {other}"
            for other in sorted(set(rooms(path)))
            if other != room and LEVEL.get(other, len(ROWS)) >= LEVEL[room]
        ]
    assert not wrong


def test_serving_answers_without_http():
    for path in (ROOT / "eacl_jax" / "serving" / "engine").glob("*.py"):
        assert not [
            name
            for name in imports(path)
            if name.startswith(("eacl_jax.serving.http", "fastapi", "starlette"))
        ], path


@pytest.mark.parametrize("folder", ["eacl_jax", "benchmarks", "tests"])
def test_nobody_imports_commands_or_configurations(folder):
    for path in (ROOT / folder).rglob("*.py"):
        assert not {"launch", "configs"} & {name.split(".")[0] for name in imports(path)}, path
