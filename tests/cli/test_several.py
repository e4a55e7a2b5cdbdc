"""`eacl predict`, `eacl adapt` and `eacl evaluate` with a model of several labels an utterance."""

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from eacl_jax import EmotionRecognizer
from tests.stubs.several import TEXTS

JSON = [json.dumps({"id": str(n), "transcript": f"Ann: {text}"}) for n, text in enumerate(TEXTS)]
# Joy and anger, one of them, none, and one that nobody annotated.
GOLD = [["joy", "anger"], ["anger"], ["neutral"], [], ["joy", "neutral"], None]


def lines(file: Path, *given: str) -> Path:
    file.write_text("\n".join(given) + "\n", encoding="utf-8")
    return file


def table(gold: Callable[[list[str] | None], str], header: str) -> list[str]:
    rows = (
        f"{n},Ann,{text},{gold(labels)}"
        for n, (text, labels) in enumerate(zip(TEXTS, GOLD, strict=True))
    )
    return [f"dialogue,speaker,text,{header}", *rows]


def records() -> list[dict]:
    found = []
    for n, (text, labels) in enumerate(zip(TEXTS, GOLD, strict=True)):
        utterance = {"speaker": "Ann", "text": text}
        found.append(
            {
                "id": str(n),
                "utterances": [utterance if labels is None else utterance | {"emotions": labels}],
            }
        )
    return found


def test_answers_to_files(eacl, several, tmp_path):
    source = lines(tmp_path / "chats.jsonl", *JSON)
    options = ("predict", "--model", several, "--input", source, "--output")
    done = eacl(*options, tmp_path / "out.jsonl")
    assert done.status == 0, done.errors
    assert "joy 3, neutral 3, anger 3, none of the labels 2" in done.errors
    expected = EmotionRecognizer.from_pretrained(several).predict(list(map(json.loads, JSON)))
    written = [json.loads(line)["utterances"][0] for line in (tmp_path / "out.jsonl").open()]
    assert [tuple(each["emotions"]) for each in written] == [each[0].emotions for each in expected]
    assert {len(each["emotions"]) for each in written} == {0, 1, 2, 3}
    assert list(written[0]) == list(expected[0][0].to_json())

    assert eacl(*options, tmp_path / "out.csv", "--fields=text,emotions,probabilities").status == 0
    content = (tmp_path / "out.csv").read_text()
    rows = list(csv.DictReader(io.StringIO(content, newline="")))
    assert [row["emotions"] for row in rows] == [
        ";".join(each[0].emotions) or "[]" for each in expected
    ]
    assert list(rows[0]) == ["dialogue", "utterance", "text", "emotions"] + [
        f"p({label})" for label in ("joy", "anger", "neutral")
    ]
    refused = eacl(*options, tmp_path / "more.csv", "--fields=text,emotion")
    assert (refused.status, refused.output) == (2, b"")
    assert "fields: 'emotion' is of a model of one label" in refused.errors
    assert not (tmp_path / "more.csv").exists()


@pytest.mark.slow
def test_answers_are_asked_again(eacl, several, model, tmp_path):
    """By a model of the other kind too: former answers do not come through."""
    source = lines(tmp_path / "chats.jsonl", *JSON)
    for ending in ("jsonl", "csv"):
        first, other, back = (tmp_path / f"{n}.{ending}" for n in ("first", "other", "back"))
        for asked, answering, output in (
            (source, several, first),
            (first, model, other),
            (other, several, back),
        ):
            done = eacl("predict", "--model", answering, "--input", asked, "--output", output)
            assert done.status == 0, done.errors
        assert back.read_bytes() == first.read_bytes()
        assert "emotions" not in other.read_text()
    assert "columns 'utterance', 'emotion', 'confidence'" in done.errors


