"""What an exported folder refuses, and how its script ends."""

import dataclasses
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from eacl_jax.export.onnx import export_onnx
from eacl_jax.export.stablehlo import export_stablehlo
from tests.export.test_stablehlo import load, write_example
from tests.stubs.recognizers import recognizer


@pytest.fixture(scope="module", params=["onnx", "stablehlo"])
def exported(request, tmp_path_factory) -> Path:
    """The folder of a model."""
    folder = tmp_path_factory.mktemp(request.param) / "out"
    if request.param == "onnx":
        export_onnx(recognizer(), folder)
    else:
        export_stablehlo(recognizer(), folder, platforms=["cpu"])
    return folder


@pytest.fixture
def copied(exported: Path, tmp_path: Path) -> Path:
    """A folder of the same, to be changed."""
    return Path(shutil.copytree(exported, tmp_path / "copied"))


def command(folder: Path, monkeypatch, capsys, *arguments: object) -> tuple[object, str, str]:
    """The exit status of `python run.py ARGUMENTS`, what it prints, and its errors."""
    monkeypatch.setattr("sys.argv", ["run.py", *map(str, arguments)])
    capsys.readouterr()
    status: object = 0
    try:
        load(folder).main()
    except SystemExit as ended:
        status = ended.code
    return (status, *capsys.readouterr())


def shell(folder: Path, line: str, **variables: str) -> tuple[int, str, str]:
    """Status, output and errors of a line of bash in a folder; `run` stands for `python run.py`."""
    line = line.replace("run ", f"{sys.executable} run.py ")
    environment = {**os.environ, "PYTHONUNBUFFERED": "", **variables}
    done = subprocess.run(
        ["bash", "-c", line], cwd=folder, env=environment, capture_output=True, check=False
    )
    return done.returncode, done.stdout.decode("latin-1"), done.stderr.decode("latin-1")


def answering(folder: Path) -> list[str]:
    """The files of an export that answers come from."""
    kinds = ("model.*", "weights.npz", "*.stablehlo", "labels.json", "example.npz", "tokenizer/*")
    return [
        file.relative_to(folder).as_posix() for kind in kinds for file in sorted(folder.glob(kind))
    ]


@pytest.mark.parametrize("change", ["missing", "truncated", "of another export"])
def test_each_file_that_is_not_the_exports_is_named(
    change, exported, tmp_path, monkeypatch, capsys
) -> None:
    for number, name in enumerate(answering(exported)):
        folder = Path(shutil.copytree(exported, tmp_path / str(number)))
        file = folder / name
        content, message = file.read_bytes(), "is damaged or of another export; export the model"
        if name == "model.json":
            message = "is damaged; export the model again"
        if change == "missing":
            file.unlink()
            message = "is missing; copy the whole folder, or export the model again"
        elif change == "truncated":
            file.write_bytes(content[: len(content) // 2])
        elif name != "model.json":
            file.write_bytes(content[:-2] + b"xy")
        else:
            continue
        status, printed, errors = command(folder, monkeypatch, capsys)
        assert (status, printed) == (2, ""), name
        assert errors.startswith(f"error: {file} {message}")
        assert errors.count("\n") == 1


def test_labels_in_another_order_are_refused(copied, monkeypatch, capsys) -> None:
    file = copied / "labels.json"
    about = json.loads(file.read_text(encoding="utf-8"))
    for labels in (about["labels"][::-1], about["labels"][:-1]):
        file.write_text(json.dumps({**about, "labels": labels}), encoding="utf-8")
        with pytest.raises(ValueError, match=r"labels\.json is damaged or of another export"):
            load(copied).Model()


def test_folders_of_earlier_versions_are_opened(copied, monkeypatch, capsys) -> None:
    file = copied / "model.json"
    about = json.loads(file.read_text(encoding="utf-8"))
    assert set(about["files"]) == {*answering(copied)} - {"model.json"}
    del about["files"], about["largest_difference"]
    file.write_text(json.dumps(about), encoding="utf-8")
    labels = copied / "labels.json"
    labels.write_text(labels.read_text(encoding="utf-8") + "\n", encoding="utf-8")
    status, _, errors = command(copied, monkeypatch, capsys)
    assert (status, "error" in errors) == (0, False)


def test_the_test_of_itself_fails_where_answers_differ(copied, monkeypatch, capsys) -> None:
    with np.load(copied / "example.npz") as file:
        arrays = dict(file)
    for moved, ends in ((5e-5, 0), (2e-4, 1), (np.nan, 1)):
        other = {**arrays, "probabilities": arrays["probabilities"] + moved}
        write_example(copied, other)
        status, printed, errors = command(copied, monkeypatch, capsys)
        assert status == ends
        assert "largest difference from the exported recognizer's probabilities: " in printed
        said = "error: rounding explains at most 1.0e-04: this program does not answer as the"
        assert (said in errors) == bool(ends)


@pytest.mark.parametrize("kind", ["onnx", "stablehlo"])
def test_what_rounds_more_is_measured(kind, tmp_path, monkeypatch, capsys) -> None:
    original = recognizer()
    rounding = original.changed(
        dataclasses.replace(original.settings, encoder_dtype="bfloat16"), original.anchors
    )
    export = export_onnx if kind == "onnx" else export_stablehlo
    export(rounding, tmp_path / "out")
    about = json.loads((tmp_path / "out" / "model.json").read_text(encoding="utf-8"))
    assert about["largest_difference"] == 0.01
    assert command(tmp_path / "out", monkeypatch, capsys)[0] == 0


def test_what_a_terminal_cannot_show_is_escaped(exported) -> None:
    status, printed, errors = shell(exported, "run ", PYTHONIOENCODING="ascii")
    assert status == 0, errors
    assert printed.count(r"Wut | \xc4rger ") == 3


@pytest.mark.parametrize("exported", ["onnx"], indirect=True)
@pytest.mark.parametrize(
    ("line", "status", "message"),
    [
        ("run | true; exit ${PIPESTATUS[0]}", 141, ""),
        ("run 2>&1 | true; exit ${PIPESTATUS[0]}", 141, ""),
        ("run >/dev/full", 2, "error: cannot write to standard output: No space left on device.\n"),
    ],
)
def test_output_that_cannot_be_written(line, status, message, exported) -> None:
    ended, _, errors = shell(exported, line)
    # The toy's tokenizer knows none of the example's words.
    errors = re.sub(r"3 utterances hold mostly .*\n", "", errors)
    assert (ended, errors) == (status, message)


def test_control_characters_are_shown_as_a_replacement(tmp_path, monkeypatch, capsys) -> None:
    export_onnx(recognizer(), tmp_path / "out")
    chat = tmp_path / "chat.txt"
    chat.write_text("Ann: \x1b[31mgood\tday\x07\n", encoding="utf-8")
    status, printed, _ = command(tmp_path / "out", monkeypatch, capsys, chat)
    assert (status, printed.startswith("Ann: \ufffd[31mgood day\ufffd  ->  ")) == (0, True)
