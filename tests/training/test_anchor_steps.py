"""Stage two's scan: that it equals single steps, compiles once, names a bad batch, and goes on bit
for bit.
"""

import dataclasses
import json
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from rich.console import Console

from eacl_jax.config import Config, RunConfig, StageTwoConfig
from eacl_jax.data.pipeline import endless_batches, iterate
from eacl_jax.errors import SettingsError
from eacl_jax.model.mesh import make_mesh, put, replicated
from eacl_jax.model.rarity import Rarity
from eacl_jax.model.scores import Answering
from eacl_jax.model.task import SingleLabel
from eacl_jax.training.anchor_steps import AnchorEpoch, Order, adapt, fill
from eacl_jax.training.checkpoint import Checkpoints
from eacl_jax.training.experiment import Shared
from eacl_jax.training.loop import (
    Interrupted,
    NonFiniteLossError,
    StopRequest,
    create_state,
    make_train_step,
)
from eacl_jax.training.optim import stage_two_optimizer
from eacl_jax.training.stage import StageContext, StageResult
from eacl_jax.training.stage_two import AnchorsAlone, affine_of, run_stage_two, stage_two_loss

N, SIZE, PER_EPOCH, SEED = 23, 5, 5, 7  # the last batch holds 3 examples
SETTINGS = StageTwoConfig(
    epochs=3, batch_size=SIZE, lr=0.05, clip_norm=0.01
)  # gradients are clipped
CONFIG = Config(seed=SEED, stage_two=SETTINGS, run=RunConfig(log_every=1, save_every=2))
TEMPERATURE = CONFIG.loss.temperature


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    reps, anchors = (
        rng.normal(size=(N, 6)).astype(np.float32),
        rng.normal(size=(3, 6)).astype(np.float32),
    )
    return SimpleNamespace(
        reps=reps, labels=rng.integers(0, 3, N).astype(np.int32), anchors=anchors
    )


class Adapting:
    """Runs `adapt` and notes what it tells."""

    def __init__(self, data, devices=1):
        self.mesh, self.traces, self.steps, self.saved = make_mesh(devices), 0, {}, []
        params = {"anchors": data.anchors}
        optimizer = stage_two_optimizer(SETTINGS, params)
        self.state = put(create_state(params, {}, optimizer), replicated(self.mesh))
        loss = stage_two_loss(CONFIG.loss)
        train_step = make_train_step(jax.value_and_grad(loss, has_aux=True), optimizer, self.mesh)

        def counted(*arguments):
            self.traces += 1
            return train_step(*arguments)

        self.scan = AnchorEpoch(
            counted, {"reps": data.reps, "labels": data.labels}, SIZE, self.mesh
        )
        self.batches = iterate(endless_batches(N, SIZE, SEED, lambda indices: fill(indices, SIZE)))

    def run(self, steps):
        arguments = {
            "steps_per_epoch": PER_EPOCH,
            "steps": steps,
            "save": self.save,
            "stop": StopRequest(),
        }
        return adapt(self.state, self.scan, self.batches, jax.random.key(0), self, **arguments)

    def step(self, step, metrics):
        self.steps[step] = metrics

    def epoch(self, epoch, state):
        self.scored = epoch

    def save(self, state):
        assert self.scored * PER_EPOCH == int(state.step)
        self.saved.append(int(state.step))


def drawn(steps):
    """The examples of each step, as the shuffle gives them to stage one, too."""
    batches = iterate(endless_batches(N, SIZE, SEED, lambda indices: indices))
    return [next(batches) for _ in range(steps)]


def by_single_steps(data, steps):
    """Losses and anchors of a plain loop over batches without padding, from the definition of the
    score.
    """

    def loss(anchors, reps, labels):
        cosine = (reps / jnp.linalg.norm(reps, axis=1, keepdims=True)) @ (
            anchors / jnp.linalg.norm(anchors, axis=1, keepdims=True)
        ).T
        scores = ((1 + cosine) / 2 + 1e-8) / TEMPERATURE
        return -jnp.mean(jax.nn.log_softmax(scores)[jnp.arange(len(labels)), labels])

    optimizer = optax.chain(optax.clip_by_global_norm(SETTINGS.clip_norm), optax.adam(SETTINGS.lr))
    anchors = jnp.asarray(data.anchors)
    state, losses, norms = optimizer.init(anchors), [], []
    for indices in drawn(steps):
        value, gradient = jax.value_and_grad(loss)(
            anchors, data.reps[indices], data.labels[indices]
        )
        updates, state = optimizer.update(gradient, state)
        anchors = optax.apply_updates(anchors, updates)
        losses.append(float(value))
        norms.append(float(jnp.linalg.norm(gradient)))
    return losses, norms, anchors


