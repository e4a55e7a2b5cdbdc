"""A run's folder: what it is compared with, and who may write in it."""

import dataclasses
import hashlib
import json
import os
from pathlib import Path

import numpy as np
import pytest

from eacl_jax import encoders
from eacl_jax.config import Config, EncoderConfig
from eacl_jax.dialogue import Corpus, Dialogue, Taxonomy, Utterance
from eacl_jax.errors import UserError
from eacl_jax.training import run_folder
from tests.stubs.toys import make_config, make_encoder_folder

ENCODER = {"config": "c", "tokenizer": "t", "weights": "w"}
CORPUS = Corpus(
    "custom",
    Taxonomy(("anger", "joy"), ("angry", "happy")),
    {
        split: (Dialogue(split, (Utterance("Ann", "hello", "joy"),)),)
        for split in ("train", "dev", "test")
    },
)


def given(corpus=CORPUS, encoder=ENCODER, **more):
    return run_folder.describe(corpus, encoder) | more


def with_utterance(**changes):
    (dialogue,) = CORPUS.splits["test"]
    changed = dataclasses.replace(
        dialogue, utterances=(dataclasses.replace(dialogue.utterances[0], **changes),)
    )
    return dataclasses.replace(CORPUS, splits={**CORPUS.splits, "test": (changed,)})


@pytest.mark.parametrize(
    ("now", "problem"),
    [
        (given(with_utterance(text="hallo")), "test: texts, speakers, emotions or ids"),
        (given(with_utterance(speaker="Bob")), "test: texts, speakers, emotions or ids"),
        (given(with_utterance(emotion="anger")), "test: texts, speakers, emotions or ids"),
        (
            given(
                dataclasses.replace(
                    CORPUS, splits={**CORPUS.splits, "dev": CORPUS.splits["dev"] * 2}
                )
            ),
            "dev: there 1 dialogues with 1 utterances, now 2 dialogues with 2 utterances",
        ),
        (
            given(
                dataclasses.replace(
                    CORPUS, taxonomy=Taxonomy(("anger", "glee"), ("angry", "happy"))
                )
            ),
            "labels: there",
        ),
        (
            given(
                dataclasses.replace(
                    CORPUS, taxonomy=Taxonomy(("anger", "joy"), ("angry", "joyful"))
                )
            ),
            "words: there",
        ),
        (given(encoder={**ENCODER, "weights": "v"}), "the encoder's weights: there w, now v"),
        (given(encoder={"commit": "0" * 40}), "the encoder's commit: there none"),
        (given(with_utterance(features={"voice": np.ones((1, 2))})), "test: features"),
        (given(tokens="2"), "tokens: the same texts become others"),
    ],
)
def test_what_a_run_was_given_is_compared(tmp_path, now, problem):
    run_folder.write_inputs(tmp_path, Config(), given(tokens="1"))
    run_folder.check_data(tmp_path, given())
    with pytest.raises(UserError, match=problem):
        run_folder.check_data(tmp_path, now)


def test_other_numbers_and_names_of_features_are_another_corpus():
    described = [
        given(with_utterance(features=features))["corpus"]["test"]["features"]
        for features in (
            {"voice": np.ones((1, 2))},
            {"voice": np.ones((2, 1))},
            {"face": np.ones((1, 2))},
            {"voice": np.array([[1, np.nan]])},
        )
    ]
    assert len(set(described)) == 4


def several(emotions=("joy",), annotations=None):
    changed = with_utterance(emotion=None, emotions=emotions, annotations=annotations)
    return dataclasses.replace(changed, task="multi")


@pytest.mark.parametrize(
    ("now", "problem"),
    [
        (several(("joy", "anger")), "test: texts, speakers, emotions or ids"),
        (several(()), "test: texts, speakers, emotions or ids"),
        (several(annotations=(("joy",), ())), "test: texts, speakers, emotions or ids"),
        (with_utterance(), "task: there multi, now single"),
    ],
)
def test_what_a_run_of_several_labels_was_given_is_compared(tmp_path, now, problem):
    before = several(annotations=(("joy", "anger"), ("joy",)))
    run_folder.write_inputs(tmp_path, Config(), given(before))
    order = several(annotations=(("anger", "joy"), ("joy",)))
    run_folder.check_data(tmp_path, given(order))
    with pytest.raises(UserError, match=problem):
        run_folder.check_data(tmp_path, given(now))


