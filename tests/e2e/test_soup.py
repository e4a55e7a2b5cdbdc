"""The mean of several epochs' weights in stage one: when it answers, what it is, and that a run that
was stopped has the same.
"""

import dataclasses

import jax
import numpy as np
import pytest
from rich.console import Console

from eacl_jax.config import Stage
from eacl_jax.model.mesh import make_mesh
from eacl_jax.training import experiment, loop, stage
from eacl_jax.training.stage_one import run_stage_one
from tests.e2e.test_tuning import StopAfter
from tests.stubs.toys import make_config


@pytest.fixture(scope="module")
def prepared(toy):
    config = make_config(toy, stage_one__epochs=3)
    return experiment.prepare(config, mesh=make_mesh(1))


def stage_one(prepared, folder, stop=None, **settings):
    """A run of stage one alone with other settings; all of them share their compiled steps."""
    folder.mkdir(exist_ok=True)
    one = dataclasses.replace(prepared.config.stage_one, **settings)
    config = dataclasses.replace(prepared.config, stage_one=one)
    console = Console(record=True, quiet=False, file=(folder / "console.txt").open("a"), width=200)
    context = stage.StageContext(folder, console, stop or loop.StopRequest())
    return run_stage_one(dataclasses.replace(prepared, config=config), context)


def script(monkeypatch, *dev):
    """Lets the epochs of a stage score as given, in turn, and then the mean."""
    turn = iter(dev)

    def score(*_):
        value = next(turn)
        return {"weighted_f1": value, "accuracy": value, "macro_f1": value, "per_class_f1": {}}

    monkeypatch.setattr(stage, "score", score)


def leaves(params):
    return [np.asarray(leaf) for leaf in jax.tree.leaves(params)]


@pytest.mark.slow
@pytest.mark.parametrize(("of", "kept"), [("last", (2, 3)), ("best", (1, 3))])
def test_it_is_the_mean_of_single_epochs_and_answers_where_dev_prefers_it(
    prepared, tmp_path, monkeypatch, of, kept
):
    single = {}
    for epoch in kept:
        script(monkeypatch, *(float(number == epoch) for number in (1, 2, 3)))
        found = stage_one(prepared, tmp_path / f"epoch-{epoch}")
        assert (found.best_epoch, found.mean_of) == (epoch, ())
        single[epoch] = found
    script(monkeypatch, 30.0, 10.0, 20.0, 30.5)
    mean = stage_one(prepared, tmp_path / "mean", soup=2, soup_of=of)
    assert (mean.best_epoch, mean.mean_of) == (1, kept)
    one, other = (leaves(single[epoch].params) for epoch in kept)
    assert max(np.abs(a - b).max() for a, b in zip(one, other, strict=True)) > 1e-4
    for found, a, b in zip(leaves(mean.params), one, other, strict=True):
        np.testing.assert_allclose(found, (a + b) / 2, rtol=1e-5, atol=1e-7)
    constants = prepared.source.constants(prepared.beginning)
    mapped = prepared.encoding.map(mean.params, constants["label_encodings"])
    np.testing.assert_allclose(mean.anchors, mapped, rtol=1e-5, atol=1e-6)
    shown = (tmp_path / "mean" / "console.txt").read_text()
    assert f"mean of epochs {kept[0]}, {kept[1]}  dev weighted F1 30.50  chosen" in shown

    script(monkeypatch, 30.0, 10.0, 20.0, 30.0)  # a tie goes to the single epoch
    best = stage_one(prepared, tmp_path / "single", soup=2, soup_of=of)
    assert (best.best_epoch, best.mean_of) == (1, ())
    shown = (tmp_path / "single" / "console.txt").read_text()
    assert "dev weighted F1 30.00  epoch 1 is no worse, and stays" in shown


def test_a_stage_of_one_epoch_says_that_it_has_no_mean(prepared, tmp_path):
    found = stage_one(prepared, tmp_path / "run", soup=2, max_steps=2)
    assert (found.best_epoch, found.mean_of) == (1, ())
    shown = (tmp_path / "run" / "console.txt").read_text()
    assert "stage one  no mean of epochs (stage_one.soup): it had one epoch alone" in shown


@pytest.mark.parametrize(
    "of",
    [pytest.param("last", marks=pytest.mark.long), pytest.param("best", marks=pytest.mark.slow)],
)
def test_a_stopped_run_has_the_same_mean(prepared, tmp_path, monkeypatch, of):
    how = {"soup": 2, "soup_of": of}
    dev = (30.0, 10.0, 20.0)
    script(monkeypatch, *dev, 40.0)
    whole = stage_one(prepared, tmp_path / "whole", **how)
    # In the second epoch, and in the third; an epoch has ten steps.
    script(monkeypatch, *dev, 40.0)
    checkpoints = tmp_path / "run" / "checkpoints" / Stage.ONE
    for looks, epoch in ((14, 2), (8, 3)):
        with pytest.raises(loop.Interrupted):
            stage_one(prepared, tmp_path / "run", stop=StopAfter(looks), **how)
        best, latest = sorted(int(path.name) for path in checkpoints.iterdir())
        assert best == 10
        assert 10 * (epoch - 1) < latest < 10 * epoch
    found = stage_one(prepared, tmp_path / "run", **how)
    assert whole.mean_of == found.mean_of == ((2, 3) if of == "last" else (1, 3))
    script(monkeypatch, 40.0)
    again = stage_one(prepared, tmp_path / "run", **how)
    for other in (found, again):
        assert other.mean_of == whole.mean_of
        for one, two in zip(leaves(whole.params), leaves(other.params), strict=True):
            np.testing.assert_array_equal(one, two)
        np.testing.assert_array_equal(whole.anchors, other.anchors)
    assert {int(path.name) for path in checkpoints.iterdir()} == {10, 30}
