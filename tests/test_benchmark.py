"""The benchmark: its peers do the same work as we do, and its numbers are what they are called."""

import contextlib
import dataclasses
import json
import os
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest
from absl import flags
from rich.console import Console

from eacl_jax import encoders
from eacl_jax.config import Config
from tests.stubs.toys import ENCODER, make_tokenizer

pytest.importorskip("torch", reason="the peers are written in PyTorch")

from benchmarks import script
from benchmarks.speed import report, run, tasks, workers
from benchmarks.speed.measure import MatmulRate
from benchmarks.speed.workers import Worker
from eacl_jax.errors import UserError

PEERS = ("reference", "dynamic", "strong")


def test_a_flag_of_one_value_is_not_given_twice(monkeypatch):
    """absl would keep the last value without a word."""
    values = flags.FlagValues()
    flags.DEFINE_integer("rounds", 3, "", flag_values=values)
    flags.DEFINE_multi_integer("size", [1], "", flag_values=values)
    monkeypatch.setattr(flags, "FLAGS", values)
    assert script._parse(["it", "--size=1", "--size=2", "--rounds=4"]) == ["it"]
    with pytest.raises(UserError, match="--rounds is given more than once"):
        script._parse(["it", "--rounds=4", "--rounds=5"])


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    """A tiny encoder without dropout on eight examples."""
    folder = tmp_path_factory.mktemp("encoder")
    tokenizer = make_tokenizer()
    tokenizer.add_tokens(
        ["disgust", "fear", "sadness", "surprise"]
    )  # smalltalk's labels: unknown ones would be one anchor
    rates = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    config = {
        **ENCODER,
        **rates,
        "hidden_size": 32,
        "intermediate_size": 64,
        "vocab_size": len(tokenizer),
    }
    encoders.save(encoders.build(config), config, folder)
    tokenizer.save_pretrained(folder)
    return tasks.Settings(
        encoder=str(folder),
        corpus="smalltalk",
        data_dir="",
        batch_size=8,
        max_tokens=64,
        rounds=2,
        dtype="float32",
        preset="parity",
        attention="auto",
        peers=PEERS,
        encode_examples=20,
        alone=False,
    )


@pytest.fixture
def config(settings):
    """The run, with the predictor's dropout off, too."""
    mapping = tasks.make_config(settings, Path(settings.encoder), random=False).to_dict()
    mapping["model"]["dropout"] = 0.0
    return Config.from_mapping(mapping)


@pytest.mark.slow
@pytest.mark.parametrize("make", [tasks.training, tasks.encoding])
def test_all_runners_compute_the_same(make, settings, config, tmp_path):
    """Each starts from our weights; in the second step they are as trained by each runner
    itself.
    """
    task = make(config, settings, tmp_path / "checkpoint")
    assert list(task.runners) == ["eacl_jax", *PEERS]
    assert len(set(task.lengths[0])) > 2
    for work in task.works:
        results = {
            name: runner.finish(runner.start(runner.prepare(work)))
            for name, runner in task.runners.items()
        }
        for peer in PEERS:
            np.testing.assert_allclose(results[peer], results["eacl_jax"], atol=1e-4, err_msg=peer)


def test_stage_two_runners_compute_the_same(settings, config, monkeypatch):
    monkeypatch.setattr(tasks, "ADAPTED", 150)
    task = tasks.adapting(config, {"hidden_size": 32}, settings)
    for work in task.works:
        own, dynamic = (
            runner.finish(runner.start(runner.prepare(work))) for runner in task.runners.values()
        )
        assert dynamic == pytest.approx(own, abs=1e-5)


def test_model_flops_by_hand():
    described = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2}
    # A token of a layer: 2 * (4 * 32^2 + 2 * 32 * 64) = 16384, and 4 * 32 = 128 for each token of
    # its example.
    assert (
        tasks.model_flops([3, 5], described, passes=3)
        == 3 * 2 * (3 * (16384 + 3 * 128) + 5 * (16384 + 5 * 128))
        == 812544
    )


@contextlib.contextmanager
def here(task, settings, names):
    """Workers in this process, where a test can look at them."""
    made = {name: Worker(task, settings, name) for name in names}
    yield lambda name, method, *arguments: getattr(made[name], method)(*arguments)


@pytest.mark.slow
def test_results_have_all_fields_and_can_be_shown(settings, config, tmp_path, monkeypatch):
    monkeypatch.setattr(
        tasks, "make_config", lambda *_: config
    )  # whose step another test has compiled
    measured = run.measure("train", settings, here)
    results = {
        "device": "cpu",
        "cores": 2,
        "settings": {**vars(settings), "encoder": "tiny"},
        "tasks": {"train": measured},
    }
    results = json.loads(json.dumps(results))
    assert measured["examples"] == 8
    assert len(measured["tokens"]) == 2
    assert len(measured["matmul"]["flops_per_second"]) == 2 * 4
    for name, row in measured["runners"].items():
        assert len(row["seconds"]) == 2
        assert row["min"] <= row["median"] <= row["max"]
        assert row["examples_per_second"] == pytest.approx(8 / row["median"])
        assert row["mfu"] == pytest.approx(row["flops_per_second"] / measured["matmul"]["median"])
        assert row["tokens_per_second"] > 0
        assert set(row) >= {"first", "compile_seconds", "compilations", "peak_bytes"}
        assert (row["compilations"] is not None) == (name == "eacl_jax")
    ours = measured["runners"]["eacl_jax"]
    assert 1 <= ours["compilations"] <= 2
    assert ours["peak_bytes"] > 0
    console = Console(width=110, record=True)
    report.print_tables(results, console)
    text = console.export_text()
    assert all(f"of PyTorch {peer}" in text for peer in PEERS)
    assert "…" not in text
    report.write_chart(results, tmp_path / "chart.png")
    assert (tmp_path / "chart.png").stat().st_size > 0


@pytest.mark.parametrize("alone", [True, False])
def test_runners_live_beside_each_other_or_alone(settings, monkeypatch, alone):
    alive = []

    @contextlib.contextmanager
    def living(task, settings, names):
        alive.append(names)
        yield lambda *_: {"device": "cpu", "examples": 8, "lengths": [], "config": {}}

    rate = MatmulRate(8, "float32", [1.0])
    monkeypatch.setattr(run, "alternate", lambda call, names, rounds: (dict.fromkeys(names), rate))
    monkeypatch.setattr(run, "summarize", lambda *_: {})
    measured = run.measure("train", dataclasses.replace(settings, alone=alone), living)
    names = ["eacl_jax", *PEERS]
    assert list(measured["runners"]) == names
    assert alive == ([[each] for each in names] if alone else [names])


def test_a_runner_that_is_killed_is_told_of():
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        message = "the process of strong was ended from outside, most likely for want of memory"
        with pytest.raises(UserError, match=message):
            workers._result(pool, "strong", os._exit, 1)


def test_unknown_peer_is_refused(settings):
    with pytest.raises(
        UserError, match="--peers: there is no 'slow'; choose from reference, dynamic, strong"
    ):
        run.benchmark(dataclasses.replace(settings, peers=["slow"]), ["train"])
