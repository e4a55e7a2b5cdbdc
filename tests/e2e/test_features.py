"""Runs on a corpus whose features say what its texts do not: trained, gone on with, saved, answered."""

import json
import re
import shutil
from pathlib import Path

import jax
import numpy as np
import pytest
from rich.console import Console

from eacl_jax.errors import UserError
from eacl_jax.features import words
from eacl_jax.recognizer.recognizer import EmotionRecognizer
from eacl_jax.recognizer.results import Results
from eacl_jax.training import evaluation, experiment, loop, run
from tests.e2e.test_tuning import StopAfter
from tests.stubs import sounds
from tests.stubs.toys import make_config

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_device")]

SHORT = {"stage_one__epochs": 2, "stage_two__epochs": 2, "run__log_every": 1}
QUIET = Console(quiet=True)
EMOTIONS = ("anger", "joy", "neutral")


@pytest.fixture(scope="module")
def voiced(toy, tmp_path_factory):
    """The toy's texts, all the same; the voice tells the emotion, but of every eighth utterance,
    which has none. `face` is noise, in frames.
    """
    folder, draw = tmp_path_factory.mktemp("voiced"), np.random.default_rng(0)
    for split in ("train", "dev", "test"):
        records, rows = [], ["dialogue,utterance,loudness,pitch"]
        for number, line in enumerate(Path(toy[f"data.{split}"]).read_text().splitlines()):
            record = json.loads(line)
            for turn, utterance in enumerate(record["utterances"]):
                voice = 50 + 10 * np.eye(3)[EMOTIONS.index(utterance["emotion"])][:2]
                voice += draw.normal(size=2)
                if (number + turn) % 8:
                    rows.append(f"{record['id']},{turn},{voice[0]:.3f},{voice[1]:.3f}")
                utterance["text"] = "The day is good"
                frames = draw.normal(size=(int(draw.integers(1, 4)), 3)).round(3).tolist()
                utterance["features"] = {"face": frames}
            records.append(json.dumps(record))
        (folder / f"{split}.jsonl").write_text("\n".join(records) + "\n")
        (folder / "voice").mkdir(exist_ok=True)
        (folder / "voice" / f"{split}.csv").write_text("\n".join(rows) + "\n")
    return toy | {
        **{f"data.{split}": str(folder / f"{split}.jsonl") for split in ("train", "dev", "test")},
        "data.features": (f"voice={folder / 'voice'}",),
    }


@pytest.mark.parametrize("fusion", ["gated", "concat", "attention"])
def test_anchors_are_made_of_what_the_encoder_reads_in_texts(voiced, fusion):
    # Not of what a fusion makes of it, whose weights are drawn before training.
    def readouts(**changes):
        config = make_config(voiced, anchors__source="centroids", **changes)
        return experiment.prepare(config).beginning.readouts()

    texts = readouts(features__fusion="none")
    np.testing.assert_array_equal(readouts(features__fusion=fusion), texts)
    np.testing.assert_array_equal(readouts(features__fusion=fusion, seed=3), texts)


def numbers(folder):
    """Everything recorded but speeds."""
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in row.items() if k != "examples_per_second"} for row in rows]


@pytest.mark.parametrize(
    "fusion",
    [
        "gated",
        "words",
        *(pytest.param(each, marks=pytest.mark.long) for each in ("concat", "attention")),
    ],
)
def test_features_tell_what_texts_do_not(voiced, tmp_path, monkeypatch, fusion):
    # Words that the toy's tokenizer knows.
    known = (("loudness", ("", "awful")), ("pitch", ("", "lovely")))
    rows = tuple((re.compile(column), pair) for column, pair in known)
    monkeypatch.setattr(words, "_WORDS", rows)
    changes = {"features__fusion": fusion, "features__use": ("voice",)}
    config = make_config(voiced, stage_two__epochs=1, **changes)
    results = run.train(config, tmp_path / "run", keep=("model",), console=QUIET).to_json()
    adds = results["modalities"]
    assert adds["text_alone"]["test"]["weighted_f1"] < 55  # texts are all the same
    assert adds["each"]["voice"]["without"] == adds["text_alone"]
    assert (adds["each"]["voice"]["weights"] is None) == (fusion in ("concat", "words"))
    assert Results.from_json(json.loads(json.dumps(results)), []).to_json() == results
    loaded = experiment.load(config)
    prepared = experiment.prepare(config, loaded=loaded)
    if fusion == "words":  # which so small an encoder does not learn to read
        loud = prepared.tokenizer.convert_tokens_to_ids("awful")
        says = np.array([loud in example.tokens for example in prepared.examples["test"]])
        assert says[prepared.gold("test") == EMOTIONS.index("anger")].mean() > 0.7
        assert says[prepared.gold("test") != EMOTIONS.index("anger")].mean() < 0.2
    else:
        assert results["stage_two"]["test"]["weighted_f1"] > 70
    recognizer = EmotionRecognizer.from_pretrained(tmp_path / "run" / "model")
    answers = recognizer.predict(list(loaded.corpus.splits["test"]))
    given = [answer.emotion for dialogue in answers for answer in dialogue]
    gold = [prepared.corpus.taxonomy.labels[label] for label in prepared.gold("test")]
    accuracy = 100 * np.mean([a == b for a, b in zip(given, gold, strict=True)])
    assert accuracy == pytest.approx(results["stage_two"]["test"]["accuracy"])
    again = tmp_path / "again"
    recognizer.save_pretrained(again)
    assert (again / "heads.safetensors").read_bytes() == (
        tmp_path / "run" / "model" / "heads.safetensors"
    ).read_bytes()


