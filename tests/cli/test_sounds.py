"""`eacl predict`, `evaluate` and `adapt` with a model that hears: features made of sound files."""

import json
from pathlib import Path

import numpy as np
import pytest

from eacl_jax.bulk import predict as loop
from eacl_jax.errors import UserError
from eacl_jax.files import stores
from eacl_jax.recognizer.recognizer import EmotionRecognizer
from tests.cli.test_features import TEXT, predict, probabilities
from tests.stubs import sounds
from tests.stubs.featured import make_hearing

CLIPS = {"a/0.wav": 120, "a/1.wav": 300, "b/0.wav": 200}


@pytest.fixture(scope="module")
def hearing(tmp_path_factory) -> Path:
    """The folder of a model of text and prosody."""
    folder = tmp_path_factory.mktemp("hearing")
    make_hearing(folder / "encoder").save_pretrained(folder / "model")
    return folder / "model"


@pytest.fixture
def clips(tmp_path) -> Path:
    for name, hertz in CLIPS.items():
        sounds.put(tmp_path / "clips" / name, sounds.voice(hertz, 0.3))
    return tmp_path / "clips"


def as_jsonl(folder: Path, **changed: str) -> Path:
    utterances = [
        {"speaker": "Ann", "text": TEXT, "audio": name, "emotion": "joy"}
        for name in ("a/0.wav", "a/1.wav", changed.get("third", "b/0.wav"), "")
    ]
    del utterances[3]["audio"]
    dialogues = [
        {"id": "1", "utterances": utterances[:2]},
        {"id": "2", "utterances": utterances[2:]},
    ]
    file = folder / "chats.jsonl"
    file.write_text("".join(json.dumps(each) + "\n" for each in dialogues))
    return file


def as_csv(folder: Path) -> Path:
    rows = ["dialogue,speaker,text,audio,emotion"]
    for record in map(json.loads, as_jsonl(folder).read_text().splitlines()):
        rows += [
            f"{record['id']},Ann,{TEXT},{u.get('audio', '')},joy" for u in record["utterances"]
        ]
    file = folder / "chats.csv"
    file.write_text("\n".join(rows) + "\n")
    return file


def expected(hearing: Path, given: Path, clips: Path):
    dialogues = [json.loads(line) for line in given.read_text().splitlines()]
    answers = EmotionRecognizer.from_pretrained(hearing).predict(dialogues, sounds=clips)
    return [list(each.probabilities.values()) for answer in answers for each in answer]


def test_a_column_in_capitals_is_read_as_well(eacl, hearing, clips, tmp_path):
    given = as_csv(tmp_path)
    given.write_text(given.read_text().replace(",audio,", ",Audio,"))
    done = predict(eacl, hearing, given, tmp_path / "out.csv", "--sounds", clips)
    assert done.status == 0, done.errors
    assert "1 utterance has no features prosody" in done.errors
    assert "no utterance names" not in done.errors


def test_an_input_that_names_no_sound_is_told(eacl, hearing, clips, tmp_path):
    given, out = as_csv(tmp_path), tmp_path / "out.csv"
    more = ("--model", hearing, "--input", given, "--sounds", clips)
    table = given.read_text()
    given.write_text(table.replace(",audio,", ",clip,"))
    done = predict(eacl, hearing, given, out, "--sounds", clips)
    message = "--sounds: no utterance names a sound file, so that none is read"
    assert (done.status, message in done.errors) == (2, True)
    for command in (("evaluate",), ("adapt", "--output", tmp_path / "adapted")):
        done = eacl(*command, *more)
        assert (done.status, message in done.errors) == (2, True)
    given.write_text(table.replace(",audio,", ",audio,Audio,").replace(",joy", ",,joy"))
    done = predict(eacl, hearing, given, out, "--sounds", clips)
    assert "line 2 has more than one field for its sound: 'audio', 'Audio'; keep" in done.errors
    # Of JSON lines only the end shows it.
    lines = as_jsonl(tmp_path)
    named = lines.read_text()
    for text, said in ((named.replace('"audio"', '"clip"'), True), (named, False)):
        lines.write_text(text)
        done = predict(eacl, hearing, lines, tmp_path / "o.jsonl", "--sounds", clips, "--restart")
        assert done.status == 0, done.errors
        assert ("no utterance names a sound file as 'audio'" in done.errors) == said
    lines.write_text(named.replace('"b/0.wav"', '{"data": "b/0.wav"}'))
    done = predict(eacl, hearing, lines, tmp_path / "o.jsonl", "--sounds", clips, "--restart")
    assert "chats.jsonl line 2: its 'audio' must be the path of a sound file" in done.errors
    lines.write_text(named.replace('"b/0.wav"', r'"b\u0000.wav"'))
    done = predict(eacl, hearing, lines, tmp_path / "o.jsonl", "--sounds", clips, "--restart")
    assert "line 2: its 'audio' 'b\\x00.wav' holds a null character" in done.errors


def test_sounds_at_an_address_are_refused(eacl, hearing, clips, tmp_path):
    there = "is in an object store; here only a path on a disk can be used."
    stores.send(clips / "a" / "0.wav", "memory://clips/a/0.wav")
    done = predict(
        eacl, hearing, as_jsonl(tmp_path), tmp_path / "o.jsonl", "--sounds", "memory://clips"
    )
    assert (done.status, f"--sounds: memory://clips {there}" in done.errors) == (2, True)
    chat = [{"text": TEXT, "audio": "a/0.wav"}]
    with pytest.raises(UserError, match=f"^sounds: memory://clips {there}"):
        EmotionRecognizer.from_pretrained(hearing).predict(chat, sounds="memory://clips")


