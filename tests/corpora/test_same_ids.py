"""Utterances of one id that are there again are refused, however they come."""

import json

import pandas as pd
import pytest

from eacl_jax.corpora import repeats
from eacl_jax.corpora.files import read_file
from eacl_jax.corpora.repeats import check_same_ids
from eacl_jax.data.inputs import read_dialogues
from eacl_jax.dialogue import Dialogue, Utterance
from eacl_jax.errors import UserError
from tests.stubs.bulk import items, lines_of

# What was said by whom, and its id.
ONCE = ("1 A hi", "2 B ok", "3 A ok")
TWICE = ("1 A hi", "1 A hi", "2 B ok", "3 A ok", "3 A ok")
TOLD = "the speaker and the text are those of {} before .* the two are one utterance"


def spoken(rows, name="message_id"):
    return [Utterance(who, text, other={name: key}) for key, who, text in map(str.split, rows)]


@pytest.mark.parametrize(
    ("name", "rows", "found"),
    [
        ("message_id", TWICE, True),
        ("Message ID", TWICE, True),
        ("msg_id", (*ONCE, *ONCE), True),  # an annotator after the other
        ("comment_id", TWICE, True),
        ("post_id", TWICE, True),
        ("uuid", TWICE, True),
        ("id", TWICE, True),
        ("message_id", ("1 A hi", "1 A hi", "2 B ok"), True),
        ("message_id", ONCE, False),
        ("message_id", ("1 A hi", "2 A hi", "3 B ok"), False),  # said again
        ("message_id", ("1 A hi", "1 A hi", "1 A hi"), False),  # of the dialogue, perhaps
        ("post_id", ("1 A hi", "1 B ok", "1 A hi"), False),
        ("id", ("1 A hi", "1 A hi", "2 B ok"), False),  # of the speaker, perhaps
        ("id", ("1 A hi", "1 A no", "2 A ok", "2 A ok"), False),  # of several utterances
        ("message_id", ("1 A hi", "1 B hi", "2 A ok", "2 A ok"), False),
        ("reply_to_id", TWICE, False),
    ],
)
def test_what_is_there_again_with_its_id_is_one_utterance(name, rows, found):
    if found:
        with pytest.raises(UserError, match=f"in field {name!r}, {TOLD.format('an utterance')}"):
            check_same_ids(spoken(rows, name), "utterance {}".format)
    else:
        check_same_ids(spoken(rows, name), "utterance {}".format)


def test_what_has_no_id_says_nothing():
    said = [Utterance("A", "hi", other={"message_id": key}) for key in ("", None, float("nan"), "")]
    check_same_ids([*spoken(ONCE), *said], "utterance {}".format)


def test_what_is_kept_does_not_grow(monkeypatch):
    monkeypatch.setattr(repeats, "_MOST", 3)
    more = [f"{number} A {number}" for number in range(4, 99)]
    check_same_ids(spoken((*ONCE, *more, *more)), "utterance {}".format)
    with pytest.raises(UserError, match=r"^utterance 98: number 1 in field"):
        check_same_ids(spoken([*ONCE, *more, "1 A hi"], "uttid"), "utterance {}".format)


def test_wherever_they_come_from(tmp_path):
    rows = [("7", who, text, "joy", f"m{key}") for key, who, text in map(str.split, TWICE)]
    names = ["dialogue", "speaker", "text", "emotion", "message_id"]
    table = "\n".join(map(",".join, (names, *rows))) + "\n"
    objects = [dict(zip(names, row, strict=True)) for row in rows]
    utterances = [{name: row[name] for name in names[1:]} for row in objects]
    record = {"id": "7", "utterances": utterances}
    replies = [
        {"conversation_id": "7", "id": u["message_id"], "reply_to": None} for u in utterances
    ]
    replies = [each | more for each, more in zip(replies, utterances, strict=True)]
    files = {
        "table.csv": table,
        "nested.json": json.dumps([record]),
        "nested.jsonl": json.dumps({"id": "7", "messages": utterances}),
        "rows.jsonl": "\n".join(map(json.dumps, objects)),
        "convokit.jsonl": "\n".join(map(json.dumps, replies)),
    }
    for name, content in files.items():
        (tmp_path / name).write_text(content)
        with pytest.raises(UserError, match="the two are one utterance"):
            read_file(tmp_path / name)
    with pytest.raises(UserError, match=rf"line 3: 'm1' in column 'message_id', {TOLD[:20]}"):
        read_file(tmp_path / "table.csv")
    for kind, content in (("csv", table), ("jsonl", json.dumps(record) + "\n")):
        lines = lines_of(content)
        *_, last = items(kind, lines, size=2)
        assert "the two are one utterance" in last.problem
    talk = Dialogue("7", tuple(spoken(TWICE)))
    for given in (pd.DataFrame(rows, columns=names), record, utterances, talk, [talk]):
        with pytest.raises(UserError, match="the two are one utterance"):
            read_dialogues(given)