@pytest.mark.parametrize("devices", [1, 8])
def test_it_equals_single_steps(data, devices):
    adapting = Adapting(data, devices)
    state = adapting.run(3 * PER_EPOCH)
    losses, norms, anchors = by_single_steps(data, 3 * PER_EPOCH)
    assert list(adapting.steps) == list(range(1, 3 * PER_EPOCH + 1))
    np.testing.assert_allclose([m["loss"] for m in adapting.steps.values()], losses, rtol=1e-5)
    np.testing.assert_allclose([m["grad_norm"] for m in adapting.steps.values()], norms, rtol=1e-4)
    np.testing.assert_allclose(state.params["anchors"], anchors, rtol=1e-4, atol=1e-5)
    assert adapting.saved == [5, 10, 15]
    assert all(m["examples_per_second"] > 0 for m in adapting.steps.values())


def test_it_compiles_once(data):
    adapting = Adapting(data)
    adapting.run(4 * PER_EPOCH)
    assert adapting.traces == 1


@pytest.mark.slow
def test_what_is_left_of_an_epoch_is_run_first(data):
    """Folders that earlier versions left within an epoch."""
    losses, _, anchors = by_single_steps(data, 2 * PER_EPOCH)
    adapting = Adapting(data)
    order = Order(
        *(np.stack(rows) for rows in zip(*(next(adapting.batches) for _ in range(2)), strict=True))
    )
    adapting.state, _ = adapting.scan.run(adapting.state, order, jax.random.key(0))
    state = adapting.run(2 * PER_EPOCH)
    assert adapting.saved == [5, 10]
    np.testing.assert_allclose([m["loss"] for m in adapting.steps.values()], losses[2:], rtol=1e-5)
    np.testing.assert_allclose(state.params["anchors"], anchors, rtol=1e-4, atol=1e-5)


def test_the_first_bad_step_and_its_examples_are_named(data):
    order = drawn(PER_EPOCH)
    data.reps[order[-1][0]] = np.nan  # in the short batch, after four good ones
    adapting = Adapting(data)
    with pytest.raises(NonFiniteLossError) as caught:
        adapting.run(2 * PER_EPOCH)
    assert caught.value.step == PER_EPOCH
    np.testing.assert_array_equal(caught.value.indices, order[-1])
    assert list(adapting.steps) == [1, 2, 3, 4]
    assert adapting.saved == []
    # A bad step makes all later ones bad.
    data.reps[order[1][2]] = np.nan
    adapting = Adapting(data)
    with pytest.raises(NonFiniteLossError) as caught:
        adapting.run(2 * PER_EPOCH)
    assert caught.value.step == 2
    np.testing.assert_array_equal(caught.value.indices, order[1])


@pytest.fixture
def stage_two(data):
    """Runs stage two in a folder, after a stage one that left the anchors and two frozen
    parameters.
    """
    frozen = {
        "encoder": {"kernel": np.ones((4, 4), np.float32)},
        "mapping": {"kernel": np.ones((4, 6), np.float32)},
    }
    experiment = SimpleNamespace(
        config=CONFIG,
        mesh=make_mesh(1),
        gold=lambda split: data.labels.astype(np.int64),
        training_targets=data.labels,
        task=SingleLabel(("a", "b", "c")),
        answering=lambda offsets=(): Answering(TEMPERATURE, offsets=offsets),
        counts=np.bincount(data.labels, minlength=3),
        rarity=Rarity(),
        draw_probabilities=None,
        mixed_targets=None,
        shared=Shared(),
    )

    def run(folder, *, stopping=False, **settings):
        if settings:
            changed = dataclasses.replace(SETTINGS, **settings)
            experiment.config = dataclasses.replace(CONFIG, stage_two=changed)
        folder.mkdir(exist_ok=True)
        stop = StopRequest()
        stop.requested = stopping
        context = StageContext(folder, Console(quiet=True), stop)
        return run_stage_two(
            experiment,
            context,
            StageResult(1, frozen, data.anchors),
            {"train": data.reps, "dev": data.reps},
        )

    return run


def rows(folder):
    """What was recorded, but for speeds."""
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    return [
        {k: v for k, v in json.loads(line).items() if k != "examples_per_second"} for line in lines
    ]


