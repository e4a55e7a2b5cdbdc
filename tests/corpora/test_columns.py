"""Columns by the names that people give them."""

import json
from pathlib import Path
from unicodedata import normalize

import pytest

from eacl_jax.corpora.columns import PARTS, Columns, find_columns, turn_of
from eacl_jax.corpora.files import read_file
from eacl_jax.corpora.label_columns import LabelForms
from eacl_jax.errors import UserError


@pytest.mark.parametrize(
    ("header", "columns"),
    [
        ("dialogue,speaker,text,emotion", Columns(0, 1, 2, 3)),
        ("DIALOGUE,Speaker,Text,Emotion", Columns(0, 1, 2, 3)),
        (
            "Sr No.,Utterance,Speaker,Emotion,Sentiment,Dialogue_ID,Utterance_ID",
            Columns(5, 2, 1, 3, (6,)),
        ),
        ("conversation id,Author,Message,Label", Columns(0, 1, 2, 3)),
        (
            "conv_id,utterance_idx,context,prompt,speaker_idx,utterance",
            Columns(0, 4, 5, None, (1,)),
        ),
        # This project's names win over others: so its predictions are read, whose `utterance` is
        # its number.
        ("dialogue,utterance,speaker,text,emotion,label", Columns(0, 2, 3, 4, (1,))),
        ("dialogue,turn,Utterance_ID,speaker,text,emotion", Columns(0, 3, 4, 5, (2, 1))),
    ],
)
def test_usual_names_are_found(header: str, columns: Columns) -> None:
    assert find_columns(header.split(","), "f.csv", need=("dialogue", "speaker", "text")) == columns


@pytest.mark.parametrize(
    ("cell", "number"),
    [
        (3, 3),
        (3.0, 3),
        ("3", 3),
        (" 3.0 ", 3),
        ("-1", -1),
        ("1700000000002", 1700000000002),
        ("٢", 2),
        (20240101120000, 20240101120000),  # a time as programs write it
        ("1" * 18, 111111111111111111),
        ("1" * 19, None),  # beyond what is kept of it
        (1e300, None),
        (10**400, None),  # which no float holds
        (float("inf"), None),
        ("u3", None),
        ("3.5", None),
        ("", None),
        (None, None),
        (float("nan"), None),
        (True, None),
    ],
)
def test_the_number_in_a_cell(cell: object, number: int | None) -> None:
    assert turn_of(cell) == number


def test_given_names_win_and_the_rest_is_found() -> None:
    header = ["Dialogue", "Speaker", "text", "mood", "emotion"]
    assert find_columns(header, "f.csv", given={"emotion": "Mood", "text": ""}) == Columns(
        0, 1, 2, 3
    )


@pytest.mark.parametrize(("form", "other"), [("NFC", "NFD"), ("NFD", "NFC")])
def test_a_name_may_be_in_another_unicode_form(form: str, other: str, tmp_path: Path) -> None:
    named = {"dialogue": "Gespräch", "speaker": "Sprecher", "text": "ÄUẞERUNG", "emotion": "Gefühl"}
    named = {part: normalize(form, name) for part, name in named.items()}
    header = [normalize(other, name) for name in ("Gespräch", "Sprecher", "Äußerung", "Gefühl")]
    assert find_columns(header, "f.csv", given=named) == Columns(0, 1, 2, 3)
    rows = ["1,Ann,a,joy,1,0", "1,Ben,b,,,"]
    voices = tuple(normalize(form, f"Gefühl{number}") for number in (1, 2))
    header += [normalize(other, f"Gefühl{number}") for number in (1, 2)]
    table = [dict(zip(header, row.split(","), strict=True)) for row in rows]
    nested = {name: table[0][name] for name in header[:1]} | {"turns": table}
    for name, content in (
        ("a.csv", "\n".join([",".join(header), *rows])),
        ("a.jsonl", "\n".join(map(json.dumps, table))),
        ("b.jsonl", json.dumps(nested)),
    ):
        (tmp_path / name).write_text(content)
        forms = LabelForms(annotators=voices)
        (found,) = read_file(tmp_path / name, columns=named, forms=forms)
        one, two = found.dialogue.utterances
        assert found.dialogue.id == "1"
        assert (one.text, one.emotion, one.annotations) == ("a", "joy", (("1",), ("0",)))
        assert (two.text, two.emotion, two.annotations) == ("b", None, None)


def test_a_table_may_be_without_dialogues_and_speakers() -> None:
    none = {"dialogue": "none", "speaker": "None"}
    header = ["id", "utterance_id", "text", "emotion"]
    assert find_columns(header, "f.csv", given=none) == Columns(None, None, 2, 3)
    header = ["none", "speaker", "turn", "text", "emotion"]
    assert find_columns(header, "f.csv", given={"dialogue": "none"}) == Columns(0, 1, 3, 4, (2,))
    # Nothing else may be.
    with pytest.raises(UserError, match="no column 'none'; its columns are 'id', 'text'"):
        find_columns(["id", "text"], "f.csv", given=none | {"emotion": "none"})


@pytest.mark.parametrize(
    ("header", "given", "message"),
    [
        (
            "dialogue,speaker,line",
            {},
            r"f\.csv has no column 'text', 'emotion'; its columns are .* text_column=NAME",
        ),
        (
            "id,text,emotion",
            {},
            r"Where each row stands by itself: dialogue_column=none speaker_column=none\.$",
        ),
        (
            "dialogue,speaker,text,emotion",
            {"emotion": "mood"},
            r"no column 'mood'; .*emotion_column=NAME",
        ),
        (
            "chat_id,speaker,text,label,thread",
            {},
            r"more than one column for the dialogue: 'chat_id', 'thread'; name one with d",
        ),
        (
            "text,dialogue,speaker,text,emotion",
            {},
            r"more than one column for the text: 'text', 'text'; rename all but one",
        ),
        (
            "dialogue,speaker,text,emotion",
            {"text": "speaker"},
            r"'speaker' is named for more than one part",
        ),
        (
            "dialogue,speaker,text,emotion,confidence,Gold Label",
            {},
            r"more than one column for the emotion: 'emotion', 'Gold Label'; name one with emotion_",
        ),
    ],
)
def test_what_is_not_certain_is_refused(header: str, given: dict[str, str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        find_columns(header.split(","), "f.csv", given=given)


def test_a_label_beside_the_emotion_is_no_matter_where_it_is_named_or_not_asked_for() -> None:
    header = ["dialogue", "speaker", "text", "emotion", "label"]
    named = find_columns(header, "f.csv", given={"emotion": "label"})
    assert (named.emotion, find_columns(header, "f.csv", need=PARTS[:3]).emotion) == (4, 3)