@pytest.mark.slow
@pytest.mark.parametrize("form", ["jsonl", "csv"])
def test_sound_files_are_answered_as_the_library_does(eacl, hearing, clips, tmp_path, form):
    wanted = expected(hearing, as_jsonl(tmp_path), clips)
    assert len({round(each[0], 4) for each in wanted}) == 4  # of equal texts
    given = (as_csv if form == "csv" else as_jsonl)(tmp_path)
    out = tmp_path / f"out.{form}"
    # A piece of a dialogue begins with utterances of the one before, which are heard as well.
    done = predict(eacl, hearing, given, out, "--sounds", clips, "--batch-size", "1")
    assert done.status == 0, done.errors
    np.testing.assert_allclose(probabilities(out), wanted, atol=1e-5)
    assert "a/1.wav" in out.read_text()
    assert done.errors.count("1 utterance has no features prosody") == 1
    assert "was not read" not in done.errors


def test_without_a_folder_no_file_is_read_and_it_is_reported_once(eacl, hearing, clips, tmp_path):
    done = predict(eacl, hearing, as_jsonl(tmp_path), tmp_path / "out.jsonl")
    assert done.status == 0
    assert done.errors.count("3 utterances name a sound, which was not read (give --sounds)") == 1
    assert "4 utterances have no features prosody" in done.errors


@pytest.mark.slow
def test_a_bad_file_is_reported_with_its_line_or_passed_over(eacl, hearing, model, clips, tmp_path):
    out = tmp_path / "out.jsonl"
    (clips / "b" / "0.wav").write_text("no sound")
    given = as_jsonl(tmp_path)
    done = predict(eacl, hearing, given, out, "--sounds", clips)
    assert done.status == 2
    assert "chats.jsonl line 2: b/0.wav is text, whatever its name says" in done.errors
    done = predict(eacl, hearing, given, out, "--sounds", clips, "--skip-bad", "--restart")
    assert done.status == 0, done.errors
    (problem,) = map(json.loads, (tmp_path / "out.jsonl.errors.jsonl").read_text().splitlines())
    assert (problem["line"], "b/0.wav is text" in problem["reason"]) == (2, True)
    assert [json.loads(line)["id"] for line in out.open()] == ["1"]
    sounds.put(tmp_path / "secret.wav", sounds.voice(120, 0.3))
    given = as_jsonl(tmp_path, third="../secret.wav")
    done = predict(eacl, hearing, given, out, "--sounds", clips, "--restart")
    assert "line 2: its 'audio' '../secret.wav' is outside of" in done.errors
    done = predict(eacl, model, given, out, "--sounds", clips, "--restart")
    assert "--sounds: the model reads no features that can be made of sound" in done.errors
    done = predict(eacl, hearing, given, out, "--sounds", given, "--restart")
    assert "chats.jsonl is no folder" in done.errors


@pytest.mark.slow
def test_features_that_are_given_stay(eacl, hearing, clips, tmp_path):
    given = as_jsonl(tmp_path)
    records = [json.loads(line) for line in given.read_text().splitlines()]
    records[0]["utterances"][0]["features"] = {"prosody": [1.0] * 9}
    given.write_text("".join(json.dumps(each) + "\n" for each in records))
    (clips / "a" / "0.wav").unlink()
    out = tmp_path / "out.jsonl"
    done = predict(eacl, hearing, given, out, "--sounds", clips)
    assert done.status == 0, done.errors
    np.testing.assert_allclose(probabilities(out), expected(hearing, given, clips), atol=1e-5)


@pytest.mark.slow
def test_a_run_does_not_go_on_with_another_folder(eacl, hearing, clips, tmp_path, monkeypatch):
    given = tmp_path / "chats.jsonl"
    utterance = {"speaker": "Ann", "text": TEXT, "audio": "a/0.wav"}
    given.write_text(json.dumps({"id": "1", "utterances": [utterance] * 40}) + "\n")
    arguments = (given, tmp_path / "out.jsonl", "--batch-size", "1")

    def stop(chunks):
        yield next(chunks)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(loop, "_ahead", stop)
        assert predict(eacl, hearing, *arguments, "--sounds", clips).status == 130
    for more in ((), ("--sounds", tmp_path)):
        errors = predict(eacl, hearing, *arguments, *more).errors
        assert "is of an unfinished run that differs" in errors
    done = predict(eacl, hearing, *arguments, "--sounds", clips)
    assert done.status == 0, done.errors
    np.testing.assert_allclose(
        probabilities(tmp_path / "out.jsonl"), expected(hearing, given, clips), atol=1e-5
    )


@pytest.mark.slow
def test_evaluate_and_adapt_hear(eacl, hearing, clips, tmp_path):
    wanted = expected(hearing, as_jsonl(tmp_path), clips)
    right = 100 * np.mean([int(np.argmax(each)) == 0 for each in wanted])
    for number, given in enumerate((as_jsonl(tmp_path), as_csv(tmp_path))):
        scores = tmp_path / f"scores{number}.json"
        more = ("--model", hearing, "--input", given, "--sounds", clips)
        done = eacl("evaluate", *more, "--json", scores)
        assert done.status == 0, done.errors
        assert json.loads(scores.read_text())["summary"]["accuracy"] == pytest.approx(right)
        assert "1 of 4 utterances have no features prosody" in done.errors
        done = eacl("adapt", *more, "--output", tmp_path / f"adapted{number}")
        assert done.status == 0, done.errors
    (clips / "b" / "0.wav").unlink()
    done = eacl("evaluate", *more)
    assert done.status == 2
    assert "b/0.wav" in done.errors
