"""Folders that are named: here, or on the hub, or mistyped."""

import os
import re
from pathlib import Path

import pytest

from eacl_jax.encoders import sources
from eacl_jax.errors import UserError
from eacl_jax.files import local
from eacl_jax.recognizer.locate import find_folder, find_local

HUB = re.compile(r"\w+/\w+")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with a run and its model, and a hub that must not be asked."""
    model = tmp_path / "runs" / "quickstart" / "model"
    for part in ("encoder", "label_encoder"):
        (model / part).mkdir(parents=True)
        (model / part / "tokenizer_config.json").touch()
    (model / "config.json").write_text('{"anchor_encoding": "fixed"}')
    (model / "heads.safetensors").touch()
    (tmp_path / "runs" / "begun" / "checkpoints").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))

    def asked(*_: object, **__: object) -> None:
        raise AssertionError("the hub was asked")

    monkeypatch.setattr("huggingface_hub.snapshot_download", asked)
    monkeypatch.setattr("huggingface_hub.HfApi.list_repo_files", asked)
    return tmp_path


@pytest.mark.parametrize(
    "given", ["runs/quickstart", "runs/quickstart/model", "~/runs/quickstart", "./runs/quickstart/"]
)
def test_a_run_stands_for_its_model(here: Path, given: str) -> None:
    assert find_folder(given, "main").resolve() == here / "runs" / "quickstart" / "model"
    assert find_folder(Path(given), "main").resolve() == here / "runs" / "quickstart" / "model"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            "runs/quickstat",
            r"no folder runs/quickstat \(and as runs is here, .*; did you mean runs/quickstart\?$",
        ),
        ("rnus/quickstart/model", r"did you mean runs/quickstart/model\?$"),
        ("./runs/other", r"runs holds begun, quickstart\.$"),
        ("runs", r"runs is no model's folder; did you mean runs/quickstart\?"),
        ("runs/begun", "is a run that is not finished"),
        (
            "runs/quickstart/model/encoder",
            "a part of a model; name the whole folder, runs/quickstart/model",
        ),
        ("runs/quickstart/model/config.json", "is a file; name a folder"),
        ("quickstart", "the current folder holds dangling, runs"),
        ("dangling", "is a link to gone, which is not there"),
        ("", "no model's folder"),
    ],
)
def test_what_is_not_a_model_never_asks_the_hub(here: Path, given: str, message: str) -> None:
    (here / "dangling").symlink_to("gone")
    with pytest.raises(UserError, match=message):
        find_folder(given, "main")


@pytest.mark.parametrize("revision", ["main", "v2"])
def test_a_revision_of_a_folder_is_told_of(
    here: Path, caplog: pytest.LogCaptureFixture, revision: str
) -> None:
    find_folder("runs/quickstart", revision)
    sources.find_folder("runs/quickstart/model/encoder", revision=revision)
    told = [record.message for record in caplog.records]
    assert len(told) == (0 if revision == "main" else 2)
    assert all("is no hub id: revision 'v2' is not looked at" in each for each in told)


def test_an_encoder_below_a_folder_that_is_here_never_asks_the_hub(here: Path) -> None:
    with pytest.raises(
        UserError,
        match=r"encoder\.path: there is no folder runs/quickstat .*did you mean runs/quickstart\?",
    ):
        sources.find_folder("runs/quickstat")
    assert sources.find_folder("~/runs") == here / "runs"
    with pytest.raises(
        UserError, match=r"is a model's folder; its encoder is in runs/quickstart/model/encoder"
    ):
        sources.find_folder("runs/quickstart/model")


@pytest.mark.parametrize("part", ["encoder", "label_encoder"])
def test_what_is_inside_a_model_is_there_or_an_error(here: Path, part: str) -> None:
    (here / "runs" / "quickstart" / "model" / part).rename(here / "elsewhere")
    with pytest.raises(UserError, match=rf"runs/quickstart/model/{part} is missing"):
        find_folder("runs/quickstart", "main")


def test_a_name_of_the_hub_is_one_where_nothing_here_has_it(here: Path) -> None:
    assert find_local("owner/name") is None
    assert local.find_folder("owner/name", hub=HUB) is None


@pytest.mark.parametrize("part", ["config.json", "heads.safetensors", "encoder", "."])
def test_files_that_may_not_be_read(here: Path, part: str) -> None:
    model = here / "runs" / "quickstart" / "model"
    (model / part).chmod(0)
    if os.access(model / part, os.R_OK):
        pytest.skip("whoever runs this may read everything")
    try:
        with pytest.raises(UserError, match=r"may not be (read|entered)"):
            find_folder(model, "main")
    finally:
        (model / part).chmod(0o755)