def test_it_goes_on_from_an_epochs_end_bit_for_bit(data, stage_two, tmp_path):
    whole = stage_two(tmp_path / "whole")
    for step in (PER_EPOCH, 2 * PER_EPOCH):
        with pytest.raises(Interrupted):
            stage_two(tmp_path / "stopped", stopping=True)
        assert rows(tmp_path / "stopped")[-1]["step"] == step
    resumed = stage_two(tmp_path / "stopped")
    np.testing.assert_array_equal(resumed.anchors, whole.anchors)
    assert resumed.best_epoch == whole.best_epoch
    assert rows(tmp_path / "stopped") == rows(tmp_path / "whole")
    assert len(rows(tmp_path / "whole")) == 3 * PER_EPOCH + 4
    assert set(resumed.params) == {"encoder", "mapping", "anchors"}


@pytest.mark.parametrize("scale", [0.0, -0.3, np.nan, np.inf])
def test_a_scale_that_answers_nothing_is_refused(scale):
    found = affine_of({"scale": np.float32(0.3), "biases": np.zeros(2, np.float32)})
    assert found.scale == pytest.approx(0.3)
    with pytest.raises(SettingsError, match=rf"stage two's scale is {scale:g}, .*stage_two\.lr"):
        affine_of({"scale": np.float32(scale), "biases": np.zeros(2, np.float32)})
    with pytest.raises(SettingsError, match=r"stage two's biases are not finite, .*stage_two\.lr"):
        affine_of({"scale": np.float32(1), "biases": np.array([0, np.nan], np.float32)})


@pytest.mark.slow
def test_biases_learn_how_frequent_labels_are(data, stage_two, tmp_path):
    """Representations that say nothing leave the labels' shares to be learnt."""
    data.reps[:] = 1.0
    data.anchors[:] = data.anchors[0]
    result = stage_two(tmp_path, epochs=120, lr=0.0, biases=True, bias_lr=0.05, clip_norm=5.0)
    np.testing.assert_array_equal(result.anchors, data.anchors)
    found = np.exp(result.biases) / np.exp(result.biases).sum()
    shares = np.bincount(data.labels) / N
    assert shares.max() > 0.4
    # Of the chosen epoch, the first that answers the most frequent label.
    assert found.argmax() == shares.argmax()
    last = json.loads((tmp_path / "metrics.jsonl").read_text().splitlines()[-2])
    assert last["loss"] == pytest.approx(-np.log(shares) @ shares, abs=0.2)


def test_it_stops_when_dev_has_waited_long_enough(data, stage_two, tmp_path):
    """At a rate of 0 nothing gets better; a run that was stopped stops at the same epoch."""
    how = {"epochs": 9, "lr": 0.0, "patience": 2}
    whole = stage_two(tmp_path / "whole", **how)
    assert whole.best_epoch == 0
    assert rows(tmp_path / "whole")[-1]["epoch"] == 2
    for _ in range(2):
        with pytest.raises(Interrupted):
            stage_two(tmp_path / "stopped", stopping=True, **how)
    assert stage_two(tmp_path / "stopped", **how).best_epoch == 0
    assert rows(tmp_path / "stopped") == rows(tmp_path / "whole")


def test_its_checkpoints_have_the_layout_of_an_optimizer_of_all_parameters(
    data, stage_two, tmp_path
):
    """The one in which earlier versions wrote them: orbax restores no other."""
    result = stage_two(tmp_path)
    params = {**result.params, "anchors": data.anchors}
    state = put(
        create_state(params, {}, stage_two_optimizer(SETTINGS, params)), replicated(make_mesh(1))
    )
    belongs = {"stage one's epoch": 1}
    checkpoints = Checkpoints(tmp_path / "checkpoints" / "stage_two", belongs=belongs)
    template = {
        "step": state.step,
        "anchors": state.params["anchors"],
        "opt_state": state.opt_state,
    }
    restored, record = checkpoints.restore(checkpoints.best_step(), template)
    checkpoints.close()
    np.testing.assert_array_equal(restored["anchors"], result.anchors)
    assert record["best_epoch"] == result.best_epoch


def test_a_checkpoint_of_stage_two_belongs_to_stage_ones_choice():
    anchors = np.zeros((2, 3), np.float32)
    alone = AnchorsAlone(StageResult(2, {}, anchors))
    mean = AnchorsAlone(StageResult(2, {}, anchors, mean_of=(1, 2)))
    assert alone.belongs == {"stage one's epoch": 2}
    assert mean.belongs == {"stage one's epoch": [1, 2]}
