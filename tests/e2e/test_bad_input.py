"""A user's mistake: one clear message, status 2, and nothing half-written."""

import errno
import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
from rich.console import Console

from eacl_jax.errors import SettingsError, UserError
from eacl_jax.model.mesh import make_mesh
from eacl_jax.model.passes import Passes
from eacl_jax.recognizer.recognizer import EmotionRecognizer
from eacl_jax.training import experiment, loop, objective, run, stage, stage_one
from eacl_jax.training.checkpoint import Checkpoints
from eacl_jax.training.stage import StageContext
from eacl_jax.training.stage_one import run_stage_one
from tests.stubs.root import ROOT
from tests.stubs.toys import make_config, make_encoder_folder, make_tokenizer
from tests.stubs.xla import flags


def script(*arguments):
    environment = {**os.environ, "XLA_FLAGS": flags(1)}
    return subprocess.run(
        [sys.executable, "launch/train.py", *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
    )


@pytest.mark.slow_after(1)
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--config=configs/nothing.py"], "configs/nothing.py"),
        (
            ["--config=configs/meld.py:sed=1"],
            "unknown name 'sed'; known: encoder=..., seed=..., fast, compat, runlocal",
        ),
        (["--config=configs/meld.py", "--config.data.dri=x"], "there is no setting"),
        (
            ["--config=configs/meld.py", "--config.seed=one"],
            "seed must be a whole number, got 'one'",
        ),
        (
            ["--config=configs/meld.py", "--config.loss.temperature=0"],
            "config.loss.temperature: must be positive",
        ),
        (
            [
                "--config=configs/quickstart.py",
                "--config.data.corpus=meld",
                "--config.data.dir=/no/where",
            ],
            "/no/where",
        ),
    ],
)
def test_mistakes_on_the_command_line(arguments, message, tmp_path):
    done = script(*arguments, f"--workdir={tmp_path / 'run'}")
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "run").exists()


def refused(toy, tmp_path, message, **changes):
    with pytest.raises(UserError, match=message):
        run.train(make_config(toy, **changes), tmp_path / "run", console=Console(quiet=True))
    assert not (tmp_path / "run").exists()


def test_encoder_that_is_not_there(toy, tmp_path):
    refused(toy, tmp_path, "nowhere", encoder__path=str(tmp_path / "nowhere"))


def test_truncated_weights(toy, tmp_path):
    folder = make_encoder_folder(tmp_path / "encoder")
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])
    refused(
        toy,
        tmp_path,
        r"model\.safetensors is damaged or no safetensors file",
        encoder__path=str(folder),
    )


def test_weights_of_another_architecture(toy, tmp_path):
    folder = make_encoder_folder(tmp_path / "encoder")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "model_type": "mpnet"}))
    refused(toy, tmp_path, r"model\.safetensors", encoder__path=str(folder))


def test_checksum_that_does_not_fit(toy, tmp_path):
    refused(toy, tmp_path, "sha256", encoder__sha256="0" * 64)


@pytest.mark.slow
def test_encoder_without_a_mask_token(toy, tmp_path):
    folder = make_encoder_folder(tmp_path / "encoder")
    tokenizer = make_tokenizer()
    tokenizer.mask_token = None
    tokenizer.save_pretrained(folder)
    refused(
        toy,
        tmp_path,
        r'no mask token: set config\.model\.readout to "first"',
        encoder__path=str(folder),
    )
    config = make_config(
        toy,
        encoder__path=str(folder),
        model__readout="first",
        stage_one__max_steps=1,
        stage_two__epochs=1,
    )
    run.train(config, tmp_path / "run", console=Console(quiet=True))


def test_prompt_longer_than_the_encoder_reads(toy, tmp_path):
    refused(
        toy,
        tmp_path,
        r"prompt\.max_tokens is 256, but .* reads at most \d+ tokens",
        prompt__max_tokens=256,
    )


def test_label_words_longer_than_the_encoder_reads(toy, tmp_path):
    long = " ".join(["good"] * 200)
    refused(
        toy,
        tmp_path,
        r"the words of a label are longer than the \d+ tokens .*: those of 'joy' are 20\d",
        data__labels=("joy", "anger", "neutral"),
        data__words=(long, "anger", "neutral"),
    )


def test_excluded_label_that_is_none(toy, tmp_path):
    refused(
        toy,
        tmp_path,
        "'glee' is not a label",
        evaluation__primary="micro_f1",
        evaluation__excluded_label="glee",
    )


def test_too_little_disk(toy, tmp_path, monkeypatch):
    monkeypatch.setattr(
        shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**9, 10**9 - 1000, 1000)
    )
    refused(
        toy,
        tmp_path,
        r"1\.0 kB are free on the disk where it is written, and .* need up to \d+\.\d [kM]B\.",
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("function", "error"),
    [
        ((EmotionRecognizer, "save_pretrained"), OSError(errno.ENOSPC, "No space left on device")),
        # What orbax raised on a disk that was really full.
        (
            (Checkpoints, "save"),
            ValueError("RESOURCE_EXHAUSTED: Failed to write 5165 bytes: No space left on device"),
        ),
    ],
)
def test_disk_that_fills_up_on_the_way(toy, tmp_path, monkeypatch, function, error):
    def full(*_, **__):
        raise error

    config = make_config(toy, stage_one__max_steps=2, stage_two__epochs=1)
    with monkeypatch.context() as patch:
        patch.setattr(*function, full)
        with pytest.raises(
            UserError, match="no space left on the disk; free some and run the same command again"
        ):
            run.train(config, tmp_path / "run", console=Console(quiet=True))
        assert not (tmp_path / "run" / "results.json").exists()
    run.train(config, tmp_path / "run", console=Console(quiet=True))
    assert (tmp_path / "run" / "results.json").exists()


