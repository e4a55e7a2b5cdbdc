"""JSON is read strictly: types, bounds, finite numbers, each field once."""

import dataclasses
import json
from typing import Any, Literal

import pytest

from eacl_jax.errors import UserError
from eacl_jax.files.records import bounded, build, decode, plain, read_json


@dataclasses.dataclass(frozen=True)
class Inner:
    share: float = bounded(0.5, at_least=0, below=1)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Outer:
    name: str
    kind: Literal["a", "b"] = "a"
    count: int = bounded(1, at_least=1)
    on: bool = False
    note: str | None = None
    labels: tuple[str, ...] = ()
    scales: dict[str, float] = bounded(above=0)
    inner: Inner = Inner()
    anything: Any = None


GOOD = {
    "name": "x",
    "scales": {"one": 2},
    "inner": {"share": 0},
    "labels": ["a"],
    "note": None,
    "anything": {"k": [1]},
}


def test_values_become_what_their_fields_are():
    problems: list[str] = []
    built = build(Outer, GOOD, "file", problems)
    assert not problems
    assert built == Outer(
        name="x", scales={"one": 2.0}, inner=Inner(0.0), labels=("a",), anything={"k": [1]}
    )


def test_plain_values_are_built_again():
    made = Outer(name="x", scales={"one": 2.0}, labels=("a",), anything={"k": (1, Inner())})
    found = plain(made)
    assert json.loads(json.dumps(found)) == found
    assert "note" not in found  # None, as it is where nobody says anything else
    assert found["anything"] == {"k": [1, {"share": 0.5}]}
    problems: list[str] = []
    expected = dataclasses.replace(made, anything=found["anything"])
    assert build(Outer, found, "file", problems) == expected
    assert not problems


def test_none_that_has_to_be_said_stays():
    found = dataclasses.make_dataclass("Found", [("score", "float | None"), ("by", dict)])
    assert plain(found(None, {"a": None})) == {"score": None, "by": {"a": None}}


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"name": 3}, "file.name: expected str, got 3."),
        ({"name": None}, "file.name: expected str, got None."),
        ({"nme": 3}, "file.nme: unknown key; known here: name, kind"),
        ({"kind": "c"}, "file.kind: expected one of a, b; got 'c'."),
        ({"count": 0}, "file.count: must be at least 1, got 0."),
        ({"count": 10**400}, "file.count: must be a finite number, got 1000"),
        ({"count": True}, "file.count: expected int, got True."),
        ({"count": 1.0}, "file.count: expected int, got 1.0."),
        ({"on": 1}, "file.on: expected bool, got 1."),
        ({"labels": "joy"}, "file.labels: expected a tuple of strings, got 'joy'."),
        ({"labels": [1]}, "file.labels: expected a tuple of strings"),
        ({"scales": {"one": 0}}, "file.scales.one: must be positive, got 0.0."),
        ({"scales": {"one": "2"}}, "file.scales.one: expected float, got '2'."),
        ({"scales": {"one": float("inf")}}, "file.scales.one: must be a finite number, got inf."),
        ({"scales": {"one": float("nan")}}, "file.scales.one: must be a finite number, got nan."),
        ({"scales": {"one": 10**400}}, "file.scales.one: must be a finite number"),
        ({"scales": [1]}, "file.scales: expected an object, got [1]."),
        ({"inner": {"share": 1}}, "file.inner.share: must be in [0, 1), got 1.0."),
        ({"inner": 3}, "file.inner: expected a group of settings, got 3."),
    ],
)
def test_what_is_wrong_is_named(changes, problem):
    problems: list[str] = []
    build(Outer, {**GOOD, **changes}, "file", problems)
    assert len(problems) == 1
    assert problems[0].startswith(problem)


def test_a_missing_field_is_named():
    problems: list[str] = []
    assert build(Outer, {"scales": {}}, "file", problems) is None
    assert problems == ["file.name: missing."]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not valid JSON at column 2"),
        ('{\n"a": }', "not valid JSON at line 2 column 6"),
        ('{"a": NaN}', "it holds NaN"),
        ('{"a": 1e999}', "the number 1e999 is too large"),
        ('{"a": 1, "b": 2, "a": 3}', "the field 'a' is there twice"),
        ("[" * 100_000, "not usable JSON"),
    ],
)
def test_json_that_is_none(text, message):
    with pytest.raises(UserError, match=f"FILE: .*{message}.*; mend it"):
        decode(text, "FILE", advice="mend it")


def test_files_that_cannot_be_used(tmp_path):
    file = tmp_path / "f.json"
    for content, message in (
        (None, "is missing; restore it"),
        (b"\xff", r"is not UTF-8 \(byte 0\)"),
        (b"[1]", "must hold a JSON object, got list"),
    ):
        if content is not None:
            file.write_bytes(content)
        with pytest.raises(UserError, match=f"f.json {message}"):
            read_json(file)
    with pytest.raises(UserError, match="cannot be read: Is a directory"):
        read_json(tmp_path)
    file.write_bytes(b"\xef\xbb\xbf" + json.dumps({"a": 1}).encode())
    assert read_json(file) == {"a": 1}
