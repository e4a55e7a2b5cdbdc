"""The benchmark of several labels: its peer begins as we do, and its numbers are what they are
called.
"""

import dataclasses
import json

import numpy as np
import pytest

from eacl_jax.errors import UserError
from eacl_jax.model.metrics import summarize_several
from eacl_jax.training import experiment
from eacl_jax.training.cost import trained_parameters
from tests.stubs.toys import make_config, make_encoder_folder

pytest.importorskip("torch", reason="the peer is written in PyTorch")

import torch

from benchmarks.several import measures, peer, runs, tables


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    folder = tmp_path_factory.mktemp("benchmark")
    files = {}
    for split in ("train", "dev", "test"):
        labels = [["joy"], [], ["anger", "joy"], ["neutral"], ["anger"]]
        turns = [
            {"speaker": "Ann", "text": f"The day is {'lovely ' * (i + 1)}", "emotions": emotions}
            for i, emotions in enumerate(labels)
        ]
        lines = [json.dumps({"id": split, "utterances": turns})]
        file = folder / f"{split}.jsonl"
        file.write_text("\n".join(lines) + "\n", encoding="utf-8")
        files[f"data.{split}"] = str(file)
    return make_config(
        {
            **files,
            "data.corpus": "custom",
            "data.task": "multi",
            "data.cache_dir": str(folder / "cache"),
            "encoder.path": str(make_encoder_folder(folder / "encoder")),
            "encoder.frozen_layers": 1,
            "prompt.max_tokens": 64,
            "loss.ce_weight": 1.0,
            "stage_one.epochs": 2,
            "stage_one.batch_size": 3,
        }
    )


def test_peer_reads_and_trains_the_same(config):
    corpus, splits = peer.read(config, text_alone=False)
    ours = experiment.prepare(config)
    model = peer.Classifier(config, config.readout, len(corpus.taxonomy)).eval()
    model.output = torch.nn.Identity()
    part = np.arange(5)
    with torch.inference_mode():
        found = model(*peer._padded(splits["train"], part, model.encoder, "cpu")).numpy()
    expected = ours.encoding.read_text(ours.params, ours.examples["train"])
    np.testing.assert_allclose(found, expected, atol=1e-5)
    np.testing.assert_array_equal(splits["train"].targets, ours.training_targets)
    model = peer.Classifier(config, config.readout, len(corpus.taxonomy))
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    assert trained == trained_parameters(ours)
    spared = {
        id(p) for g in peer._groups(model, config) if not g["weight_decay"] for p in g["params"]
    }
    assert {p.ndim for p in model.parameters() if id(p) in spared} == {1}


@pytest.mark.slow
@pytest.mark.parametrize("system", ["torch", "torch_text"])
def test_a_run_of_the_peer_has_a_whole_row(config, tmp_path, system):
    row = runs.one(system, config, tmp_path)
    assert set(row["scores"]) == {system}
    assert set(row["scores"][system]) == {"own", "common"}
    gold_dev, dev, gold, test = runs.answers_of(tmp_path, row, system)
    assert gold_dev.tolist() == gold.tolist()
    assert gold.sum() == 5
    assert dev.shape == test.shape == (5, 3)
    found = tables.differences(
        [row, {**row, "system": "eacl"}], _copied(tmp_path, system), "eacl", system
    )
    assert found is not None
    assert found.row_count == 2 * len(measures.MEASURES)


def _copied(folder, system):
    with np.load(folder / f"{system}-0.npz") as kept:
        arrays = {name.replace(system, "eacl"): kept[name] for name in kept.files}
    np.savez(folder / "eacl-0.npz", **arrays)
    return folder


def test_draws_that_take_each_utterance_once_give_the_scores():
    rng = np.random.default_rng(0)
    gold, one, other = rng.random((3, 40, 6)) < 0.3
    found = measures.redrawn(gold, [one, other], [np.ones((1, 40))])
    for number, answers in enumerate((one, other)):
        scores = summarize_several(gold, answers, tuple("abcdef"))
        for name in measures.MEASURES:
            assert found[name][number] == pytest.approx([scores[name]])


def test_seconds_of_an_epoch_are_of_steps_that_did_not_compile():
    assert runs.epoch_seconds([[9.0, 1.0, 1.0], [1.0, 2.0, 30.0], [1.0, 2.0, 1.5]]) == 4.5
    assert runs.epoch_seconds([[9.0, 1.0, 1.0, 1.0]]) == 4


def test_finished_runs_are_passed_over_and_other_settings_refused(config, tmp_path, monkeypatch):
    done = []

    def alone(system, config, out):
        done.append((system, config.seed))
        return {"system": system, "seed": config.seed}

    monkeypatch.setattr(runs, "_alone", alone)
    runs.run(config, tmp_path, [0], ["eacl", "torch"])
    rows = runs.run(config, tmp_path, [0, 1], ["eacl", "torch"])
    assert done == [("eacl", 0), ("torch", 0), ("torch", 1), ("eacl", 1)]
    assert len(rows) == 4
    other = dataclasses.replace(config, prompt=dataclasses.replace(config.prompt, max_tokens=32))
    with pytest.raises(UserError, match="other settings"):
        runs.run(other, tmp_path, [0], ["eacl"])
