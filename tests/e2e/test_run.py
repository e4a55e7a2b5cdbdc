"""A whole run: what it leaves, that it learns, and that nothing but the anchors moves in stage
two.
"""

import dataclasses
import json
import shutil
import signal
import threading
from pathlib import Path

import jax
import numpy as np
import pytest
from rich.console import Console

from eacl_jax import corpora
from eacl_jax.dialogue import Dialogue, Utterance
from eacl_jax.errors import UserError
from eacl_jax.model.mesh import make_mesh
from eacl_jax.model.passes import Passes
from eacl_jax.recognizer.recognizer import EmotionRecognizer
from eacl_jax.training import evaluation, experiment, loop, run, run_folder
from eacl_jax.training.stage import StageContext
from eacl_jax.training.stage_one import run_stage_one
from eacl_jax.training.stage_two import run_stage_two
from tests.stubs.toys import WORDS, make_config


def test_folder_and_results(finished):
    names = {path.name for path in finished.iterdir()}
    assert names == {
        "config.json",
        "data.json",
        "checkpoints",
        "metrics.jsonl",
        "tensorboard",
        "model",
        "report",
        "outputs.safetensors",
        "cost.json",
        "results.json",
    }
    results = json.loads((finished / "results.json").read_text())
    assert set(results) == {
        *("corpus", "seed", "stage_one", "stage_two", "always_most_frequent", "abstention")
    }
    for stage in ("stage_one", "stage_two"):
        assert set(results[stage]) == {"best_epoch", "dev", "test", "calibration"}
        for split in ("dev", "test"):
            assert set(results[stage][split]) == {
                "weighted_f1",
                "accuracy",
                "macro_f1",
                "per_class_f1",
                "support",
                "answered",
            }
            assert set(results[stage][split]["per_class_f1"]) == set(WORDS)
    assert (finished / "report" / "index.html").stat().st_size > 10_000
    assert list((finished / "tensorboard" / "stage_one").glob("events*"))


