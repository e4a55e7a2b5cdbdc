"""`eacl predict`, `evaluate` and `adapt` with a model that reads features beside the text."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from eacl_jax.bulk import predict as loop
from eacl_jax.recognizer.recognizer import EmotionRecognizer
from tests.stubs.featured import make_featured

VOICES = [[1.0, 2.0, 3.0], None, [-1.0, None, 0.5], [3.0, -2.0, 1.0]]
FACE = [[0.5, 1.0], [0.25, None]]
TEXT = "the day is wonderful"


@pytest.fixture(scope="module")
def featured(tmp_path_factory) -> Path:
    """The folder of a model of text, voice and face."""
    folder = tmp_path_factory.mktemp("featured")
    make_featured(folder / "encoder").save_pretrained(folder / "model")
    return folder / "model"


@pytest.fixture(scope="module")
def expected(featured):
    """Probabilities of the utterances of two dialogues of equal texts."""
    answers = EmotionRecognizer.from_pretrained(featured).predict([
        {"id": identity, "utterances": [
            {"speaker": "Ann", "text": TEXT, **({"features": {"voice": voice}} if voice else {})}
            for voice in voices
        ]} for identity, voices in dialogues()
    ])  # fmt: skip
    return [list(each.probabilities.values()) for answer in answers for each in answer]


def dialogues():
    return [("a", VOICES[:2]), ("b", VOICES[2:])]


def cells(voice):
    return ",".join("" if number is None else str(number) for number in voice or [None] * 3)


def as_jsonl(folder, emotions=None):
    file = folder / "chats.jsonl"
    lines, labels = [], iter(emotions or ())
    for identity, voices in dialogues():
        utterances = []
        for voice in voices:
            utterance = {"speaker": "Ann", "text": TEXT}
            utterance |= {"features": {"voice": voice}} if voice else {}
            utterances.append(utterance | ({"emotion": next(labels)} if emotions else {}))
        lines.append(json.dumps({"id": identity, "utterances": utterances}) + "\n")
    file.write_text("".join(lines))
    return file


def as_csv(folder, *, features=True, suffix=".csv"):
    header = "dialogue,speaker,text,note" + ",voice.duration,voice.pitch,voice.loudness" * features
    rows = [header]
    for identity, voices in dialogues():
        for voice in voices:
            one, two, three = voice or [None] * 3
            rows.append(f"{identity},Ann,{TEXT},n" + f",{cells([one, three, two])}" * features)
    file = folder / f"chats{suffix}"
    text = "\n".join(rows) + "\n"
    file.write_text(text.replace(",", "\t") if suffix == ".tsv" else text)
    return file


def voice_file(folder):
    rows = [
        f"{identity},{number},{cells(voice)}"
        for identity, voices in dialogues()
        for number, voice in enumerate(voices)
        if voice
    ]
    file = folder / "voice.csv"
    file.write_text("\n".join(["dialogue,utterance,duration,loudness,pitch", *rows]) + "\n")
    return file


def predict(eacl, model, given, out, *more):
    return eacl("predict", "--model", model, "--input", given, "--output", out, *more)


def probabilities(out: Path):
    if out.suffix == ".csv":
        rows = list(csv.DictReader(out.open()))
        return [[float(row[f"p({x})"]) for x in ("joy", "anger", "neutral")] for row in rows]
    records = [json.loads(line) for line in out.open()]
    return [list(u["probabilities"].values()) for record in records for u in record["utterances"]]


@pytest.mark.slow_after(1)
@pytest.mark.parametrize(
    "form", ["jsonl", "csv", "tsv", "joined jsonl", "joined csv", "joined txt"]
)
def test_every_form_of_input_gives_the_librarys_answers(eacl, featured, expected, tmp_path, form):
    more, kind = (), form.removeprefix("joined ")
    given = {"jsonl": as_jsonl, "csv": as_csv}.get(form, lambda folder: None)(tmp_path)
    if form == "tsv":
        given = as_csv(tmp_path, suffix=".tsv")
    if form.startswith("joined"):
        more = ("--features", f"voice={voice_file(tmp_path)}")
        given = as_csv(tmp_path, features=False)
    if form == "joined jsonl":
        records = [json.loads(line) for line in as_jsonl(tmp_path).read_text().splitlines()]
        for record in records:
            for utterance in record["utterances"]:
                utterance.pop("features", None)
        given = tmp_path / "plain.jsonl"
        given.write_text("".join(json.dumps(record) + "\n" for record in records))
    if form == "joined txt":
        given = tmp_path / "chats.txt"
        given.write_text(f"Ann: {TEXT}\nAnn: {TEXT}\n\nAnn: {TEXT}\nAnn: {TEXT}\n")
        numbered = voice_file(tmp_path).read_text().replace("\na,", "\n1,").replace("\nb,", "\n2,")
        (tmp_path / "voice.csv").write_text(numbered)
    out = tmp_path / ("out.csv" if kind == "csv" else "out.jsonl")
    done = predict(eacl, featured, given, out, *more)
    assert done.status == 0, done.errors
    np.testing.assert_allclose(probabilities(out), expected, atol=1e-5)
    assert done.errors.count("1 utterance has no features voice: it was answered without") == 1
    assert "4 utterances have no features face" in done.errors
    assert '"features"' not in out.read_text()
    if form == "csv":
        first = next(csv.DictReader(out.open()))
        assert (first["note"], first["voice.pitch"], first["voice.duration"]) == ("n", "3.0", "1.0")


def test_what_the_model_does_not_read_is_reported_once(eacl, featured, model, tmp_path):
    given = as_jsonl(tmp_path)
    warning = "the model does not read the features voice: they were left out"
    assert predict(eacl, model, given, tmp_path / "out.jsonl").errors.count(warning) == 1
    records = given.read_text().replace('"voice"', '"smell"')
    given.write_text(records)
    done = predict(eacl, featured, given, tmp_path / "other.jsonl")
    assert "does not read the features smell" in done.errors
    assert "4 utterances have no features voice" in done.errors


def test_mistakes_say_where(eacl, featured, model, tmp_path):
    def errors(given, *more, of=featured):
        done = predict(eacl, of, given, tmp_path / "out.jsonl", *more)
        assert done.status == 2
        assert not (tmp_path / "out.jsonl").exists()
        return done.errors

    voice = f"voice={voice_file(tmp_path)}"
    table, lines = as_csv(tmp_path), as_jsonl(tmp_path)
    assert "has columns voice.SOMETHING" in errors(table, "--features", voice)
    assert "reads no features 'voice'; it reads none" in errors(
        lines, "--features", voice, of=model
    )
    assert "utterance 0 has features 'voice' already" in errors(lines, "--features", voice)
    table.write_text(table.read_text().replace("3.0", "high"))
    assert "chats.csv line 2: column 'voice.pitch': 'high' is no number" in errors(table)
    table.write_text(table.read_text().replace("voice.pitch", "voice.f0"))
    assert "no voice.pitch, which the model reads too" in errors(table)
    lines.write_text(lines.read_text().replace("[-1.0, null, 0.5]", "[1.0, 2.0]"))
    found = errors(lines)
    assert "chats.jsonl line 2: dialogue 'b' utterance 0: its features 'voice' have 2" in found
    (tmp_path / "voice.csv").write_text("id,duration,loudness,pitch\nz/0,1,2,3\n")
    plain = as_csv(tmp_path, features=False)
    assert "no utterance of the input has features there" in errors(plain, "--features", voice)


@pytest.mark.parametrize("change", ["features of the input", "features of a file"])
def test_a_run_does_not_go_on_with_other_features(eacl, featured, tmp_path, monkeypatch, change):
    texts = [{"speaker": "Ann", "text": TEXT, "id": f"u{number}"} for number in range(60)]
    for number, utterance in enumerate(texts):
        utterance["features"] = {"face": [[number, 1.0]]}
    given, voice = tmp_path / "chats.jsonl", tmp_path / "voice.csv"
    given.write_text(json.dumps({"id": "a", "utterances": texts}) + "\n")
    voice.write_text("id,duration,loudness,pitch\nu0,1,2,3\n")
    arguments = (given, tmp_path / "out.jsonl", "--batch-size", "1", "--features", f"voice={voice}")

    def stop(chunks):
        yield next(chunks)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(loop, "_ahead", stop)
        assert predict(eacl, featured, *arguments).status == 130
    if change == "features of the input":
        texts[3]["features"] = {"face": [[100.0, 1.0]]}
        given.write_text(json.dumps({"id": "a", "utterances": texts}) + "\n")
        message = "is not what the unfinished run has read: line 1: the first 16 utterances"
    else:
        voice.write_text("id,duration,loudness,pitch\nu0,1,2,4\n")
        message = "is of an unfinished run that differs"
    assert message in predict(eacl, featured, *arguments).errors


@pytest.mark.parametrize(("text", "status"), [(True, 2), (False, 0)])
def test_long_texts_count_where_texts_are_read(eacl, stub, tmp_path, monkeypatch, text, status):
    make_featured(tmp_path / "encoder", text=text).save_pretrained(tmp_path / "model")
    given = tmp_path / "chats.jsonl"
    chats = ({"id": str(n), "utterances": [{"speaker": "A", "text": "a"}]} for n in range(20))
    given.write_text("".join(json.dumps(each) + "\n" for each in chats))

    def stop(chunks):
        yield next(chunks)
        raise KeyboardInterrupt

    arguments = (given, tmp_path / "out.jsonl", "--batch-size", "1", "--on-long")
    with monkeypatch.context() as patch:
        patch.setattr(loop, "_ahead", stop)
        assert predict(eacl, tmp_path / "model", *arguments, "pool").status == 130
    done = predict(eacl, tmp_path / "model", *arguments, "refuse")
    assert done.status == status
    assert ("long texts: 'pooled', now 'cut'" in done.errors) is text


@pytest.mark.slow
def test_evaluate_and_adapt_read_features_of_all_kinds(eacl, featured, expected, tmp_path):
    labels = ("joy", "anger", "neutral")
    emotions = [labels[int(np.argmax(each))] for each in expected]
    assert len(set(emotions)) > 1  # of equal texts: without features they could not all be right
    given = as_jsonl(tmp_path, emotions)
    table, voice = as_csv(tmp_path), voice_file(tmp_path)
    rows = table.read_text().splitlines()
    rows = [rows[0] + ",emotion", *map(",".join, zip(rows[1:], emotions, strict=True))]
    table.write_text("\n".join(rows) + "\n")
    plain = tmp_path / "plain.csv"
    plain.write_text("\n".join(",".join([*row.split(",")[:4], row.split(",")[-1]]) for row in rows))
    for number, (file, more) in enumerate(
        [(given, ()), (table, ()), (plain, ("--features", f"voice={voice}"))]
    ):
        scores = tmp_path / f"scores{number}.json"
        done = eacl("evaluate", "--model", featured, "--input", file, "--json", scores, *more)
        assert done.status == 0, done.errors
        assert json.loads(scores.read_text())["summary"]["accuracy"] == 100
        assert done.errors.count("1 of 4 utterances have no features voice") == 1
        adapted = tmp_path / f"adapted{number}"
        done = eacl("adapt", "--model", featured, "--input", file, "--output", adapted, *more)
        assert done.status == 0, done.errors
        assert "weighted F1 before 100.00" in done.output.decode()
        assert "voice" in EmotionRecognizer.from_pretrained(adapted).settings.modalities
    wrong = eacl("evaluate", "--model", featured, "--input", table, "--features", f"voice={voice}")
    assert "has columns voice.SOMETHING, and there is a file" in wrong.errors
