"""`eacl export` and `eacl push`."""

from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from eacl_jax.cli.export import export, push
from eacl_jax.errors import UserError
from eacl_jax.recognizer.facts import Facts
from eacl_jax.recognizer.locate import LEARNT


def call(*arguments: object) -> Result:
    app = typer.Typer()
    app.command()(export)
    app.command()(push)
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_export(finished, tmp_path) -> None:
    done = call(
        "export",
        "--model",
        finished / "model",
        "--output",
        tmp_path / "an out",
        "--shapes",
        "*x*,8x64",
        "--platforms",
        "cpu",
    )
    assert done.exit_code == 0, done.output
    assert "programs for 8x64, *x* (rows x tokens) on cpu" in done.output
    assert f"try it: python '{tmp_path / 'an out' / 'run.py'}'\n" in done.output
    assert (tmp_path / "an out" / "predict-8x64.stablehlo").is_file()


def test_export_for_pytorch(finished, tmp_path) -> None:
    done = call(
        "export", "--model", finished / "model", "--format", "hf", "--output", tmp_path / "out"
    )
    assert done.exit_code == 0, done.output
    assert Facts.read(tmp_path / "out") == Facts.read(finished / "model")
    assert (finished / "model" / LEARNT).is_file()
    assert not (tmp_path / "out" / LEARNT).exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--output", "FULL"), "--output: .* is there and not an empty folder"),
        (("--output", "NEW", "--shapes", "x"), "shapes 'x'"),
        (
            ("--output", "NEW", "--format", "hf", "--shapes", "2x64"),
            "--shapes: 2x64 is of --format=st",
        ),
        (
            ("--output", "NEW", "--format", "onnx", "--platforms", "cpu"),
            "--platforms: cpu is of --format=stablehlo; leave it out",
        ),
        (("--output", "NEW", "--model", "NONE"), "there is no folder .*/none; .* holds full"),
    ],
)
def test_mistakes(arguments: tuple[str, ...], message: str, finished: Path, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    folders = {
        "FULL": str(tmp_path / "full"),
        "NEW": str(tmp_path / "new"),
        "NONE": str(tmp_path / "none"),
    }
    done = call(
        "export", "--model", finished, *(folders.get(argument, argument) for argument in arguments)
    )
    assert isinstance(done.exception, UserError)
    with pytest.raises(UserError, match=message):
        raise done.exception
    assert not (tmp_path / "new").exists()


def test_push_lists_what_it_would_send(finished) -> None:
    done = call("push", "--model", finished / "model", "--repo", "ann/emotions", "--dry-run")
    assert done.exit_code == 0, done.output
    assert "would be sent to ann/emotions" in done.output
    for name in ("config.json", "heads.safetensors", "README.md", "encoder/model.safetensors"):
        assert f"  {name}\n" in done.output
