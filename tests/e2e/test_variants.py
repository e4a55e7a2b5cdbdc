"""Runs that leave the paper's recipe: what they share, that they go on identically, and that their
models answer as they scored.
"""

import json

import jax
import numpy as np
import pytest
from rich.console import Console

from eacl_jax.config import Stage
from eacl_jax.model import rarity
from eacl_jax.recognizer.recognizer import EmotionRecognizer
from eacl_jax.training import cost, evaluation, experiment, loop, outputs, run, stage_two
from eacl_jax.training.stage import StageResult
from tests.e2e.test_tuning import StopAfter
from tests.stubs.toys import make_config

pytestmark = pytest.mark.usefixtures("one_device")

SHORT = {"stage_one__epochs": 2, "stage_two__epochs": 2, "run__log_every": 1}
QUIET = Console(quiet=True)


def numbers(folder):
    """Everything recorded but speeds."""
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in row.items() if k != "examples_per_second"} for row in rows]


@pytest.mark.slow
def test_another_seed_compiles_nothing_and_equals_a_run_by_itself(toy, tmp_path):
    compiled = []

    def note(name, *_, **__):
        if "backend_compile" in name:
            compiled.append(name)

    jax.monitoring.register_event_duration_secs_listener(note)
    settings = {**SHORT, "anchors__source": "centroids"}
    loaded = experiment.load(make_config(toy, **settings))
    for seed in (0, 1):
        compiled.clear()
        config = make_config(toy, **settings, seed=seed)
        run.train(config, tmp_path / f"{seed}", loaded=loaded, keep=(), console=QUIET)
        assert bool(compiled) == (seed == 0)
    run.train(config, tmp_path / "alone", keep=(), console=QUIET)
    assert numbers(tmp_path / "alone") == numbers(tmp_path / "1") != numbers(tmp_path / "0")
    assert not {"model", "report"} & {path.name for path in (tmp_path / "1").iterdir()}


@pytest.mark.slow
@pytest.mark.parametrize(
    "settings",
    [
        {"anchors__source": "prototypes", "batch__balance": 0.7, "loss__balanced": True},
        pytest.param(
            {
                "anchors__source": "clusters",
                "anchors__clusters": 2,
                "evaluation__logit_adjustment": True,
                "evaluation__primary": "macro_f1",
            },
            marks=pytest.mark.long,
        ),
        pytest.param(
            {"loss__ce_weight": 1.0, "loss__class_weight": 1.0, "loss__focal": 1.0},
            marks=pytest.mark.long,
        ),
        pytest.param(
            {
                "evaluation__prior": True,
                "prompt__max_future": 1,
                "stage_two__biases": True,
                "stage_two__bias_lr": 0.05,
                "stage_two__patience": 1,
                "sequence__crf": True,
                "sequence__only_if_better": False,
            },
            marks=pytest.mark.slow,
        ),
        pytest.param(
            {
                "stage_one__average": 0.9,
                "stage_one__soup": 2,
                "stage_one__schedule": "linear",
                "stage_one__warmup": 0.3,
                "loss__r_drop": 1.0,
                "loss__adversarial": 1.0,
                "loss__smoothing": 0.1,
            },
            marks=pytest.mark.slow,
        ),
        pytest.param(
            {
                "encoder__lora_rank": 2,
                "stage_one__encoder_lr": 1e-2,
                "stage_one__chunks": 2,
                "stage_one__soup": 2,
                "stage_one__soup_of": "best",
            },
            marks=pytest.mark.slow,
        ),
    ],
    ids=["prototypes", "clusters", "classifier", "prior", "averaged", "lora"],
)
def test_it_goes_on_identically_and_its_model_answers_as_it_scored(
    toy, tmp_path, settings, monkeypatch
):
    config = make_config(toy, **SHORT, **settings)
    loaded = experiment.load(config)
    results = run.train(config, tmp_path / "whole", loaded=loaded, keep=(), console=QUIET)
    with pytest.raises(loop.Interrupted):
        run.train(config, tmp_path / "run", loaded=loaded, stop=StopAfter(20), console=QUIET)
    assert 0 < len(numbers(tmp_path / "run")) < len(numbers(tmp_path / "whole"))
    assert results == run.train(config, tmp_path / "run", loaded=loaded, console=QUIET)
    with monkeypatch.context() as patched:  # what is given is what the complete run is checked by
        patched.setattr(run.corpora, "load", None)
        assert results == run.train(config, tmp_path / "run", loaded=loaded, console=QUIET)
    assert numbers(tmp_path / "run") == numbers(tmp_path / "whole")
    scores = evaluation.evaluate(tmp_path / "run", "test")  # by the saved recognizer
    assert scores == {stage: results.of(Stage(stage)).test.to_json() for stage in scores}