def test_own_labels(eacl, several, tmp_path):
    labels = "delight=joy,rage=anger"
    done = eacl(
        "predict", "--model", several, "--labels", labels, "--output=-", "--input",
        lines(tmp_path / "chats.jsonl", *JSON),
    )  # fmt: skip
    assert done.status == 0, done.errors
    found = [json.loads(line)["utterances"][0] for line in done.output.splitlines()]
    assert [each["emotions"] for each in found][:3] == [["delight"], [], ["delight"]]
    assert all(list(each["probabilities"]) == ["delight", "rage"] for each in found)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("chats.jsonl", list(map(json.dumps, records()))),
        ("chats.csv", table(lambda labels: ";".join(labels or ()), "emotions")),
        ("chats.csv", table(lambda labels: " | ".join(labels or ()), "emotion")),
        (
            "chats.csv",
            table(
                lambda labels: ",".join(
                    "" if labels is None else str(int(each in labels))
                    for each in ("joy", "anger", "neutral")
                ),
                "joy,anger,neutral",
            ),
        ),
    ],
    ids=["jsonl", "emotions", "emotion", "flags"],
)
def test_adapt(eacl, several, tmp_path, name, content):
    source = lines(tmp_path / name, *content)
    done = eacl("adapt", "--model", several, "--input", source, "--output", tmp_path / "new")
    assert done.status == 0, done.errors
    assert b"examples: joy 2, anger 2, neutral 2\n" in done.output
    if name == "chats.jsonl":
        expected = EmotionRecognizer.from_pretrained(several).adapt(records())
        assert str(expected.adaptation) in done.output.decode()
        loaded = EmotionRecognizer.from_pretrained(tmp_path / "new")
        assert loaded.settings == expected.settings


def test_labels_are_mapped_and_reported(eacl, several, tmp_path):
    given = [
        {"id": str(n), "utterances": [{"speaker": "Ann", "text": text, "emotions": labels}]}
        for n, (text, labels) in enumerate(
            [("hi", ["glee", "joy"]), ("so", ["glee", "rest"]), ("no", ["rest"]), ("end", [])]
        )
    ]
    source = lines(tmp_path / "chats.jsonl", *map(json.dumps, given))
    options = ("adapt", "--model", several, "--input", source, "--output", tmp_path / "new")
    refused = eacl(*options)
    assert refused.status == 2
    assert (
        "3 of 4 annotated utterances have an emotion that is not among the labels joy, anger,"
        " neutral: 'glee' (2), 'rest' (2)" in refused.errors
    )
    # An utterance with nothing else than what stands for no label is context.
    done = eacl(*options, "--map", "glee=joy,rest=")
    assert done.status == 0, done.errors
    assert b"examples: joy 2, anger 0, neutral 0\n" in done.output


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (
            "chats.jsonl",
            ['{"id": "0", "utterances": [{"text": "hi", "emotions": []}]}',
                '{"id": "1", "utterances": [{"text": "hi", "emotions": ["joy", "joy"]}]}'
            ],
            "chats.jsonl line 2: dialogue '1' utterance 0: field 'emotions' has the label 'joy' twice",
        ),
        (
            "chats.jsonl",
            ['{"utterances": [{"text": "hi", "emotion": "joy", "emotions": ["anger"]}]}'],
            "'emotion' is 'joy', which is not among 'emotions', ['anger']",
        ),
        (
            "chats.csv",
            ["dialogue,speaker,text,emotion", "1,Ann,hi,joy", "1,Ann,so,joy;anger;joy"],
            "chats.csv line 3: dialogue '1' has the label 'joy' twice",
        ),
        (
            "chats.csv",
            ["dialogue,speaker,text,emotion", "1,Ann,hi,joy;anger", "1,Ann,so,joy|anger"],
            "several signs could divide the labels: ';' (line 2: 'joy;anger'), '|' (line 3: 'joy|anger');"
            " name the one with --label-separator",
        ),
        (
            "chats.csv",
            ["dialogue,speaker,text,joy,anger,neutral", "1,Ann,hi,1,0,1", "1,Ann,so,0,1,2"],
            "chats.csv line 3: column 'neutral' holds '2'",
        ),
    ],
)  # fmt: skip
def test_mistakes_in_adapting(eacl, several, tmp_path, monkeypatch, name, content, message):
    monkeypatch.chdir(tmp_path)
    lines(tmp_path / name, *content)
    done = eacl("adapt", "--model", several, "--input", name, "--output", "new")
    assert (done.status, done.output) == (2, b"")
    assert message in done.errors
    assert not (tmp_path / "new").exists()


