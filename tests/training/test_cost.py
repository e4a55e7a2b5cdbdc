"""What a run cost: no more than it used, and not what others used."""

import json
import types

import jax
import numpy as np
import pytest

from eacl_jax.files.machine import processor_name
from eacl_jax.training import cost
from eacl_jax.training.optim import Rates
from tests.stubs.toys import make_config


def experiment(rates, **settings):
    kernel = {"kernel": np.zeros((4, 3), np.float32)}
    params = {"encoder": {"layers": np.zeros((3, 5), np.float32)}, "predictor": kernel}
    return types.SimpleNamespace(
        config=make_config(settings), rates=rates, params=params, others=(), counts=(1, 2, 3)
    )


def test_layers_that_would_join_after_the_last_epoch_are_not_trained():
    first = {"encoder": {"layers": np.array([[4], [3], [1]])}, "predictor": {"kernel": 0}}
    rates = Rates(None, None, first)
    assert cost.trained_parameters(experiment(Rates())) == 15 + 12
    assert cost.trained_parameters(experiment(rates, **{"stage_one.epochs": 3})) == 10 + 12
    assert cost.trained_parameters(experiment(rates, **{"stage_one.epochs": 4})) == 15 + 12
    half = {"encoder": {"layers": np.float32(0)}, "predictor": {"kernel": np.float32(0.5)}}
    assert cost.trained_parameters(experiment(Rates(half, None, first))) == 12


def test_learned_anchors_and_other_classifiers_are_trained_as_their_rates_say():
    learned = {"anchors.source": "learned"}
    assert cost.trained_parameters(experiment(Rates(), **learned)) == 15 + 12 + 3 * 4
    factors = {
        "encoder": {"layers": np.float32(1)},
        "predictor": {"kernel": np.float32(1)},
        "label_encodings": np.float32(0),
    }
    assert cost.trained_parameters(experiment(Rates(factors), **learned)) == 15 + 12
    corpus = types.SimpleNamespace(name="meld", taxonomy=("pleased", "cross"))
    others = (types.SimpleNamespace(corpus=corpus),)
    beside = experiment(Rates())
    beside.others = others
    assert cost.trained_parameters(beside) == 15 + 12 + (4 + 1) * 2
    unread = experiment(Rates(), **{"loss.ce_weight": 0.0})
    unread.others = others
    assert cost.trained_parameters(unread) == 15
    apart = {"loss.use_anchors": False, "loss.angle_weight": 0.0, **learned}
    assert cost.trained_parameters(experiment(Rates(), **apart)) == 15 + 12


@pytest.mark.parametrize(("steps", "epochs"), [(0, 4), (2, 1), (5, 3), (100, 4)])
def test_epochs_end_with_the_last_step(steps, epochs):
    first = {"encoder": {"layers": np.array([[4], [3], [1]])}, "predictor": {"kernel": 0}}
    settings = {"stage_one.epochs": 4, "stage_one.max_steps": steps}
    given = experiment(Rates(None, None, first), **settings)
    given.training_sets, given.batches_per_epoch = [types.SimpleNamespace(examples=[0] * 12)], [2]
    given.mesh = types.SimpleNamespace(size=1, devices=np.array(jax.local_devices()))
    found = cost.Clock(resumed=False).cost(given, [])
    assert found.epochs == epochs
    assert found.trained == 12 + 5 * sum(epoch <= epochs for epoch in (4, 3, 1))


@pytest.mark.parametrize(("later", "expected"), [(20, None), (21, 21)])
def test_a_devices_peak_is_a_runs_own_or_not_known(monkeypatch, later, expected):
    """A device counts its peak since the process began, whichever run it was of."""
    found = {"peak_bytes_in_use": 20}
    device = types.SimpleNamespace(platform="gpu", memory_stats=lambda: found)
    monkeypatch.setattr(jax, "local_devices", lambda: [device])
    clock = cost.Clock(resumed=False)
    found["peak_bytes_in_use"] = later
    assert clock._peak_bytes() == expected


@pytest.mark.parametrize(
    ("speeds", "expected"), [((), None), ((0.1,), None), ((0.1, 8.0), 8.0), ((0.1, 8.0, 4.0), 6.0)]
)
def test_the_step_that_compiles_tells_no_speed(monkeypatch, speeds, expected):
    given = experiment(Rates())
    given.training_sets, given.batches_per_epoch = [types.SimpleNamespace(examples=[0] * 12)], [2]
    given.mesh = types.SimpleNamespace(size=1, devices=np.array(jax.local_devices()))
    history = [{"stage": 1, "step": n, "examples_per_second": s} for n, s in enumerate(speeds)]
    history += [{"stage": 1, "epoch": 1}, {"stage": 2, "examples_per_second": 1e6}]
    found = cost.Clock(resumed=False).cost(given, history)
    assert found.examples_per_second == expected
    assert found.seconds_an_epoch == (None if expected is None else 12 / expected)


def test_on_a_cpu_it_is_the_processs():
    assert cost.Clock(resumed=False)._peak_bytes() > 10_000_000


def test_it_says_what_computed_the_run(monkeypatch, tmp_path):
    given = experiment(Rates())
    given.training_sets, given.batches_per_epoch = [types.SimpleNamespace(examples=[0] * 12)], [2]
    given.mesh = types.SimpleNamespace(size=1, devices=np.array(jax.local_devices()))
    monkeypatch.setattr(cost, "processor_name", lambda: "EPYC")
    found = cost.Clock(resumed=False).cost(given, [])
    assert (found.processor, found.versions["jax"]) == ("EPYC", jax.__version__)
    gpu = types.SimpleNamespace(platform="gpu", device_kind="H100")
    given.mesh = types.SimpleNamespace(size=1, devices=np.array([gpu]))
    assert cost.Clock(resumed=False).cost(given, []).processor == "H100"
    cost.write_cost(tmp_path, found)
    assert cost.read_cost(tmp_path) == found
    # Runs of earlier versions do not say it.
    values = json.loads((tmp_path / cost.FILE).read_text())
    del values["processor"], values["versions"]
    (tmp_path / cost.FILE).write_text(json.dumps(values))
    assert cost.read_cost(tmp_path).versions == {}


def test_processors_have_a_name():
    assert processor_name().strip()