def test_what_a_run_of_one_label_was_given_is_described_as_ever():
    """Runs that are there can go on."""
    assert "task" not in given()
    described = run_folder.describe_dialogues(CORPUS.splits["test"])
    with_annotators = run_folder.describe_dialogues(
        with_utterance(annotations=(("joy",), ("anger",))).splits["test"]
    )
    assert described == with_annotators
    assert (
        described["sha256"]
        == hashlib.sha256(json.dumps([["test", [["Ann", "hello", "joy"]]]]).encode()).hexdigest()
    )


def test_a_run_that_does_not_say_what_it_was_given(tmp_path):
    run_folder.check_data(tmp_path, given())  # killed before anything was trained
    (tmp_path / "checkpoints").mkdir()
    with pytest.raises(UserError, match="does not say what its run was trained on"):
        run_folder.check_data(tmp_path, given())
    (tmp_path / "data.json").write_text(json.dumps({"fingerprint": "0", "examples": {}}))
    with pytest.raises(UserError, match=r"data\.json: 'format' is not 'eacl_jax run 2'; restore"):
        run_folder.check_data(tmp_path, given())


def test_an_encoder_is_known_by_its_files(tmp_path):
    first, second = make_encoder_folder(tmp_path / "a"), make_encoder_folder(tmp_path / "b")
    config = EncoderConfig(path=str(first))
    identity = encoders.identify(config)
    assert identity == encoders.identify(EncoderConfig(path=str(second)))
    make_encoder_folder(first, seed=1)
    assert {
        name for name, value in encoders.identify(config).items() if value != identity[name]
    } == {"weights"}
    assert "weights" not in encoders.identify(dataclasses.replace(config, random_weights=True))
    snapshot = tmp_path / "snapshots" / ("ab" * 20)
    snapshot.mkdir(parents=True)
    assert encoders.identify(config, snapshot) == {"commit": "ab" * 20}


def test_paths_may_differ_and_are_kept_whole(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    paths = {
        "data.corpus": "custom",
        "data.train": "a.jsonl",
        "data.dev": "b.jsonl",
        "data.test": "c.jsonl",
    }
    Path("run").mkdir()
    run_folder.write_inputs(Path("run"), make_config(paths), given())
    assert run_folder.read_config(Path("run")).data.train == str(tmp_path / "a.jsonl")
    run_folder.check(
        make_config({**paths, "data.train": "elsewhere.jsonl", "encoder.path": "moved"}),
        Path("run"),
        True,
    )
    with pytest.raises(UserError, match=r"data\.max_dialogues: there 0, now 3"):
        run_folder.check(make_config({**paths, "data.max_dialogues": 3}), Path("run"), True)


def test_paths_of_features_may_differ_and_are_kept_whole(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = ("voice=voice.csv", "face", "prosody=sound:prosody", "text=gs://bucket/a.csv")
    config = make_config({"data.features": rows})
    Path("run").mkdir()
    run_folder.write_inputs(Path("run"), config, given())
    kept = run_folder.read_config(Path("run"))
    assert kept.data.features == (f"voice={tmp_path / 'voice.csv'}", *rows[1:])
    assert run_folder.settings(kept)["data.features"] == ("voice=", "face", rows[2], "text=")
    monkeypatch.chdir("/")
    run_folder.check(config, tmp_path / "run", True)
    run_folder.check(kept, tmp_path / "run", True)
    for other in ("face=voice.csv", "voice", "voice=sound:prosody"):
        changed = make_config({"data.features": (other, *rows[1:])})
        with pytest.raises(UserError, match=r"data\.features: there \('voice='"):
            run_folder.check(changed, tmp_path / "run", True)


@pytest.mark.parametrize("name", ["sweep[seed=1]", "run*", "run?", "a\\b"])
def test_paths_that_checkpoints_would_take_for_patterns(tmp_path, name):
    with pytest.raises(UserError, match="checkpoints cannot be kept in a folder with"):
        run_folder.check(Config(), tmp_path / name / "run", True)
    assert not list(tmp_path.iterdir())


def test_a_link_to_nowhere(tmp_path):
    (tmp_path / "run").symlink_to("nowhere")
    with pytest.raises(UserError, match="is a link to nowhere, which is not there"):
        run_folder.check(Config(), tmp_path / "run", True)


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"seed": "one"}', '{"sed": 1}', '{"seed": 1', "\ud83d"]
)
def test_a_damaged_config_is_named(tmp_path, content):
    (tmp_path / "config.json").write_bytes(content.encode("utf-8", "surrogatepass"))
    with pytest.raises(UserError, match=r"config\.json"):
        run_folder.check(Config(), tmp_path, True)


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"stage_one": 1}'])
def test_damaged_results_are_named(tmp_path, content):
    (tmp_path / "results.json").write_text(content)
    with pytest.raises(
        UserError, match=r"results\.json.*delete it, and train with the same command"
    ):
        run_folder.read_results(tmp_path)


