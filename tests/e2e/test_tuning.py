"""A run with every choice that the paper leaves open: unfreezing, layer-wise decay, a table of
rates, the mean as readout.
"""

import dataclasses
import json
import signal

import jax
import numpy as np
import pytest
from rich.console import Console

from eacl_jax.config import CompatConfig, Stage
from eacl_jax.errors import UserError
from eacl_jax.model.mesh import make_mesh
from eacl_jax.training import cost, evaluation, experiment, loop, run, stage
from eacl_jax.training.optim import stage_one_optimizer
from eacl_jax.training.stage import StageContext
from eacl_jax.training.stage_one import run_stage_one
from eacl_jax.training.training_sets import more_shapes
from tests.stubs.encoders import CONFIGS
from tests.stubs.toys import make_config, make_tokenizer

CHOICES = {
    "model__readout": "mean",
    "stage_one__epochs": 3,
    "stage_one__unfreeze_layers": 1,
    "encoder__scan_layers": "always",
    "stage_one__layer_decay": 0.5,
    "stage_one__rates": ("encoder/embeddings/positions/.*=0", "predictor/.*=2", ".*=1"),
    "stage_two__epochs": 1,
    "run__log_every": 1,
}


class StopAfter(loop.StopRequest):
    """Asks to stop once the loop has looked `looks` times."""

    def __init__(self, looks):
        self.looks, self.number = looks, signal.SIGTERM

    @property
    def requested(self):
        self.looks -= 1
        return self.looks < 0


def losses(folder):
    """(step, loss) of stage one."""
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [(row["step"], row["loss"]) for row in rows if row["stage"] == 1 and "loss" in row]


def stage_one(config, folder):
    """(the model's parameters before and after, as numpy arrays) of a run of stage one alone."""
    folder.mkdir()
    prepared = experiment.prepare(config, mesh=make_mesh(1))
    before = jax.tree.map(np.array, prepared.params)
    context = StageContext(folder, Console(quiet=True), loop.StopRequest())
    return before, jax.tree.map(np.array, run_stage_one(prepared, context).params)


@pytest.mark.slow
def test_it_goes_on_identically_compiles_once_and_finishes(toy, tmp_path, monkeypatch, traces):
    config = make_config(toy, **CHOICES)
    monkeypatch.setattr(experiment, "make_mesh", lambda: make_mesh(1))
    with monkeypatch.context() as patch:
        later_is_better = iter(range(3))
        patch.setattr(
            stage, "score", lambda *_: dict.fromkeys(stage.HEADLINE, next(later_is_better))
        )
        before, after = stage_one(config, tmp_path / "whole")
    assert len(traces) == len(set(traces)) <= 3  # not again at each layer that joins
    moved = jax.tree.map(
        lambda a, b: np.any(a != b), before["encoder"]["embeddings"], after["encoder"]["embeddings"]
    )
    assert moved["tokens"]["embedding"]  # in the last epoch
    assert not moved["positions"]["embedding"]  # frozen by the table

    with pytest.raises(loop.Interrupted):
        run.train(config, tmp_path / "run", stop=StopAfter(15), console=Console(quiet=True))
    assert 0 < len(losses(tmp_path / "run")) < len(losses(tmp_path / "whole"))
    results = run.train(config, tmp_path / "run", console=Console(quiet=True))
    assert losses(tmp_path / "run") == losses(tmp_path / "whole")
    scores = evaluation.evaluate(tmp_path / "run", "test")  # by the saved recognizer
    assert scores == {stage: results.of(Stage(stage)).test.to_json() for stage in scores}


@pytest.mark.slow
def test_in_the_first_epoch_the_top_layer_alone_moves(toy, tmp_path):
    before, after = stage_one(
        make_config(toy, **{**CHOICES, "stage_one__epochs": 1}), tmp_path / "first"
    )
    moved = jax.tree.map(lambda a, b: (a != b).reshape(len(a), -1).any(axis=1), before, after)
    assert moved["encoder"]["layers"]["attention"]["query"]["kernel"].tolist() == [False, True]
    assert not any(m.any() for m in jax.tree.leaves(moved["encoder"]["embeddings"]))
    assert moved["predictor"]["kernel"].any()


@pytest.mark.slow
def test_an_encoder_without_first_token_mask_and_longest_length(toy, tmp_path, monkeypatch):
    monkeypatch.setattr(experiment, "make_mesh", lambda: make_mesh(1))
    tokenizer = make_tokenizer()
    tokenizer.bos_token = tokenizer.cls_token = tokenizer.mask_token = None
    folder = tmp_path / "t5"
    tokenizer.save_pretrained(folder)
    (folder / "config.json").write_text(json.dumps({**CONFIGS["t5"], "vocab_size": len(tokenizer)}))
    t5 = {
        "encoder__path": str(folder),
        "encoder__random_weights": True,
        "stage_one__max_steps": 2,
        "stage_two__epochs": 1,
    }
    with pytest.raises(UserError, match=r'set config\.model\.readout to "last" or "mean"'):
        experiment.prepare(make_config(toy, **t5))
    config = make_config(toy, **t5, model__readout="last")
    seen = []
    results = run.train(
        config,
        tmp_path / "run",
        console=Console(quiet=True),
        watch=lambda stage, epoch, epochs, _: seen.append((stage, epoch, epochs)),
    )
    # The steps end after one epoch, whatever is set.
    assert config.stage_one.epochs > 1
    assert seen == [(Stage.ONE, 1, 1), (Stage.TWO, 1, 1)]
    assert (
        evaluation.evaluate(tmp_path / "run", "dev")["stage_two"] == results.stage_two.dev.to_json()
    )


def test_the_compat_switch_overrides_the_readout(toy):
    # Refused in a run of its own; a study's variants may have both.
    config = dataclasses.replace(
        make_config(toy, model__readout="mean"), compat=CompatConfig(readout_first=True)
    )
    prepared = experiment.prepare(config, mesh=make_mesh(1))
    assert {e.readout for e in prepared.examples["dev"]} == {0}
    assert not prepared.merge(prepared.params).pooled


def test_learned_anchors_learn_at_the_rate_of_their_row(toy):
    rates = ("label_encodings=0", ".*=1")
    config = make_config(toy, anchors__source="learned", stage_one__rates=rates)
    prepared = experiment.prepare(config, mesh=make_mesh(1))
    shapes = more_shapes(config, 3, prepared.params, ())
    made = prepared.source.parameters(prepared.beginning)
    assert jax.tree.map(lambda x: (x.shape, x.dtype), made) == jax.tree.map(
        lambda x: (x.shape, x.dtype), shapes
    )
    params = {**prepared.params, **made}
    optimizer = stage_one_optimizer(config.stage_one, params, 10, rates=prepared.rates)
    updates, _ = optimizer.update(
        jax.tree.map(np.ones_like, params), optimizer.init(params), params
    )
    assert not np.any(updates["label_encodings"])
    assert np.any(updates["mapping"]["hidden"]["kernel"])
    count = sum(x.size for x in jax.tree.leaves(prepared.params))
    assert cost.trained_parameters(prepared) == count


def test_a_table_that_does_not_fit_is_refused_before_anything_is_written(toy, tmp_path):
    with pytest.raises(UserError, match=r"no row for the parameter predictor/bias"):
        run.train(
            make_config(toy, stage_one__rates=("encoder/.*=1", "mapping/.*=1")), tmp_path / "run"
        )
    assert not (tmp_path / "run").exists()