def test_several_labels_for_a_model_of_one(eacl, model, tmp_path):
    source = lines(tmp_path / "chats.jsonl", *map(json.dumps, records()))
    options = ("adapt", "--model", model, "--input", source, "--output", tmp_path / "new")
    refused = eacl(*options)
    assert refused.status == 2
    assert "line 1: dialogue '0' utterance 0 has 2 labels, 'joy', 'anger'" in refused.errors
    assert "the model answers one label an utterance: give the main one" in refused.errors
    assert (
        "--label-separator: the model answers one" in eacl(*options, "--label-separator=;").errors
    )


@pytest.mark.slow
def test_rows_of_answers_are_read_again(several):
    recognizer = EmotionRecognizer.from_pretrained(several)
    answers = recognizer.predict(list(map(json.loads, JSON)))
    frame = pd.DataFrame([row for each in answers for row in each.to_rows()])
    assert [each[0].emotions for each in recognizer.predict(frame)] == [
        each[0].emotions for each in answers
    ]
    assert recognizer.adapt(frame).adaptation.examples == {"joy": 3, "anger": 3, "neutral": 3}


def test_evaluate_tells_all_numbers(eacl, several, tmp_path):
    source = lines(tmp_path / "chats.jsonl", *map(json.dumps, records()))
    kept = tmp_path / "scores.json"
    options = ("evaluate", "--model", several, "--input", source)
    done = eacl(*options, "--json", kept)
    assert done.status == 0, done.errors
    scores = json.loads(kept.read_text(encoding="utf-8"))
    answers = [
        each[0].emotions
        for each in EmotionRecognizer.from_pretrained(several).predict(
            [[("Ann", text)] for text in TEXTS]
        )
    ][:5]
    both = [(set(a), set(g)) for a, g in zip(answers, GOLD[:5], strict=True)]
    expected = [len(a & g) / len(a | g) if a | g else 1 for a, g in both]
    assert scores["summary"]["jaccard"] == pytest.approx(100 * sum(expected) / 5)
    assert (scores["utterances"], scores["context"]) == (5, 1)
    assert scores["by_label"]["joy"]["support"] == 2
    assert scores["sizes"]["annotated"] == [1, 2, 2] + [0] * (len(scores["sizes"]["annotated"]) - 3)
    assert "labels an utterance: annotated none 1, one 2, two 2" in done.output.decode()
    refused = eacl(*options, "--excluded-label", "neutral")
    assert refused.status == 2
    assert "--excluded-label: this model may answer several labels" in refused.errors


@pytest.mark.parametrize("name", ["chats.jsonl", "chats.csv"])
def test_evaluate(eacl, several, tmp_path, name):
    content = {
        "chats.jsonl": list(map(json.dumps, records())),
        # With a list there is none that is empty.
        "chats.csv": table(lambda labels: "/".join(labels or ()), "emotions"),
    }[name]
    source = lines(tmp_path / name, *content)
    done = eacl(
        *("evaluate", "--model", several, "--input", source, "--json", tmp_path / "scores.json"),
        *(("--label-separator=/",) if name == "chats.csv" else ()),
    )
    assert done.status == 0, done.errors
    scores = json.loads((tmp_path / "scores.json").read_text())
    annotated = [labels for labels in GOLD if labels or (labels == [] and name == "chats.jsonl")]
    assert scores["utterances"] == len(annotated)
    assert {label: row["support"] for label, row in scores["by_label"].items()} == {
        label: sum(label in labels for labels in annotated) for label in scores["labels"]
    }
    assert "jaccard" in scores["summary"]