@pytest.mark.parametrize(
    ("where", "value", "problem"),
    [
        (("corpus",), 5, "results.corpus: expected str, got 5"),
        (("seed",), "0", "results.seed: expected int, got '0'"),
        (("stage_one", "best_epoch"), -3, "results.stage_one.best_epoch: must not be negative"),
        (("stage_two", "dev", "accuracy"), 1e6, "results.stage_two.dev.accuracy: must be in"),
        (
            ("stage_two", "calibration", "temperature"),
            -1.0,
            "results.stage_two.calibration.temperature: must be positive",
        ),
    ],
)
def test_results_that_cannot_be_are_named(tmp_path, where, value, problem):
    scores = {
        "weighted_f1": 50.0,
        "accuracy": 50.0,
        "macro_f1": 50.0,
        "per_class_f1": {"joy": 50.0},
    }
    by_split = {"dev": scores, "test": scores}
    calibration = {
        "temperature": 1.0,
        "expected_calibration_error": {"dev": 1.0},
        "expected_calibration_error_uncalibrated": {"dev": 1.0},
    }
    stage = {"best_epoch": 1, **by_split, "calibration": calibration}
    baseline = {"label": "joy", **by_split}
    results = {
        "corpus": "toy",
        "seed": 0,
        "stage_one": stage,
        "stage_two": stage,
        "always_most_frequent": baseline,
    }
    file = tmp_path / "results.json"
    file.write_text(json.dumps(results))
    assert run_folder.read_results(tmp_path).to_json() == results
    damaged = json.loads(json.dumps(results))
    group = damaged
    for name in where[:-1]:
        group = group[name]
    group[where[-1]] = value
    file.write_text(json.dumps(damaged))
    with pytest.raises(UserError, match=problem):
        run_folder.read_results(tmp_path)


def test_a_models_folder_is_no_run(tmp_path):
    run_folder.write_inputs(tmp_path, Config(), given())
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text('{"format": "eacl_jax model 2"}')
    with pytest.raises(UserError, match=rf"is a model's folder; name that of its run, {tmp_path}"):
        run_folder.read_config(tmp_path / "model")
    (tmp_path / "config.json").unlink()
    with pytest.raises(UserError, match=r"model is a model's folder, not a run's; name that of"):
        run_folder.read_config(tmp_path / "model")


def test_one_process_at_a_time(tmp_path):
    with run_folder.locked(tmp_path / "run"):
        with (
            pytest.raises(
                UserError, match=rf"process {os.getpid()} on .* is training in this folder"
            ),
            run_folder.locked(tmp_path / "run"),
        ):
            pass
        assert (tmp_path / "run").is_dir()
    assert not (tmp_path / "run").exists()  # nothing was written into it


def test_a_killed_process_leaves_no_lock(tmp_path):
    # What it leaves: the lock itself went with it.
    (tmp_path / ".lock").touch()
    (tmp_path / ".lock.user").write_text("process 1 on elsewhere,")
    run_folder.check(Config(), tmp_path, True)
    with run_folder.locked(tmp_path):
        assert (tmp_path / ".lock.user").read_text().startswith(f"process {os.getpid()} ")
    assert not list(tmp_path.iterdir())
