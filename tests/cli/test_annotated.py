"""Annotated files, as `eacl adapt` and `eacl evaluate` read them."""

import json

import pytest

from eacl_jax.cli import annotated
from eacl_jax.errors import UserError


def read(path, *voices, task="single", mapped=""):
    said = [
        {"speaker": "Ann", "text": f"Line {n}.", "annotations": [[label] for label in each]}
        for n, each in enumerate(voices)
    ]
    path.write_text(json.dumps({"id": "1", "utterances": said}) + "\n")
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
