"""Interrupted runs: what is saved, and that going on gives the results of a run that was never
stopped.
"""

import io
import json
import os
import shutil
import signal
import subprocess
import sys
import types
from pathlib import Path

import chex
import numpy as np
import pytest
from rich.console import Console

from eacl_jax.config import Stage
from eacl_jax.encoders import loading
from eacl_jax.errors import UserError
from eacl_jax.model.mesh import make_mesh
from eacl_jax.training import experiment, loop, run, stage
from eacl_jax.training.stage import StageContext, StageRun
from eacl_jax.training.stage_one import run_stage_one
from eacl_jax.training.stage_two import run_stage_two
from tests.e2e.test_tuning import StopAfter
from tests.stubs.root import ROOT
from tests.stubs.toys import make_config
from tests.stubs.xla import flags


def command(toy, workdir):
    toy = {**toy, "run.save_every": 3}  # so that runs go on in the middle of an epoch too
    overrides = [f"--config.{name}={value}" for name, value in toy.items() if name != "data.corpus"]
    given = [
        "--config=configs/meld.py",
        "--config.data.corpus=custom",
        *overrides,
        f"--workdir={workdir}",
    ]
    return [sys.executable, "launch/train.py", *given]


def launch(toy, workdir):
    environment = {
        **os.environ,
        "XLA_FLAGS": flags(1),
        "PYTHONUNBUFFERED": "1",
        "JAX_DISABLE_MOST_OPTIMIZATIONS": "1",
    }
    return subprocess.Popen(
        command(toy, workdir),
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def wait_for(process, text):
    lines = []
    for line in process.stdout:
        lines.append(line)
        if text in line:
            return lines
    raise AssertionError("".join(lines))


@pytest.fixture(scope="module")
def uninterrupted(toy, tmp_path_factory):
    workdir = tmp_path_factory.mktemp("uninterrupted") / "run"
    process = launch(toy, workdir)
    output = process.communicate()[0]
    assert process.returncode == 0, output
    return workdir


def numbers(workdir):
    """Everything recorded but speeds."""
    rows = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    return [
        {key: value for key, value in row.items() if key != "examples_per_second"} for row in rows
    ]


@pytest.mark.parametrize(
    ("number", "moment"),
    [
        pytest.param(signal.SIGTERM, "stage one  epoch 2", marks=pytest.mark.long),
        pytest.param(signal.SIGINT, "stage two  epoch 1", marks=pytest.mark.long),
        pytest.param(signal.SIGKILL, "stage one  epoch 2", marks=pytest.mark.slow),
    ],
)
def test_resumed_run_equals_an_uninterrupted_one(toy, uninterrupted, tmp_path, number, moment):
    workdir = tmp_path / "run"
    process = launch(toy, workdir)
    wait_for(process, moment)
    process.send_signal(number)
    output = process.communicate()[0]
    assert not (workdir / "results.json").exists()
    if number == signal.SIGKILL:
        assert process.returncode == -signal.SIGKILL
    else:
        assert process.returncode == 128 + number, output
        assert "to go on from there, run the same command again" in output.lower()
    process = launch(toy, workdir)
    output = process.communicate()[0]
    assert process.returncode == 0, output
    assert "going on from step" in output
    assert (workdir / "results.json").read_bytes() == (uninterrupted / "results.json").read_bytes()
    assert numbers(workdir) == numbers(uninterrupted)


@pytest.mark.slow
def test_a_complete_run_is_not_run_again(toy, uninterrupted):
    began = (uninterrupted / "results.json").stat().st_mtime_ns
    output = subprocess.run(
        command(toy, uninterrupted), cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    assert "holds a complete run" in output
    assert (uninterrupted / "results.json").stat().st_mtime_ns == began


def test_another_configuration_is_refused(toy, finished):
    with pytest.raises(
        UserError, match=r"another configuration(.|\n)*stage_one.epochs: there 4, now 5"
    ):
        run.train(make_config(toy, stage_one__epochs=5), finished)
    with pytest.raises(UserError, match="is not to be resumed"):
        run.train(make_config(toy), finished, resume=False)


def test_what_does_not_change_the_result_may_differ(toy, finished):
    run.train(make_config(toy, run__log_every=7), finished, console=Console(quiet=True))


@pytest.mark.slow
def test_other_data_under_the_same_names_are_refused(toy, tmp_path):
    config = make_config(toy, stage_one__epochs=1, stage_two__epochs=1, stage_one__max_steps=1)
    run.train(config, tmp_path / "run", console=Console(quiet=True))
    (tmp_path / "run" / "results.json").unlink()
    data = json.loads((tmp_path / "run" / "data.json").read_text())
    (tmp_path / "run" / "data.json").write_text(json.dumps({**data, "tokens": "0"}))
    with pytest.raises(
        UserError, match=r"was given something else(.|\n)*tokens: the same texts become others"
    ):
        run.train(config, tmp_path / "run")


def test_a_complete_run_says_that_its_model_is_gone(toy, finished, tmp_path):
    workdir = shutil.copytree(finished, tmp_path / "run")
    shutil.rmtree(workdir / "model")
    console = Console(record=True, width=1000, file=io.StringIO())
    run.train(make_config(toy), workdir, console=console)
    assert (
        f"{workdir / 'model'}: no longer there. Delete {workdir / 'results.json'}"
        in console.export_text()
    )
    # Who asked for none does not miss it.
    run.train(make_config(toy), workdir, console=console, keep=("report",))
    assert "no longer there" not in console.export_text()


def test_a_complete_run_is_compared_before_its_scores_are_shown(toy, finished, tmp_path):
    moved = {}
    for split in ("train", "dev", "test"):
        moved[f"data.{split}"] = str(tmp_path / f"other-{split}.jsonl")
        shutil.copy(toy[f"data.{split}"], moved[f"data.{split}"])
    results = json.loads((finished / "results.json").read_text())
    assert (
        run.train(make_config({**toy, **moved}), finished, console=Console(quiet=True)).to_json()
        == results
    )
    file = Path(moved["data.test"])
    file.write_text(file.read_text().replace('"anger"', '"neutral"', 1))
    with pytest.raises(
        UserError, match=r"given something else(.|\n)*test: texts, speakers, emotions or ids"
    ):
        run.train(make_config({**toy, **moved}), finished)
    file.unlink()
    with pytest.raises(
        UserError, match=r"holds a complete run, but .*other-test\.jsonl, which does not exist"
    ):
        run.train(make_config({**toy, **moved}), finished)


def test_the_best_checkpoint_is_not_replaced_by_another(tmp_path):
    # Epoch 1 was the best, and its checkpoint is gone: of those that are there, that of epoch 2 has
    # the highest score.
    checkpoints = types.SimpleNamespace(latest_step=None, best_step=lambda: 8)
    stage = types.SimpleNamespace(
        _stage=Stage.ONE,
        _checkpoints=checkpoints,
        _best={"best_epoch": 1},
        _steps_per_epoch=4,
        _steps=12,
    )
    stage._folder, stage._anew = tmp_path / "stage_one", tmp_path
    stage._check_nothing_left = lambda: StageRun._check_nothing_left(stage)
    with pytest.raises(
        UserError,
        match=rf"the checkpoint of epoch 1, the best, is gone; delete {tmp_path} to train anew",
    ):
        StageRun.best(stage, None)
    (tmp_path / "stage_two").mkdir()
    with pytest.raises(
        UserError, match="stage_two holds checkpoints that began with the end of a stage one that"
    ):
        StageRun.resume(stage, None)


@pytest.mark.slow
def test_stage_two_is_not_continued_where_stage_one_trains_again(toy, finished, tmp_path):
    workdir = shutil.copytree(finished, tmp_path / "run")
    (workdir / "results.json").unlink()
    stage_one = workdir / "checkpoints" / "stage_one"
    last = max(
        (step for step in stage_one.iterdir() if step.name.isdigit()), key=lambda p: int(p.name)
    )
    shutil.rmtree(last)
    with pytest.raises(UserError, match=r"stage_two holds checkpoints .* delete it too"):
        run.train(make_config(toy), workdir)
    shutil.rmtree(workdir / "checkpoints" / "stage_two")
    again = run.train(make_config(toy), workdir, console=Console(quiet=True))
    assert again.to_json() == json.loads((finished / "results.json").read_text())


def test_a_folder_that_is_no_run_is_left_alone(toy, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match=r"holds files but no config\.json"):
        run.train(make_config(toy), tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["notes.txt"]


def scores(monkeypatch, dev, test):
    """Lets the epochs of a stage score as given, in turn."""
    turn = {"dev": iter(dev), "test": iter(test)}

    def score(experiment, split, predicted, scores=None):
        value = next(turn[split])
        return {"weighted_f1": value, "accuracy": value, "macro_f1": value, "per_class_f1": {}}

    monkeypatch.setattr(stage, "score", score)


@pytest.mark.parametrize(
    ("switch", "chosen"),
    [
        pytest.param(False, 2, marks=pytest.mark.long),
        pytest.param(True, 3, marks=pytest.mark.slow),
    ],
)
def test_select_on_test_chooses_stage_one_by_test(toy, tmp_path, monkeypatch, switch, chosen):
    config = make_config(toy, compat__select_on_test=switch, stage_one__epochs=3)
    prepared = experiment.prepare(config, mesh=make_mesh(1))
    context = StageContext(tmp_path, Console(quiet=True), loop.StopRequest())
    scores(monkeypatch, dev=[10, 30, 20], test=[5, 6, 7])
    first = run_stage_one(prepared, context)
    assert first.best_epoch == chosen
    # Stage two: a tie on dev goes to test with the switch, to the earlier epoch without.
    scores(monkeypatch, dev=[0, 50, 50], test=[0, 1, 2])
    reps = {
        split: prepared.encoding.represent(first.params, prepared.examples[split])
        for split in ("train", "dev", "test")
    }
    assert run_stage_two(prepared, context, first, reps).best_epoch == (2 if switch else 1)


@pytest.mark.slow
def test_stale_anchors_come_from_the_last_epoch(toy, tmp_path, monkeypatch):
    results = {}
    for stale in (False, True):
        prepared = experiment.prepare(
            make_config(toy, compat__stale_anchors=stale, stage_one__epochs=3), mesh=make_mesh(1)
        )
        folder = tmp_path / str(stale)
        folder.mkdir()
        scores(monkeypatch, dev=[30, 20, 10], test=[])
        results[stale] = run_stage_one(
            prepared, StageContext(folder, Console(quiet=True), loop.StopRequest())
        )
    assert results[True].best_epoch == results[False].best_epoch == 1
    np.testing.assert_array_equal(
        *(results[s].params["mapping"]["output"]["kernel"] for s in (True, False))
    )
    assert np.max(np.abs(results[True].anchors - results[False].anchors)) > 1e-3


@pytest.mark.parametrize(
    ("scanned", "settings"),
    [
        pytest.param(
            True,
            {"stage_one__average": 0.9, "stage_one__unfreeze_layers": 1},
            marks=pytest.mark.slow,
        ),
        pytest.param(
            False, {"stage_one__soup": 2, "encoder__lora_rank": 2}, marks=pytest.mark.long
        ),
    ],
)
def test_a_run_goes_on_where_layers_are_laid_out_otherwise(
    toy, tmp_path, monkeypatch, scanned, settings
):
    """As `encoder.scan_layers=auto` has it on another machine: begun on one and gone on with on
    another, it is the run that stayed on one.
    """
    config = make_config(toy, stage_one__epochs=3, stage_one__encoder_lr=1e-3, **settings)

    def prepared(scanned):
        monkeypatch.setattr(loading, "_SCANNED_FROM", 1 if scanned else 99)
        made = experiment.prepare(config, mesh=make_mesh(1))
        assert (0 in made.params["encoder"]["layers"]) == (not scanned)
        return made

    def context(name, stop=None):
        (tmp_path / name).mkdir(exist_ok=True)
        return StageContext(tmp_path / name, Console(quiet=True), stop or loop.StopRequest())

    here, there = prepared(scanned), prepared(not scanned)
    whole = run_stage_one(here, context("whole"))
    for one, looks in ((here, 14), (there, 8)):
        with pytest.raises(loop.Interrupted):
            run_stage_one(one, context("run", StopAfter(looks)))
    first = run_stage_one(here, context("run"))
    assert (first.best_epoch, first.mean_of) == (whole.best_epoch, whole.mean_of)
    np.testing.assert_allclose(first.anchors, whole.anchors, atol=1e-4)
    chex.assert_trees_all_close(first.params, whole.params, atol=1e-4)
    # All done, and read elsewhere; stage two begins with what stage one left.
    again = run_stage_one(there, context("run"))
    reps = {
        split: there.encoding.represent(again.params, there.examples[split])
        for split in ("train", "dev", "test")
    }
    expected = here.encoding.represent(first.params, here.examples["dev"])
    np.testing.assert_allclose(reps["dev"], expected, atol=1e-4)
    assert run_stage_two(there, context("run"), again, reps).params