def test_it_goes_on_identically(voiced, tmp_path):
    config = make_config(voiced, **SHORT)
    run.train(config, tmp_path / "whole", keep=(), console=QUIET)
    with pytest.raises(loop.Interrupted):
        run.train(config, tmp_path / "parts", keep=(), console=QUIET, stop=StopAfter(5))
    run.train(config, tmp_path / "parts", keep=(), console=QUIET)
    assert numbers(tmp_path / "parts") == numbers(tmp_path / "whole")


def test_features_alone(voiced, tmp_path):
    config = make_config(voiced, **SHORT, features__text=False, features__use=("voice",))
    prepared = experiment.prepare(config)
    results = run.train(config, tmp_path / "run", keep=("model",), console=QUIET).to_json()
    assert results["stage_two"]["test"]["weighted_f1"] > 60
    scores = evaluation.evaluate(tmp_path / "run", "test")
    assert scores["stage_two"] == results["stage_two"]["test"]
    # Files that have moved are found where the corpus' are; features, where they were, if not.
    moved, voice = tmp_path / "moved", Path(voiced["data.features"][0].partition("=")[2])
    moved.mkdir()
    shutil.copy(voiced["data.test"], moved)
    assert evaluation.evaluate(tmp_path / "run", "test", data_dir=str(moved)) == scores
    shutil.copytree(voice, moved / voice.name)
    other = (moved / voice.name / "test.csv").read_text().splitlines()
    rows = [row.rsplit(",", 2)[0] + ",0,0" for row in other[1:]]
    (moved / voice.name / "test.csv").write_text("\n".join([other[0], *rows]) + "\n")
    assert evaluation.evaluate(tmp_path / "run", "test", data_dir=str(moved)) != scores
    assert results["modalities"]["text_alone"] is None
    assert results["modalities"]["each"]["voice"]["without"] is None
    model = EmotionRecognizer.from_pretrained(tmp_path / "run" / "model")
    kept = jax.tree.map(np.array_equal, model.params["encoder"], prepared.params["encoder"])
    assert all(jax.tree.leaves(kept))


@pytest.fixture(scope="module")
def spoken(toy, tmp_path_factory):
    """The toy's texts, all the same, in voices of another pitch for each emotion; every ninth
    utterance has no sound, and a file is no sound.
    """
    folder, count = tmp_path_factory.mktemp("spoken"), 0
    for split in ("train", "dev", "test"):
        records = []
        for line in Path(toy[f"data.{split}"]).read_text().splitlines():
            record = json.loads(line)
            for turn, utterance in enumerate(record["utterances"]):
                utterance["text"] = "The day is good"
                count += 1
                if count % 9 == 0:
                    continue
                utterance["audio"] = f"clips/{record['id']}/{turn}.wav"
                hertz = 120 * 1.4 ** EMOTIONS.index(utterance["emotion"])
                sounds.put(folder / utterance["audio"], sounds.voice(hertz + count % 7, 0.2))
            records.append(json.dumps(record))
        (folder / f"{split}.jsonl").write_text("\n".join(records) + "\n")
    (folder / "clips" / "train-0" / "0.wav").write_text("no sound")
    return toy | {
        **{f"data.{split}": str(folder / f"{split}.jsonl") for split in ("train", "dev", "test")},
        "data.features": ("prosody=sound:prosody",),
    }


def test_from_sound_files_to_answers(spoken, tmp_path, caplog):
    config = make_config(spoken, **SHORT | {"stage_one__epochs": 4})
    results = run.train(config, tmp_path / "run", keep=("model",), console=QUIET).to_json()
    assert "clips/train-0/0.wav is text, whatever its name says" in caplog.text
    assert results["stage_two"]["test"]["weighted_f1"] > 70
    recognizer = EmotionRecognizer.from_pretrained(tmp_path / "run" / "model")
    folder = Path(spoken["data.test"]).parent
    dialogues = [json.loads(line) for line in (folder / "test.jsonl").read_text().splitlines()]
    answers = recognizer.predict(dialogues, sounds=folder)
    pairs = [
        (answer.emotion, utterance["emotion"])
        for dialogue, answered in zip(dialogues, answers, strict=True)
        for utterance, answer in zip(dialogue["utterances"], answered, strict=True)
    ]
    accuracy = 100 * np.mean([answer == gold for answer, gold in pairs])
    assert accuracy == pytest.approx(results["stage_two"]["test"]["accuracy"])
    caplog.clear()
    unheard = recognizer.predict(dialogues)
    assert "`audio` is not read where `sounds` does not say where it is" in caplog.text
    assert {answer.emotion for answered in unheard for answer in answered} != {a for a, _ in pairs}
    away = {"utterances": [{"speaker": "Ann", "text": "hi", "audio": "../../secret.wav"}]}
    with pytest.raises(
        UserError, match=r"utterance 0: its 'audio' '\.\./\.\./secret.wav' is outside"
    ):
        recognizer.predict(away, sounds=folder)
    away["utterances"][0]["audio"] = "missing.wav"
    with pytest.raises(UserError, match=r"missing\.wav"):
        recognizer.predict(away, sounds=folder)


def test_no_features_is_as_if_there_were_none(voiced, tmp_path):
    given = make_config(voiced, **SHORT, features__fusion="none")
    absent = make_config({**voiced, "data.features": ()}, **SHORT, features__fusion="none")
    results = run.train(given, tmp_path / "given", keep=("report",), console=QUIET)
    assert results.modalities is None
    assert "modalities" not in results.to_json()
    run.train(absent, tmp_path / "absent", keep=(), console=QUIET)
    assert numbers(tmp_path / "given") == numbers(tmp_path / "absent")