def test_workdir_that_cannot_be_made(toy, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="is a file; name a folder"):
        run.train(make_config(toy), tmp_path / "file")


@pytest.mark.slow
def test_loss_that_is_not_finite_names_its_utterances(toy, tmp_path, monkeypatch):
    original = objective.StageOneLoss.__call__

    def poisoned(loss, params, constants, batch, key):
        value, terms = original(loss, params, constants, batch, key)
        # The third step's batch, which is all that has a learning history by then, is made
        # infinite.
        return value * (
            1.0 + np.inf * (params["predictor"]["bias"].sum() != 0) * (batch.weights.sum() < 16)
        ), terms

    monkeypatch.setattr(objective.StageOneLoss, "__call__", poisoned)
    with pytest.raises(
        UserError, match=r"not finite at step \d+ .* utterances of its batch are in"
    ):
        run.train(
            make_config(toy, run__save_every=2), tmp_path / "run", console=Console(quiet=True)
        )
    batch = json.loads((tmp_path / "run" / "non_finite_batch.json").read_text())
    assert len(batch["examples"]) % 16 != 0  # the short last batch of the epoch
    assert {"corpus", "dialogue", "utterance"} == set(batch["examples"][0])
    saved = max(int(p.name) for p in (tmp_path / "run" / "checkpoints" / "stage_one").iterdir())
    assert 0 < saved < batch["step"]


@pytest.mark.slow
def test_a_run_that_diverged_is_not_scored_nor_blamed_on_the_encoder(toy, tmp_path):
    """Parameters and the loss were finite, and the next forward pass is not."""
    config = make_config(toy, stage_one__head_lr=1e30, stage_one__max_steps=1, run__save_every=1)
    with pytest.raises(
        SettingsError,
        match=r"of dev are NaN or infinite: training diverged; train in another folder",
    ):
        run.train(config, tmp_path / "run", console=Console(quiet=True))


def test_numbers_that_are_not_finite_are_refused_before_the_first_step(toy, tmp_path, monkeypatch):
    config = make_config(toy, stage_one__max_steps=1, stage_two__epochs=1)
    prepared = experiment.prepare(config, mesh=make_mesh(1))
    context = StageContext(tmp_path, Console(quiet=True), loop.StopRequest())
    with monkeypatch.context() as patch:
        original = Passes.encode_labels
        patch.setattr(Passes, "encode_labels", lambda *given: original(*given).at[1].set(np.nan))
        with pytest.raises(
            UserError, match=r"the anchors of 'joy' are NaN or infinite before the first step"
        ):
            run_stage_one(prepared, context)
    gone_on = "'joy' are NaN or infinite at step 3, from which the run goes on: training diverged"
    with pytest.raises(SettingsError, match=gone_on):
        stage_one._check_anchors(prepared, np.array([[1.0], [np.nan], [0.0]]), 3)
    with pytest.raises(
        SettingsError, match="utterances of dev are NaN or infinite: training diverged"
    ):
        stage.scores_by_split(prepared, {"dev": np.full((2, 4), np.nan)}, np.ones((3, 4)))
    with pytest.raises(SettingsError, match="the anchors are NaN or infinite: training diverged"):
        stage.scores_by_split(prepared, {"dev": np.ones((2, 4))}, np.full((3, 4), np.inf))
    prepared.params["predictor"]["bias"] = prepared.params["predictor"]["bias"].at[0].set(np.inf)
    with pytest.raises(
        UserError, match=r"before any step, NaN or infinity is in predictor/bias: the encoder"
    ):
        run_stage_one(prepared, context)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda m: (m / "config.json").unlink(), r"config\.json is missing"),
        (lambda m: (m / "config.json").write_text("{"), "not valid JSON"),
        (lambda m: (m / "config.json").write_text("{}"), "'format' is not"),
        (
            lambda m: (m / "heads.safetensors").write_bytes(b"junk"),
            r"heads\.safetensors is damaged",
        ),
        (lambda m: (m / "encoder" / "model.safetensors").unlink(), r"model\.safetensors"),
    ],
)
def test_damaged_model_folder(finished, tmp_path, damage, message):
    model = tmp_path / "model"
    shutil.copytree(finished / "model", model)
    damage(model)
    with pytest.raises(UserError, match=message):
        EmotionRecognizer.from_pretrained(model)


def test_model_folder_that_is_not_there(tmp_path):
    with pytest.raises(UserError, match=r"there is no folder .*/model; .* is empty"):
        EmotionRecognizer.from_pretrained(tmp_path / "model")


def test_heads_of_another_model(finished, tmp_path):
    shutil.copytree(finished / "model", tmp_path / "model")
    config = json.loads((tmp_path / "model" / "config.json").read_text())
    config["model"]["mapping_dim"] = 7
    (tmp_path / "model" / "config.json").write_text(json.dumps(config))
    with pytest.raises(
        UserError, match=r"mapping\.output\.kernel: expected shape \[16, 7\], found \[16, 16\]"
    ):
        EmotionRecognizer.from_pretrained(tmp_path / "model")
