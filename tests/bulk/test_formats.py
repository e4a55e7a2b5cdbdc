"""Answers as they are written: chosen fields, what is carried through, and nothing that a
spreadsheet or a terminal runs.
"""

import csv
import io
import json

import pytest

from eacl_jax.bulk.formats import Csv, JsonLines, read_fields
from eacl_jax.corpora.formulas import guarded
from eacl_jax.errors import UserError
from eacl_jax.recognizer.prediction import DialoguePrediction, Prediction, answered

SCORES = {"joy": 0.75, "anger": 0.25}


def answer(text="hi", identity="1", **other):
    one = Prediction("Ann", text, "joy", SCORES, SCORES, truncated=True, other=other)
    return DialoguePrediction(identity, (one,), {"source": "chat"})


def rows(written: Csv, prediction: DialoguePrediction) -> list[dict[str, str]]:
    return list(
        csv.DictReader(
            io.StringIO((written.header + written.encode(prediction)).decode(), newline="")
        )
    )


@pytest.mark.parametrize(
    ("text", "runs"),
    [
        ("=1+1", True),
        ("+1+cmd", True),
        ("-2+3", True),
        ("@SUM(A1)", True),
        ("＝1", True),
        ("  \u200b\ufeff=1", True),
        ("\thi", True),
        ("\r\nhi", True),
        ("hi = 1", False),
        ("- ", True),
        ("-5", False),
        ("+3,25", False),
        ("-1.5e-06", False),
        ("-5 apples", True),
        ("", False),
        ("'=1", False),
    ],
)
def test_formulas_are_texts_for_spreadsheets(text, runs):
    assert guarded(text) == (f"'{text}" if runs else text)


def test_every_text_of_a_table_is_guarded():
    odd = "=1"
    prediction = answer(odd, odd, **{odd: odd})
    (row,) = rows(Csv(SCORES, others=[odd]), prediction)
    assert [name for name in row if name.startswith("=")] == []
    assert {row["dialogue"], row["text"], row["'=1"]} == {"'=1"}
    (row,) = rows(Csv(SCORES, others=[odd], raw=True), prediction)
    assert (row["dialogue"], row["text"], row["=1"]) == ("=1", "=1", "=1")
    assert json.loads(JsonLines().encode(prediction)) == prediction.to_json()


def test_nothing_steers_a_terminal():
    prediction = answer("\x1b[2J\x9b31m\x7f é🙂\n")
    written = JsonLines().encode(prediction).decode()
    assert all(letter.isprintable() for letter in written.rstrip("\n"))
    assert "é🙂" in written
    assert json.loads(written) == prediction.to_json()
    assert "�[2J�31m� é🙂\n" in Csv(SCORES, shown=True).encode(prediction).decode()
    assert "\x1b[2J\x9b31m\x7f é🙂\n" in Csv(SCORES).encode(prediction).decode()


def test_chosen_fields():
    prediction = answer(note="x")
    everything = json.loads(JsonLines().encode(prediction))
    assert list(everything["utterances"][0]) == [*answered(several=False), "note"]
    lean = json.loads(JsonLines(read_fields("confidence, emotion", "jsonl")).encode(prediction))
    assert lean == {"id": "1", "utterances": [{"emotion": "joy", "confidence": 0.75}]}
    kept = json.loads(JsonLines(read_fields("emotion,other", "jsonl")).encode(prediction))
    assert kept == {"id": "1", "utterances": [{"emotion": "joy", "note": "x"}], "source": "chat"}
    others = ["note", "missing"]
    columns = [name for name in prediction.to_rows()[0] if name != "note"]
    assert list(rows(Csv(SCORES, others=others), prediction)[0]) == [*others, *columns]
    assert list(
        rows(
            Csv(SCORES, others=others, fields=read_fields("emotion,probabilities", "csv")),
            prediction,
        )[0]
    ) == [
        "dialogue",
        "utterance",
        "emotion",
        "p(joy)",
        "p(anger)",
    ]
    assert (
        list(rows(Csv(SCORES, others=others, fields=("emotion", "other")), prediction)[0])[:2]
        == others
    )


def test_several_labels_an_utterance():
    some = Prediction("Ann", "hi", None, SCORES, SCORES, emotions=("joy", "anger"))
    none = Prediction("Bob", "so", None, SCORES, SCORES)
    prediction = DialoguePrediction("1", (some, none))
    table = rows(Csv(SCORES, several=True), prediction)
    assert [row["emotions"] for row in table] == ["joy;anger", "[]"]
    assert list(table[0]) == list(prediction.to_rows()[0])
    written = json.loads(JsonLines().encode(prediction))["utterances"]
    assert [each["emotions"] for each in written] == [["joy", "anger"], []]
    assert list(written[0]) == list(answered(several=True))
    chosen = read_fields("text,emotions", "csv", several=True)
    assert [
        list(row.values())[2:] for row in rows(Csv(SCORES, fields=chosen, several=True), prediction)
    ] == [
        ["hi", "joy;anger"],
        ["so", "[]"],
    ]


@pytest.mark.parametrize(
    ("given", "several", "message"),
    [
        ("text,emotion", True, "'emotion' is of a model of one label.*ask for 'emotions'"),
        ("confidence", True, "'confidence' is of a model of one label"),
        ("emotions", False, "'emotions' is of a model of several labels.*ask for 'emotion' and"),
    ],
)
def test_fields_of_the_other_kind_of_model(given, several, message):
    with pytest.raises(UserError, match=message):
        read_fields(given, "jsonl", several)
    assert read_fields(given, "jsonl", not several) == read_fields(given, "jsonl")


@pytest.mark.parametrize(
    ("given", "written_as", "message"),
    [
        ("emotion,mood", "jsonl", "fields: 'mood' is none of speaker, text, emotion"),
        ("emotion,,text", "jsonl", "fields: '' is none of"),
        ("Emotion", "csv", "fields: 'Emotion' is none of"),
        ("cosines", "csv", "fields: cosines are written to JSON lines only"),
    ],
)
def test_fields_that_cannot_be(given, written_as, message):
    with pytest.raises(UserError, match=message):
        read_fields(given, written_as)