def test_what_a_run_answered_is_kept(finished):
    """Its scores can be worked out from it."""
    kept = outputs.read_outputs(finished)
    results = json.loads((finished / "results.json").read_text())
    recognizer = EmotionRecognizer.from_pretrained(finished / "model")
    assert kept.labels == recognizer.labels
    for stage in Stage:
        np.testing.assert_array_equal(kept.anchors[stage], recognizer.anchors[stage])
        for split in ("dev", "test"):
            found = kept.splits[split]
            accuracy = 100 * np.mean(found.answers[stage] == found.gold)
            assert accuracy == pytest.approx(results[stage][split]["accuracy"])
            np.testing.assert_array_equal(found.scores[stage].argmax(axis=1), found.answers[stage])
    test = kept.splits["test"]
    assert len(kept.representations) == len(test.gold) == len(test.dialogues)
    given = json.loads((finished / "data.json").read_text())["corpus"]["test"]
    assert test.dialogues.max() + 1 == given["dialogues"]
    spent = cost.read_cost(finished)
    assert spent.trained == spent.parameters
    assert spent.seconds > 0
    assert not spent.resumed


def adapted(toy, folder, rate, **settings):
    """Stage two at a rate, after a stage one whose anchors were the labels' means."""
    config = make_config(toy, stage_two__epochs=2, stage_two__lr=rate, **settings)
    prepared = experiment.prepare(config)
    reps = {
        split: prepared.encoding.represent(prepared.params, prepared.examples[split])
        for split in ("train", "dev")
    }
    gold = prepared.gold("train")
    means = np.stack([reps["train"][gold == label].mean(axis=0) for label in range(3)])
    first = StageResult(1, prepared.params, means)
    folder.mkdir()
    context = stage_two.StageContext(folder, QUIET, loop.StopRequest())
    return first, stage_two.run_stage_two(prepared, context, first, reps)


@pytest.mark.slow
def test_stage_two_keeps_what_it_was_given_unless_dev_gets_better(toy, tmp_path):
    """At a ruinous rate it keeps the anchors; the reference's way takes an epoch of it."""
    first, kept = adapted(toy, tmp_path / "kept", 30.0)
    assert kept.best_epoch == 0
    np.testing.assert_array_equal(kept.anchors, first.anchors)
    _, forced = adapted(toy, tmp_path / "forced", 30.0, compat__adapt_at_least_one_epoch=True)
    assert forced.best_epoch >= 1
    assert np.abs(forced.anchors - first.anchors).max() > 1


@pytest.mark.slow
@pytest.mark.parametrize(("setting", "sign"), [("logit_adjustment", -1), ("prior", 1)])
def test_the_prior_counts_as_far_as_dev_gains(toy, tmp_path, setting, sign):
    """The factor that is kept is the best of all that are tried, and offsets follow from it."""
    config = make_config(toy, **SHORT, **{f"evaluation__{setting}": True})
    results = run.train(config, tmp_path / "run", console=QUIET)
    model = EmotionRecognizer.from_pretrained(tmp_path / "run" / "model")
    prior = rarity.log_prior(experiment.prepare(config).counts).astype(np.float64)
    kept = outputs.read_outputs(tmp_path / "run")
    for stage in Stage:
        factor = getattr(results.of(stage).calibration, setting)
        offsets = sign * factor * prior if factor else np.zeros(3)
        np.testing.assert_allclose(model.settings.offsets.get(stage, (0, 0, 0)), offsets)
        dev = kept.splits["dev"]
        task, plain = experiment.prepare(config).task, dev.scores[stage] - offsets
        best = max(
            task.measure(dev.gold, (plain + sign * a * prior).argmax(axis=1))["weighted_f1"]
            for a in np.arange(0, 2.05, 0.05)
        )
        assert results.of(stage).dev.weighted_f1 == pytest.approx(best)
        # By what other labels, without offsets, are as sharp as these.
        fitted = {stage: task.fit_temperature(plain, dev.gold)} if factor else {}
        known = model.settings.calibration_without_offsets
        assert {k: known[k] for k in known if k == stage} == pytest.approx(fitted, rel=1e-3)
