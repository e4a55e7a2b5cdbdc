"""Annotated files, as `eacl adapt` and `eacl evaluate` read them."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from eacl_jax.cli import annotated
from eacl_jax.config import DataConfig
from eacl_jax.corpora.custom import read_custom
from eacl_jax.dialogue import Dialogue, Utterance
from eacl_jax.errors import UserError


def read(path, *voices, task="single", mapped=""):
    utterances = [
        {"speaker": "Ann", "text": f"Line {n}.", "annotations": [[label] for label in each]}
        for n, each in enumerate(voices)
    ]
    path.write_text(json.dumps({"id": "1", "utterances": utterances}) + "\n")
    columns = annotated.columns("", "", "", "")
    (dialogue,) = annotated.read(path, columns, mapped, task=task)
    return [u.emotion if task == "single" else u.emotions for u in dialogue.utterances]


VOICES = (
    ["joy", "joy", "sadness", "sadness", "sadness", "glee", "glee"],
    ["rest", "rest", "joy"],
    ["joy"],
)


@pytest.mark.parametrize(("task", "wrap"), [("single", str), ("multi", lambda label: (label,))])
def test_votes_are_counted_for_what_emotions_stand_for(tmp_path, task, wrap):
    """Annotators agree on joy, though they call it by two names; most gave none of the labels in
    the second.
    """
    found = read(tmp_path / "a.jsonl", *VOICES, task=task, mapped="glee=joy,rest=")
    assert found == [wrap("joy"), None, wrap("joy")]


def test_what_one_annotator_gave_can_be_mapped(tmp_path):
    voices = (["joy", "joy", "glee"],)
    assert read(tmp_path / "a.jsonl", *voices, mapped="glee=joy") == ["joy"]
    with pytest.raises(UserError, match=r"has no emotion 'awe'; it has 'glee', 'joy'"):
        read(tmp_path / "a.jsonl", *voices, mapped="awe=joy")


def test_a_word_may_say_none_of_the_labels(tmp_path):
    """As "neutral" does: such an utterance is scored, and is no mere context."""
    found = read(tmp_path / "a.jsonl", *VOICES, task="multi", mapped="glee=joy,rest=[]")
    assert found == [("joy",), (), ("joy",)]
    (tmp_path / "a.csv").write_text(
        "dialogue,speaker,text,emotion\n1,Ann,a,rest\n1,Ann,b,joy;rest\n1,Ann,c,joy\n1,Ann,d,\n"
    )
    columns = annotated.columns("", "", "", "")
    (dialogue,) = annotated.read(tmp_path / "a.csv", columns, "rest=[]", task="multi")
    assert [u.emotions for u in dialogue.utterances] == [(), ("joy",), ("joy",), None]
    (tmp_path / "b.jsonl").write_text(
        '{"id": "1", "utterances": [{"text": "a", "emotion": "rest"}, {"text": "b"}]}\n'
    )
    (dialogue,) = annotated.read(tmp_path / "b.jsonl", columns, "rest=[]", task="multi")
    assert [u.emotions for u in dialogue.utterances] == [(), None]
    with pytest.raises(UserError, match=r"--map: rest=\[\] says annotated with none of the labels"):
        read(tmp_path / "a.jsonl", *VOICES, mapped="rest=[]")


@pytest.mark.parametrize(
    ("task", "cells", "expected"),
    [
        ("single", ("joy,joy,anger", "anger,joy,", ",,"), ["joy", None, None]),
        ("multi", ("joy;awe,joy,", ",[],[]", "awe,awe,joy"), [("joy", "awe"), (), ("awe",)]),
    ],
)
def test_a_column_an_annotator_is_read_as_in_training(tmp_path, task, cells, expected):
    rows = [f"1,Ann,Line {n}.,{each}" for n, each in enumerate(cells)]
    path = tmp_path / "a.csv"
    path.write_text("\n".join(["dialogue,speaker,text,first,second,third", *rows]))
    columns = annotated.columns("", "", "", "")
    names = "first, second,third"
    found = [
        item.dialogue
        for item in read_custom(
            path, DataConfig(annotator_columns=("first", "second", "third")), task
        )
    ]
    assert annotated.read(path, columns, task=task, annotator_columns=names) == found
    assert [u.emotion if task == "single" else u.emotions for u in found[0].utterances] == expected
    with pytest.raises(UserError, match=r"no column 'forth', which --annotator-columns names"):
        annotated.read(path, columns, task=task, annotator_columns="first,forth")


def refused(labels, emotions, task):
    utterances = tuple(Utterance("Ann", "Hi.", emotions=(emotion,)) for emotion in emotions)
    model = SimpleNamespace(
        labels=labels,
        settings=SimpleNamespace(words=labels, made_of_words=True, several=task == "multi"),
    )
    with pytest.raises(UserError) as error:
        annotated.labelled(model, {}, Path("a.csv"), [Dialogue("1", utterances)], "")
    return str(error.value)


def test_none_of_the_labels_is_advised_where_there_may_be_none():
    several, one = (refused(["joy", "anger"], ["joy", "neutral"], t) for t in ("multi", "single"))
    assert "  --map 'neutral=[]'   EMOTION=LABEL counts it" in several
    assert "EMOTION= as no emotion, its text is context; EMOTION=[] as annotated with" in several
    assert "  --map neutral=   " in one
    assert "[]" not in one


def test_two_labels_in_a_cell_are_no_label():
    message = refused(["joy", "anger"], ["joy", "joy;anger"], "single")
    assert (
        "'joy;anger' is 2 labels in one cell, and the model answers one label an utterance: keep the"
        " main one in the cell, or name a model of several labels. Correct the file, or add\n  --map"
    ) in message
    assert "--labels" not in message
    assert "--labels" in refused(["joy", "anger"], ["joy", "joy;odd"], "single")


def test_a_model_whose_settings_cannot_be_used_is_refused(tmp_path, monkeypatch):
    """Not read as one of one label and without features, as if it had said so."""
    monkeypatch.setattr(annotated.locate, "find_folder", lambda model, revision: tmp_path)
    (tmp_path / "config.json").write_text('{"task": "multi"')
    with pytest.raises(UserError, match=r"config\.json"):
        annotated.settings_of("model")


VOTES = {"anno_1": "joy", "anno_2": "anger", "anno_3": None}


@pytest.mark.parametrize("nested", [True, False])
@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"labels": VOTES},
            r"the emotion must be a string, .* in (field|column) 'labels'; if that is what"
            r" annotators gave, give it as a field each, which --annotator-columns names, or as"
            r" 'annotations', a list",
        ),
        (
            {"label": ["joy", "anger"]},
            r"has 2 labels, \['joy', 'anger'\], in (field|column) 'label'; one utterance has one:"
            r" decide between them, or name a model of several labels\.",
        ),
        (
            VOTES,
            r"Where 'anno_1', 'anno_2', 'anno_3' are labels, an annotator each: name them with"
            r" --annotator-columns\.",
        ),
    ],
)
def test_what_is_no_label_is_named_with_the_commands_own_options(tmp_path, nested, fields, message):
    row = {"speaker": "Ann", "text": "Late!", **fields}
    row = {"id": "1", "utterances": [row]} if nested else {"dialogue": "1", **row}
    (tmp_path / "a.jsonl").write_text(json.dumps(row) + "\n")
    with pytest.raises(UserError, match=message) as error:
        annotated.read(tmp_path / "a.jsonl", annotated.columns("", "", "", ""))
    assert "config.data" not in str(error.value)


def test_columns_that_may_be_annotators_are_named_where_a_table_has_no_labels(tmp_path):
    (tmp_path / "a.csv").write_text("dialogue,speaker,text,Rater A,Rater B,mood\n1,Ann,Hi,x,x,x\n")
    with pytest.raises(UserError, match=r"'Rater A', 'Rater B' are labels, .*--annotator-columns"):
        annotated.read(tmp_path / "a.csv", annotated.columns("", "", "", ""))