@pytest.mark.slow
def test_a_program_trains_many_times_from_any_thread(toy, tmp_path):
    """No signal handler is installed, and a stop that a program asks for is heeded."""
    config = make_config(toy, stage_one__max_steps=2, stage_two__epochs=1)
    results: list[object] = []

    def program():
        before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
        stop = loop.StopRequest()
        stop.ask()
        try:
            run.train(config, tmp_path / "run", stop=stop, console=Console(quiet=True))
        except loop.Interrupted:
            results.append("stopped")
        results.extend(
            run.train(config, tmp_path / "run", console=Console(quiet=True)) for _ in range(2)
        )
        results.append(
            [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before
        )

    thread = threading.Thread(target=program)
    thread.start()
    thread.join()
    assert results[0] == "stopped"
    assert results[1] == results[2] == run_folder.read_results(tmp_path / "run")
    assert results[3] is True


def test_probabilities_are_calibrated_on_dev(finished, toy):
    results = json.loads((finished / "results.json").read_text())
    recognizer = EmotionRecognizer.from_pretrained(finished / "model")
    before = dataclasses.replace(
        recognizer.settings, calibration={"stage_one": 1.0, "stage_two": 1.0}
    )
    again = recognizer.changed(before, recognizer.anchors).calibrate(
        corpora.load(make_config(toy).data).splits["dev"]
    )
    for stage in ("stage_one", "stage_two"):
        found = results[stage]["calibration"]
        assert recognizer.settings.calibration[stage] == found["temperature"]
        assert found["temperature"] == pytest.approx(again.settings.calibration[stage], rel=1e-3)
        assert set(found["expected_calibration_error"]) == {"dev", "test"}


def test_it_learns(finished):
    results = json.loads((finished / "results.json").read_text())
    assert (
        results["stage_two"]["test"]["weighted_f1"]
        > results["always_most_frequent"]["test"]["weighted_f1"] + 30
    )


def test_metrics_tell_the_chosen_epochs(finished):
    rows = [json.loads(line) for line in (finished / "metrics.jsonl").read_text().splitlines()]
    results = json.loads((finished / "results.json").read_text())
    for stage, name, first in ((1, "stage_one", 1), (2, "stage_two", 0)):
        epochs = {
            row["epoch"]: row["dev_weighted_f1"]
            for row in rows
            if row["stage"] == stage and "dev_weighted_f1" in row
        }
        assert list(epochs) == list(range(first, first + len(epochs)))
        chosen = max(epochs, key=lambda e: (epochs[e], -e))  # of equal ones the earliest
        assert results[name]["best_epoch"] == chosen
        assert results[name]["dev"]["weighted_f1"] == pytest.approx(epochs[chosen])
    assert not any("test" in key for row in rows for key in row)  # test is not looked at on the way


def test_model_reloads_without_the_corpus_and_scores_the_same(finished, capsys):
    for split in ("dev", "test"):
        scores = evaluation.evaluate(finished, split)
        results = json.loads((finished / "results.json").read_text())
        assert scores == {stage: results[stage][split] for stage in ("stage_one", "stage_two")}
    evaluation.print_scores(finished, "test", scores, Console())
    assert "the same as results.json" in capsys.readouterr().out


@pytest.mark.slow
def test_a_split_is_scored_wherever_its_file_is(finished, toy, tmp_path, caplog, capsys):
    """Only that split's file is needed; other dialogues in it are warned of, and so is a run
    without results.
    """
    run_there = tmp_path / "run"
    shutil.copytree(finished, run_there, ignore=shutil.ignore_patterns("checkpoints"))
    moved = tmp_path / "moved"
    moved.mkdir()
    shutil.copy(toy["data.test"], moved)
    expected = json.loads((finished / "results.json").read_text())["stage_two"]["test"]
    assert evaluation.evaluate(run_there, "test", data_dir=str(moved))["stage_two"] == expected
    assert not caplog.messages
    with pytest.raises(
        UserError, match=r"moved/train\.jsonl, the run's train file, is not there; .* as data_dir"
    ):
        evaluation.evaluate(run_there, "train", data_dir=str(moved))

    file = moved / Path(toy["data.test"]).name
    file.write_text("".join(file.read_text().splitlines(keepends=True)[1:]))
    scores = evaluation.evaluate(run_there, "test", data_dir=str(moved))
    assert "test: these are not the dialogues that the run had" in caplog.text
    (run_there / "results.json").unlink()
    evaluation.print_scores(run_there, "test", scores, Console())
    assert "not compared with results.json: " in capsys.readouterr().out
    file.write_text(file.read_text().replace('"joy"', '"glee"'))
    with pytest.raises(
        UserError, match=r"the emotion 'glee' is not among the model's labels, anger, joy, neutral"
    ):
        evaluation.evaluate(run_there, "test", data_dir=str(moved))


@pytest.mark.slow
def test_only_what_is_scored_is_encoded(finished, toy, tmp_path, monkeypatch):
    """What is not annotated is context alone."""
    file = tmp_path / Path(toy["data.test"]).name
    lines = [json.loads(line) for line in Path(toy["data.test"]).read_text().splitlines()]
    for line in lines:
        del line["utterances"][0]["emotion"]
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    encoded, represent = [], EmotionRecognizer.represent
    monkeypatch.setattr(
        EmotionRecognizer,
        "represent",
        lambda self, examples: encoded.extend(examples) or represent(self, examples),
    )
    scores = evaluation.evaluate(finished, "test", data_dir=str(tmp_path))["stage_two"]
    assert [(e.dialogue, e.utterance) for e in encoded] == [
        (line["id"], number) for line in lines for number in range(1, len(line["utterances"]))
    ]
    expected = [Dialogue.from_json(line).utterances for line in lines]
    answers = EmotionRecognizer.from_pretrained(finished / "model").predict(lines)
    right = [
        answer.emotion == utterance.emotion
        for utterances, found in zip(expected, answers, strict=True)
        for utterance, answer in zip(utterances, found, strict=True)
        if utterance.annotated
    ]
    assert scores["accuracy"] == pytest.approx(100 * np.mean(right))


@pytest.mark.slow
def test_groups_are_trained_and_scored_again(toy, tmp_path):
    config = make_config(
        toy,
        data__groups=("joy=marked", "anger=marked", "neutral=plain"),
        data__words=("good", "table"),
        stage_one__epochs=1,
        stage_two__epochs=1,
        evaluation__excluded_label="plain",
    )
    results = run.train(config, tmp_path / "run", console=Console(quiet=True))
    assert list(results.stage_two.test.per_class_f1) == ["marked", "plain"]
    assert results.stage_two.test.micro_f1 is not None
    assert results.excluded_label == "plain"
    scores = evaluation.evaluate(tmp_path / "run", "test")
    assert scores["stage_two"] == results.stage_two.test.to_json()


def test_predictions_do_not_depend_on_what_is_predicted_beside_them(finished, tmp_path):
    recognizer = EmotionRecognizer.from_pretrained(finished / "model")
    talk = [
        Dialogue("a", (Utterance("Ann", "it is wonderful"), Utterance("Bob", "it is rude", "joy"))),
        Dialogue("b", (Utterance("Ann", "table"),) * 12),
        Dialogue("c", ()),
    ]
    together = recognizer.predict(talk)
    assert [len(answers) for answers in together] == [2, 12, 0]
    alone = recognizer.predict(talk[:1])
    for one, other in zip(together[0], alone[0], strict=True):
        assert one.emotion == other.emotion
        np.testing.assert_allclose(
            list(one.probabilities.values()), list(other.probabilities.values()), atol=1e-5
        )
        assert sum(one.probabilities.values()) == pytest.approx(1)
    recognizer.save_pretrained(tmp_path / "copy")
    again = EmotionRecognizer.from_pretrained(tmp_path / "copy").predict(talk)
    assert again == together


def test_stage_two_changes_the_anchors_and_no_other_bit(toy, tmp_path):
    config = make_config(toy, stage_one__epochs=1, compat__adapt_at_least_one_epoch=True)
    prepared = experiment.prepare(config, mesh=make_mesh(1))
    context = StageContext(tmp_path, Console(quiet=True), loop.StopRequest())
    first = run_stage_one(prepared, context)
    before = jax.tree.map(np.array, first.params)
    encoding = prepared.encoding
    reps = {
        split: encoding.represent(first.params, prepared.examples[split])
        for split in ("train", "dev", "test")
    }
    second = run_stage_two(prepared, context, first, reps)
    after = dict(second.params)
    assert np.max(np.abs(np.asarray(after.pop("anchors")) - first.anchors)) > 1e-3
    jax.tree.map(np.testing.assert_array_equal, before, after)
    assert jax.tree.structure(before) == jax.tree.structure(after)


@pytest.mark.slow
def test_each_split_is_encoded_once_for_stage_two(toy, tmp_path, monkeypatch):
    calls = []
    original = Passes.represent

    def counted(self, params, examples):
        calls.append(len(examples))
        return original(self, params, examples)

    monkeypatch.setattr(Passes, "represent", counted)
    config = make_config(toy, stage_one__epochs=1, stage_two__epochs=5)
    run.train(config, tmp_path / "run", console=Console(quiet=True))
    given = json.loads((tmp_path / "run" / "data.json").read_text())["corpus"]
    sizes = {split: given[split]["utterances"] for split in given}
    assert calls == [
        sizes["dev"],
        sizes["train"],
        sizes["dev"],
        sizes["test"],
    ]  # dev once more to choose stage one's epoch


@pytest.mark.slow
def test_the_step_compiles_once_a_shape(toy, tmp_path, traces):
    prepared = experiment.prepare(make_config(toy), mesh=make_mesh(1))
    run_stage_one(prepared, StageContext(tmp_path, Console(quiet=True), loop.StopRequest()))
    assert len(traces) == len(set(traces)) <= 3


def losses_of(folder):
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [row["loss"] for row in rows if row["stage"] == 1 and "loss" in row]


@pytest.mark.slow
def test_eight_devices_give_the_losses_of_one(toy, tmp_path):
    config = make_config(toy, stage_one__epochs=1, run__log_every=1)
    for count in (1, 8):
        prepared = experiment.prepare(config, mesh=make_mesh(count))
        folder = tmp_path / str(count)
        folder.mkdir()
        run_stage_one(prepared, StageContext(folder, Console(quiet=True), loop.StopRequest()))
    one, eight = losses_of(tmp_path / "1"), losses_of(tmp_path / "8")
    assert len(one) > 4
    np.testing.assert_allclose(eight, one, rtol=1e-4)


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"anchors__source": "live"}, marks=pytest.mark.slow),
        pytest.param({"batch__layout": "padded", "loss__form": "out"}, marks=pytest.mark.long),
        pytest.param(
            {"loss__use_anchors": False, "encoder__scan_layers": "always"},
            marks=pytest.mark.long,
        ),
        pytest.param(
            {"encoder__dtype": "bfloat16", "model__mapping_dim": 8}, marks=pytest.mark.slow
        ),
    ],
)
def test_the_switches_train(toy, tmp_path, changes):
    config = make_config(toy, stage_one__epochs=1, stage_two__epochs=1, **changes)
    run.train(config, tmp_path / "run", console=Console(quiet=True))
    losses = losses_of(tmp_path / "run")
    assert losses[-1] < losses[0]
    scores = evaluation.evaluate(tmp_path / "run", "test")
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    assert scores["stage_two"]["accuracy"] == pytest.approx(
        results["stage_two"]["test"]["accuracy"], abs=2.5
    )


@pytest.mark.slow
def test_frozen_layers_stay(toy, tmp_path):
    prepared = experiment.prepare(
        make_config(
            toy, stage_one__epochs=1, encoder__frozen_layers=1, encoder__scan_layers="always"
        ),
        mesh=make_mesh(1),
    )
    before = jax.tree.map(np.array, prepared.params["encoder"])
    first = run_stage_one(prepared, StageContext(tmp_path, Console(quiet=True), loop.StopRequest()))
    after = first.params["encoder"]
    jax.tree.map(np.testing.assert_array_equal, before["embeddings"], after["embeddings"])
    for path, value in jax.tree_util.tree_flatten_with_path(before["layers"])[0]:
        moved = after["layers"]
        for part in path:
            moved = moved[part.key]
        np.testing.assert_array_equal(value[0], moved[0])
        assert path[-1].key == "bias" or np.any(value[1] != np.asarray(moved[1]))
