"""`eacl prepare`, and what answers by the programs that it makes."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from eacl_jax.recognizer import programs
from eacl_jax.recognizer.locate import LORA
from tests.recognizer.test_onnx_runtime import NOTED


@pytest.fixture
def copy(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the model; and annotated dialogues, in the current folder."""
    monkeypatch.chdir(tmp_path)
    lines = [{"utterances": dialogue} for dialogue in NOTED]
    Path("dev.jsonl").write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    return Path(shutil.copytree(model, tmp_path / "copy"))


def probabilities(file: str) -> np.ndarray:
    lines = Path(file).read_text(encoding="utf-8").splitlines()
    return np.array(
        [
            list(u["probabilities"].values())
            for line in lines
            for u in json.loads(line)["utterances"]
        ]
    )


@pytest.mark.slow
def test_prepared_it_predicts_and_scores_as_jax_does(eacl, copy: Path) -> None:
    done = eacl("prepare", "--model", copy)
    assert (done.status, done.errors) == (0, "")
    assert done.output.decode().startswith(f"{copy / 'programs' / 'float32.onnx'}: ")
    asked = ("predict", "--model", copy, "--input=dev.jsonl")
    assert eacl(*asked, "--output=jax.jsonl").status == 0
    assert eacl(*asked, "--output=onnx.jsonl", "--runtime=onnx").status == 0
    np.testing.assert_allclose(probabilities("onnx.jsonl"), probabilities("jax.jsonl"), atol=2e-5)
    scored = ("evaluate", "--model", copy, "--input=dev.jsonl")
    by_jax, by_onnx = eacl(*scored), eacl(*scored, "--runtime=onnx")
    assert by_onnx.status == 0
    assert by_onnx.output == by_jax.output


def test_int8_tells_what_it_costs(eacl, copy: Path) -> None:
    done = eacl(
        "prepare", "--model", copy, "--precision=int8", "--input=dev.jsonl", "--max-loss=100"
    )
    assert (done.status, done.errors) == (0, "")
    words = programs.read_programs(copy)["int8"].in_words()
    assert done.output.decode().splitlines()[1] == words
    assert "of answers differ" in words
    answered = eacl(
        "predict", "--model", copy, "--input=dev.jsonl", "--output=out.jsonl",
        "--runtime=onnx", "--precision=int8",
    )  # fmt: skip
    assert answered.status == 0
    assert len(probabilities("out.jsonl")) == 2 * len(NOTED)


def test_an_address_is_refused(eacl, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And nothing is fetched from it: a program would go into the copy, and be lost."""
    monkeypatch.setenv("EACL_JAX_CACHE", str(tmp_path / "cache"))
    done = eacl("prepare", "--model", "s3://models/mine")
    assert done.status == 2
    assert "--model: s3://models/mine is in an object store" in done.errors
    assert "copy the folder to a disk" in done.errors
    assert done.errors.count("\n") == 1
    assert not (tmp_path / "cache").exists()


def test_matrices_alone_are_refused(eacl, copy: Path) -> None:
    for name in LORA:
        (copy / name).write_text("{}")
    shutil.rmtree(copy / "encoder")
    done = eacl("prepare", "--model", copy)
    assert done.status == 2
    assert "holds LoRA's matrices and names its encoder" in done.errors
    assert not (copy / "programs").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("prepare", "--precision=int8"), "--input: int8 needs annotated dialogues"),
        (("prepare", "--input=dev.jsonl"), "--input: float32 answers as the model does"),
        (("prepare", "--precision=int8", "--input=none.jsonl"), "none.jsonl"),
        (("prepare", "--max-loss=1", "--map=a=b"), "--max-loss, --map: of --precision=int8 or"),
        (
            ("predict", "--input=dev.jsonl", "--output=out.jsonl", "--precision=int8"),
            "precision 'int8' is of runtime 'onnx'",
        ),
        (
            (
                "predict",
                "--input=dev.jsonl",
                "--output=out.jsonl",
                "--precision=int8",
                "--runtime=onnx",
            ),
            "has no program of precision int8: `eacl prepare` makes it",
        ),
    ],
)
def test_mistakes(eacl, copy: Path, arguments, message: str) -> None:
    done = eacl(arguments[0], "--model", copy, *arguments[1:])
    assert done.status != 0
    assert message in done.errors
    assert done.errors.count("\n") == 1
    assert not (copy / "programs").exists()
