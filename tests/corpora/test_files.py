"""Every format in which dialogues come, found by its content."""

import codecs
import csv
import gzip
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from eacl_jax.corpora.files import read_file
from eacl_jax.corpora.label_columns import LabelForms
from eacl_jax.data.inputs import read_dialogues
from eacl_jax.dialogue import Dialogue, Utterance
from eacl_jax.errors import UserError

ANN, BEN = Utterance("Ann", "It works, “at last”!", "joy"), Utterance("Ben", "Too late.", "anger")
LATER = Utterance("Ann", "Oh.", None)
ROWS = [
    (identity, u.speaker, u.text, u.emotion)
    for identity, u in (("1", ANN), ("1", LATER), ("2", BEN))
]
EXPECTED = [Dialogue("1", (ANN, LATER)), Dialogue("2", (BEN,))]


def table(
    header: str, rows: Sequence[Sequence[object]] = ROWS, separator: str = ",", **form: Any
) -> str:
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=separator, **form).writerows([header.split(","), *rows])
    return text.getvalue()


def item(utterance: Utterance, **names: str) -> dict[str, Any]:
    """An utterance as JSON, with fields of other names."""
    fields = {"speaker": utterance.speaker, "text": utterance.text, "emotion": utterance.emotion}
    return {names.get(field, field): value for field, value in fields.items() if value is not None}


def read(
    folder: Path, content: str | bytes | object, name: str = "file.txt", **options: Any
) -> list[Dialogue]:
    path = folder / name
    if not isinstance(content, (str, bytes)):
        content = json.dumps(content)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return [found.dialogue for found in read_file(path, **options)]


def lines(values: Sequence[object]) -> str:
    return "".join(json.dumps(value) + "\n" for value in values)


HEADER = "dialogue,speaker,text,emotion"
TABLES = {
    "plain": table(HEADER),
    "capitals": table("Dialogue,SPEAKER,Text,Emotion"),
    "usual names": table("Conversation ID,Author,Message,Label"),
    "tabs": table(HEADER, separator="\t"),
    "Excel's semicolons": table(HEADER, separator=";"),
    "Excel's sep line": "sep=;\r\n" + table(HEADER, separator=";"),
    "old line ends": table(HEADER, lineterminator="\r"),
    "blank rows and columns": table(
        HEADER + ",,", [(*row, "", "") for row in [*ROWS, ("", "", "", "")]]
    ),
    "two marks": codecs.BOM_UTF8 * 2 + table(HEADER).encode(),
    "utf-16": table(HEADER).encode("utf-16"),
    "gzip": gzip.compress(table(HEADER).encode(), mtime=0),
    "blanks after commas": (
        '\ndialogue, speaker, text, emotion\n1, Ann, "It works, “at last”!", joy\n'
        "1, Ann, Oh.,\n2 , Ben , Too late. , anger \n"
    ),
}


@pytest.mark.parametrize("content", TABLES.values(), ids=TABLES)
def test_tables(tmp_path: Path, content: str | bytes) -> None:
    assert read(tmp_path, content) == EXPECTED


def test_meld_s_columns_and_the_order_they_give(tmp_path: Path) -> None:
    header = "Sr No.,Utterance,Speaker,Emotion,Sentiment,Dialogue_ID,Utterance_ID"
    rows = [
        (1, "Oh.", "Ann", "", "neutral", 0, 10),
        (2, ANN.text, "Ann", "joy", "positive", 0, 9),
        (3, BEN.text, "Ben", "anger", "", 1, 0),
    ]
    assert read(tmp_path, table(header, rows)) == [
        Dialogue("0", (ANN, LATER)),
        Dialogue("1", (BEN,)),
    ]
    with pytest.raises(
        UserError,
        match=r"line 5: dialogue '0' has a second row with 9 in column 'Utterance_ID' .* line 3\)",
    ):
        read(tmp_path, table(header, [*rows, (4, "Hm.", "Ann", "joy", "", 0, 9)]))


def test_a_number_may_stand_for_several_rows_one_after_the_other(tmp_path: Path) -> None:
    assert (
        read(
            tmp_path,
            table(
                HEADER + ",turn",
                [(*row, number) for row, number in zip(ROWS, (1, 1, 1), strict=True)],
            ),
        )
        == EXPECTED
    )


def test_a_column_that_does_not_number_rows_leaves_their_order(tmp_path: Path) -> None:
    assert (
        read(
            tmp_path,
            table(HEADER + ",utterance_id", [(*row, f"u{5 - n}") for n, row in enumerate(ROWS)]),
        )
        == EXPECTED
    )


@pytest.mark.parametrize(
    ("names", "numbers"),
    [
        ("turn", ("3.0", "1.0", "2.0")),
        ("utterance_id", ("1", "-1", "0")),
        ("utterance", ("2", "0", "1")),
        ("turn,utterance_id", ("1,3", "1,1", "1,2")),
        ("at_turn,turn_id", ("x,1700000000003", "y,1700000000001", "z,1700000000002")),
    ],
)
def test_rows_are_brought_into_the_order_of_their_numbers(tmp_path, names, numbers) -> None:
    rows = [("1", "Ann", text, "joy") for text in ("third", "first", "second")]
    text = f"{HEADER},{names}\n" + "".join(
        f"{','.join(row)},{number}\n" for row, number in zip(rows, numbers, strict=True)
    )
    (found,) = read(tmp_path, text)
    assert [u.text for u in found.utterances] == ["first", "second", "third"]


@pytest.mark.parametrize(
    ("names", "numbers", "message"),
    [
        ("turn", ("2", "", "1"), r"line 3: column 'turn' numbers other rows of dialogue '1'.* ''"),
        ("turn,utterance_id", ("1,3", "2,2", "3,1"), "'utterance_id' and 'turn' put the rows"),
    ],
)
def test_an_order_that_is_not_known_is_refused(tmp_path, names, numbers, message) -> None:
    rows = "".join(f"1,Ann,hi,joy,{number}\n" for number in numbers)
    with pytest.raises(UserError, match=message):
        read(tmp_path, f"{HEADER},{names}\n{rows}")


CALL = "Agent: Hello, how are you?\nCustomer: My order is late!"
NO_CALLS = {
    "a text that names somebody": ("transcript", "Send it to\nName: Ann Lee\nLeeds\nEngland"),
    "lines": ("transcript", "I waited.\nAnd waited."),
    "an address in another column": ("text", "Name: Ann Lee\nTown: Leeds"),
}


@pytest.mark.parametrize(
    "text", [CALL, CALL.replace("Agent", "[00:01] Agent"), f"{CALL}\nIt is gone.\n"]
)
def test_a_whole_call_in_a_cell_is_no_utterance(tmp_path: Path, text: str) -> None:
    header = HEADER.replace("text", "Transcript")
    rows = [("1", "Ann", "Hi.", "joy"), ("2", "", text, "joy")]
    with pytest.raises(
        UserError,
        match=r"line 3: dialogue '2': the cell of column 'Transcript' holds 2 lines 'Name: text',"
        r' which are several utterances: give each utterance a row, or .* \{"id": "1", "transcript"',
    ):
        read(tmp_path, table(header, rows))


@pytest.mark.parametrize(("column", "text"), NO_CALLS.values(), ids=NO_CALLS)
def test_a_text_of_several_lines_is_one_utterance(tmp_path, column, text) -> None:
    (found,) = read(tmp_path, table(HEADER.replace("text", column), [("1", "Ann", text, "joy")]))
    assert found.utterances == (Utterance("Ann", text, "joy"),)


NUMBERED = {"of each row": "012", "a turn of several rows": "112"}


@pytest.mark.parametrize("numbers", NUMBERED.values(), ids=NUMBERED)
def test_rows_come_back_where_a_column_numbers_them(tmp_path, caplog, numbers) -> None:
    turns = [("1", "a"), ("1", "b"), ("2", "c"), ("1", "d")]
    rows = [
        (identity, "Ann", text, "joy", number)
        for (identity, text), number in zip(turns, (*numbers[:2], 0, numbers[2]), strict=True)
    ]
    found = read(tmp_path, table(f"{HEADER},turn", rows))
    assert [[u.text for u in each.utterances] for each in found] == [["a", "b", "d"], ["c"]]
    assert "come back" not in caplog.text


@pytest.mark.parametrize(
    ("more", "values"),
    [
        ("mood", "xxxxx"),
        ("utterance_id", ("u1", "u2", "u3", "u4", "u5")),
        ("turn", "10012"),  # the number that was last is there again
        ("time", ("noon", "", "", "", "")),
    ],
)
def test_dialogues_that_come_back_are_no_others_of_their_id(tmp_path, more, values) -> None:
    """Two files whose calls are numbered from 1 are no longer calls when they are joined."""
    rows = [
        (identity, "Ann", f"text {n}", "joy", value)
        for n, (identity, value) in enumerate(zip("12312", values, strict=True))
    ]
    rows[0], rows[3] = (*rows[0][:4], rows[3][4]), rows[3]
    with pytest.raises(
        UserError,
        match=r"file\.txt line 5: dialogue '1' comes back after others \(as \d of 3 dialogues do\), and"
        r" no column numbers its rows\. Where files were joined .* an id of its own; where they are"
        r" one conversation, sort the file by 'dialogue', keeping the order",
    ):
        read(tmp_path, table(f"{HEADER},{more}", rows))


def test_a_log_of_several_chats_is_reported(tmp_path, caplog) -> None:
    """Its times say in which order each is; whether two have one id, nobody knows."""
    rows = [
        (who, "Ann", f"text {n}", "joy", f"2024-05-12 10:4{n}") for n, who in enumerate("12313")
    ]
    found = read(tmp_path, table(f"{HEADER},time", rows))
    assert [len(each.utterances) for each in found] == [2, 1, 2]
    assert "the rows of 2 dialogues come back after others' (" in caplog.text
    assert "line 5 the first), and were put together. Where files were joined" in caplog.text


# Of three rows of one speaker: their numbers, their texts, and the row that says one anew.
REPEATED = [
    ("worker", ("r1", "r2", "r3"), ("a", "a", "a"), 3),
    ("utterance_id", "001", ("a", "a", "b"), 3),
    ("utterance_id", "010", ("a", "b", "a"), 4),
    ("turn", "112", ("a", "a", "b"), 3),
    ("turn,utterance_no", ("1,0", "1,0", "1,1"), ("a", "a", "b"), 3),
    ("utterance_id", ("u1", "u1", "u2"), ("a", "a", "b"), 3),
    ("utterance_id", ("u1", "u2", "u1"), ("a", "b", "a"), 4),
    ("turn,utterance_id", ("1,u1", "1,u1", "1,u2"), ("a", "a", "b"), 3),
    ("rater_id", ("r1", "r2", "r3"), ("a", "a", "a"), 3),
    ("rater_id,turn", ("r1,0", "r2,1", "r2,2", "r3,3"), ("a", "a", "b", "b"), 3),
]


@pytest.mark.parametrize(("name", "numbers", "texts", "line"), REPEATED)
def test_a_row_an_annotator_is_no_utterance(tmp_path, name, numbers, texts, line) -> None:
    rows = [f"1,Ann,{text},joy,{number}\n" for text, number in zip(texts, numbers, strict=True)]
    with pytest.raises(
        UserError,
        match=rf"file\.txt line {line}: (number \d in column '\w+', |'u1' in column '\w+', )?the speaker"
        r" and the text are those of a row before \(.*file\.txt line 2\)( with another '(rater_id|worker)',"
        r" as all .*)?, so the two are one utterance, .* each annotator",
    ):
        read(tmp_path, f"{HEADER},{name}\n{''.join(rows)}")


@pytest.mark.parametrize(
    ("rows", "found"),
    [
        (("x,Yes", "x,No", "y,Yes"), True),  # all that y has
        (("x,Yes", "x,No", "y,Yes", "y,Well"), False),  # shared by two
        (
            ("x,That is so very good of you!", "x,No", "y,That is so very good of you!", "y,Well"),
            True,
        ),
        (("x,Yes", "x,No", "x,Yes"), False),
        (("x,Yes", "x,No", ",Yes"), False),
    ],
)
def test_an_utterance_that_two_annotated_is_reported(tmp_path, rows, found, caplog) -> None:
    lines = [f"{d},Ann,{row.split(',')[1]},joy,{row.split(',')[0]}\n" for d in "12" for row in rows]
    content = f"{HEADER},worker\n{''.join(lines)}"
    read(tmp_path, content)
    assert (
        "2 dialogues have an utterance twice with two values of 'worker' (first" in caplog.text
    ) == found
    assert len(caplog.messages) == found
    said = [u.split(",") for u in rows]
    for given in (
        pd.read_csv(io.StringIO(content)),
        [{"id": "1", "utterances": [{"speaker": "A", "text": t, "worker": w} for w, t in said]}],
    ):
        caplog.clear()
        read_dialogues(given)
        assert ("an utterance twice with two values of 'worker'" in caplog.text) == found


@pytest.mark.parametrize(
    ("name", "numbers"),
    [
        ("turn", "1111"),
        ("turn,utterance_id", ("1,1", "1,2", "1,3", "1,4")),
        ("mood", "1111"),
        ("turn,utterance_id", ("1,u1", "1,u2", "2,u3", "2,u4")),
        ("utterance_id", ("Ann", "Ann", "Ann", "Ann")),
        ("turn", ("Ann's", "Ann's", "Ann's", "Ben's")),
        ("utterance", ("a!", "a!", "b", "c")),
        ("annotator", ("r1", "r2", "r1", "r2")),  # they shared it
        ("annotator", ("r1", "r2", "", "")),
    ],
)
def test_a_turn_may_hold_a_text_twice(tmp_path, name, numbers) -> None:
    rows = [f"1,Ann,{text},joy,{number}\n" for text, number in zip("aabc", numbers, strict=True)]
    (found,) = read(tmp_path, f"{HEADER},{name}\n{''.join(rows)}")
    assert "".join(u.text for u in found.utterances) == "aabc"


@pytest.mark.parametrize(
    ("numbers", "line"),
    [
        (("1.1", "1.2", "2.1"), 0),
        (("1.9", "1.10", "1.11"), 0),  # parts of a turn
        (("1", "1.5", "2"), 0),
        (("1.2", "1.1", "2.1"), 3),
        (("1.1", "2.1", "1.2"), 4),
        (("2.0", "1.0", "3.0"), 0),  # whole ones: rows are sorted by them
    ],
)
def test_numbers_that_are_not_whole_must_not_go_back(tmp_path, numbers, line) -> None:
    rows = [f"1,Ann,{text},joy,{n}\n" for text, n in zip("abc", numbers, strict=True)]
    content = f"{HEADER},turn\n{''.join(rows)}"
    if not line:
        assert len(read(tmp_path, content)[0].utterances) == 3
        return
    with pytest.raises(
        UserError, match=rf"line {line}: column 'turn' is \d\.\d after \d\.\d; such"
    ):
        read(tmp_path, content)


def test_columns_of_one_name_all_come_along(tmp_path) -> None:
    (found,) = read(tmp_path, f"{HEADER},x,x\n1,Ann,hi,joy,a,b\n")
    assert found.utterances[0].other == {"x": "a", "x 6": "b"}


@pytest.mark.parametrize("field", ["data", "rows", "tasks"])
def test_a_dialogue_of_one_line_is_not_what_another_field_holds(tmp_path, field) -> None:
    utterance = {"speaker": "Ann", "text": "hi", "emotion": "joy"}
    others = ([{"id": "k", "utterances": [{**utterance, "text": "other"}]}], [])
    for other in others:
        (found,) = read(tmp_path, json.dumps({"id": "7", "utterances": [utterance], field: other}))
        assert (found.id, [u.text for u in found.utterances]) == ("7", ["hi"])
    assert read(tmp_path, '{"data": []}') == []


def test_a_dialogue_with_utterances_and_a_transcript_is_refused(tmp_path) -> None:
    both = {"id": "2", "transcript": "A: all", "utterances": [{"speaker": "A", "text": "all"}]}
    with pytest.raises(UserError, match="line 2: dialogue '2' has both 'utterances' and"):
        read(tmp_path, lines([{"id": "1", "utterances": both["utterances"]}, both]))


NESTED = [
    {"id": 1, "utterances": [item(ANN), item(LATER) | {"emotion": ""}], "topic": "trains"},
    {"id": "2", "utterances": [item(BEN) | {"sentiment": "negative"}]},
]
FLAT = [
    {"dialogue": int(row[0]), "speaker": row[1], "text": row[2], "emotion": row[3], "at": 5}
    for row in ROWS
]
JSON = {
    "lines": lines(NESTED),
    "one array": NESTED,
    "an indented array": json.dumps(NESTED, indent=2),
    "in an object": {"dialogues": NESTED, "version": 1},
    "conversations in an object": {"conversations": NESTED},
    "by id": {str(d["id"]): d["utterances"] for d in NESTED},
    "an utterance a line": lines(FLAT),
    "an array of utterances": FLAT,
    "EmotionLines": [
        [item(u, text="utterance") | {"annotation": "4000010"} for u in (ANN, LATER)],
        [item(BEN, text="utterance")],
    ],
    "conversations": [
        {"conversation_ID": 1, "conversation": [item(ANN), item(LATER)]},
        {"conversation_ID": 2, "conversation": [item(BEN)]},
    ],
    "pairs": [
        {"id": "1", "utterances": [item(ANN), ["Ann", "Oh."]]},
        {"id": "2", "utterances": [item(BEN)]},
    ],
    "parallel lists": lines(
        [
            {
                "id": 1,
                "utterances": [ANN.text, "Oh."],
                "speakers": ["Ann", "Ann"],
                "emotions": ["joy", None],
            },
            {"id": 2, "utterances": [BEN.text], "speakers": ["Ben"], "emotions": ["anger"]},
        ]
    ),
    "ConvoKit": lines(
        [
            {
                "id": "b",
                "conversation_id": "1",
                "speaker": "Ann",
                "text": "Oh.",
                "reply_to": "a",
                "timestamp": None,
                "meta": {},
            },
            {
                "id": "c",
                "conversation_id": "2",
                "speaker": "Ben",
                "text": BEN.text,
                "reply_to": None,
                "meta": {"label": "anger"},
            },
            {
                "id": "a",
                "root": "1",
                "user": "Ann",
                "text": ANN.text,
                "reply-to": None,
                "meta": {"label": "joy"},
            },
        ]
    ),
    "doccano": lines(
        [
            {
                "id": n,
                "text": r[2],
                "label": [r[3]] if r[3] else [],
                "dialogue": r[0],
                "speaker": r[1],
            }
            for n, r in enumerate(ROWS)
        ]
    ),
    "doccano, old": lines(
        [
            {
                "id": n,
                "text": r[2],
                "labels": [r[3]] if r[3] else [],
                "meta": {"dialogue": r[0], "speaker": r[1]},
            }
            for n, r in enumerate(ROWS)
        ]
    ),
    "doccano's spans": lines(
        [
            {
                "id": 1,
                "text": f"Ann: {ANN.text}\r\nAnn: Oh.\n",
                "label": [[5, 14, "joy"], [0, 3, "joy"]],
            },
            {"id": 2, "text": "Ben: Too late.", "label": [[5, 14, "anger"]]},
        ]
    ),
    "utterances that are named transcripts": [
        {"dialogue": r[0], "speaker": r[1], "transcript": r[2], "emotion": r[3]} for r in ROWS
    ],
    "doccano's entities": lines(
        [
            {
                "id": 1,
                "text": f"Ann: {ANN.text}\nAnn: Oh.",
                "entities": [{"start_offset": 0, "end_offset": 9, "label": "joy"}],
            },
            {
                "id": 2,
                "text": "Ben: Too late.",
                "entities": [{"start_offset": 0, "end_offset": 3, "label": "anger"}],
            },
        ]
    ),
}


@pytest.mark.parametrize("content", JSON.values(), ids=JSON)
def test_json(tmp_path: Path, content: object) -> None:
    found = read(tmp_path, content)
    assert [(d.id, d.utterances) for d in found] == [(d.id, d.utterances) for d in EXPECTED]


def test_convokit_without_a_chain_of_replies_is_in_order_of_time(tmp_path: Path) -> None:
    row = {"conversation_id": "a", "speaker": "Ann", "meta": {"emotion": "joy"}, "reply_to": "a"}
    content = [
        row | {"id": "c", "text": "3", "timestamp": 30},
        row | {"id": "b", "text": "2", "timestamp": 20.5},
    ]
    content.append(row | {"id": "a", "text": "1", "timestamp": "10", "reply_to": None})
    assert [u.text for u in read(tmp_path, lines(content))[0].utterances] == ["1", "2", "3"]
    for row, minute in zip(content, (42, 41, 40), strict=True):
        row["timestamp"] = f"2024-04-03T10:{minute}"
    assert [u.text for u in read(tmp_path, lines(content))[0].utterances] == ["1", "2", "3"]
    # Where times do not tell either, the file is checked like any other.
    for row, minute in zip(content, (42, 41, 40), strict=True):
        row["timestamp"] = f"04/03/2024 10:{minute}"
    with pytest.raises(UserError, match="dialogue 'a' stands newest first"):
        read(tmp_path, lines(content))
    for wrong in (10**400, None):
        content[0]["timestamp"] = wrong
        assert [u.text for u in read(tmp_path, lines(content))[0].utterances] == ["3", "2", "1"]


def test_convokit_of_odd_fields_is_no_traceback(tmp_path: Path) -> None:
    row = {"conversation_id": "a", "speaker": "Ann", "text": "Oh.", "emotion": "joy"}
    row |= {"reply_to": None, "timestamp": 1}
    found = read(tmp_path, lines([row | {"id": ["x"], "meta": ["joy"]}]))
    assert [u.emotion for u in found[0].utterances] == ["joy"]


def test_spans_are_noticed_wherever_they_are(tmp_path: Path) -> None:
    content = [
        {"id": 1, "text": "Ann: Oh.", "label": []},
        {"id": 2, "text": "Ben: Too late.", "label": [[5, 14, "anger"]]},
    ]
    assert read(tmp_path, content) == [Dialogue("1", (LATER,)), Dialogue("2", (BEN,))]


def choice(label: str, **value: Any) -> dict[str, Any]:
    kind = "paragraphlabels" if value else "choices"
    return {
        "from_name": "feeling",
        "to_name": "text",
        "type": kind,
        "value": {kind: [label], **value},
    }


def task(identity: int, data: dict[str, Any], *annotations: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "id": identity,
        "data": data,
        "annotations": [{"result": list(results)} for results in annotations],
        "predictions": [],
    }


def label_studio() -> list[dict[str, Any]]:
    data = [{"dialogue": r[0], "speaker": r[1], "text": r[2]} for r in ROWS]
    return [
        task(1, data[0], [choice("joy")], [choice("joy")]),
        task(2, data[1]),
        task(3, data[2], [choice("anger")]),
    ]


def test_label_studio_s_utterances(tmp_path: Path) -> None:
    assert read(tmp_path, label_studio()) == EXPECTED
    small = [
        {
            "id": n,
            "dialogue": r[0],
            "speaker": r[1],
            "text": r[2],
            "annotation_id": n,
            "annotator": 1,
            "lead_time": 2.5,
        }
        | ({"emotion": {"choices": [r[3]]} if n else r[3]} if r[3] else {})
        for n, r in enumerate(ROWS)
    ]
    assert read(tmp_path, [*small, small[0] | {"annotation_id": 9, "annotator": 2}]) == EXPECTED
    header = "annotation_id,annotator,id,dialogue,speaker,text,emotion"
    rows = [
        (n, 1, n, r[0], r[1], r[2], '{"choices": ["joy"]}' if n == 0 else r[3])
        for n, r in enumerate(ROWS)
    ]
    assert read(tmp_path, table(header, [*rows, (7, 2, *rows[0][2:])])) == EXPECTED
    with pytest.raises(
        UserError, match=r"line 5: the annotations of task '0' differ \(the first: .* line 2\)"
    ):
        read(tmp_path, table(header, [*rows, (7, 2, *rows[0][2:6], "fear")]))
    with pytest.raises(
        UserError, match=r"item 4: the annotations of task 0 differ \(the first: .* item 1\)"
    ):
        read(tmp_path, [*small, small[0] | {"annotation_id": 9, "emotion": "fear"}])


def test_a_task_that_nobody_annotated_is_not_one_of_no_label(tmp_path: Path) -> None:
    tasks = [
        *label_studio()[:2],
        task(3, {"dialogue": "2", "speaker": "Ben", "text": "Skipped.", "emotion": "joy"}, []),
        task(4, {"dialogue": "2", "speaker": "Ben", "text": "None."}, []),
    ]
    tasks[2]["annotations"][0]["was_cancelled"] = True
    several = LabelForms("multi")
    found = [u for each in read(tmp_path, tasks, forms=several) for u in each.utterances]
    assert [u.emotions for u in found] == [("joy",), None, None, ()]
    assert all(u.emotion is None for u in found)
    turns = [{"author": "Ann", "text": text} for text in ("It works!", "Oh.")]
    given = task(1, {"dialogue": turns}, [choice("joy", start="0", end="0")])
    small = {"id": 1, "dialogue": turns, "annotator": 1, "annotation_id": 5}
    small["label"] = [{"start": "0", "end": "0", "paragraphlabels": ["joy"]}]
    for content in ([given], [small]):
        (dialogue,) = read(tmp_path, content, forms=several)
        assert [u.emotions for u in dialogue.utterances] == [("joy",), None]


def test_empty_lists_of_doccano_are_counted(tmp_path: Path, caplog) -> None:
    rows = [
        {"id": n, "dialogue": "1", "speaker": "Ann", "text": f"Line {n}.", "label": label}
        for n, label in enumerate((["joy"], [], ["joy", "fear"], []))
    ]
    (dialogue,) = read(tmp_path, lines(rows), forms=LabelForms("multi"))
    assert [u.emotions for u in dialogue.utterances] == [("joy",), (), ("joy", "fear"), ()]
    (told,) = caplog.messages
    assert "file.txt: 2 utterances have an empty list of labels, which says: annotated" in told
    caplog.clear()
    named = [{"emotions" if k == "label" else k: v for k, v in row.items()} for row in rows]
    read(tmp_path, lines(named), forms=LabelForms("multi"))
    read(tmp_path, lines(rows[:2]))
    assert not caplog.messages


def test_label_studio_s_paragraphs(tmp_path: Path) -> None:
    turns = [{"author": "Ann", "text": ANN.text}, {"author": "Ann", "text": "Oh."}]
    on = {"start": "0", "end": "0", "startOffset": 0, "endOffset": 5}
    assert read(tmp_path, [task(1, {"dialogue": turns}, [choice("joy", **on)])]) == EXPECTED[:1]
    small = {
        "id": 1,
        "dialogue": turns,
        "label": [{**on, "paragraphlabels": ["joy"]}],
        "annotator": 1,
        "annotation_id": 5,
    }
    assert read(tmp_path, [small]) == EXPECTED[:1]
    with pytest.raises(UserError, match=r"item 1: the label \['joy'\] goes from paragraph 0 to 1"):
        read(tmp_path, [task(1, {"dialogue": turns}, [choice("joy", start=0, end=1)])])


def test_annotators_must_agree_unless_one_is_the_truth(tmp_path: Path) -> None:
    tasks = label_studio()
    tasks[0]["annotations"].append({"result": [choice("fear")]})
    with pytest.raises(
        UserError, match=r"item 1: the 3 annotations of task 1 differ\. Decide between them"
    ):
        read(tmp_path, tasks)
    tasks[0]["annotations"][2]["was_cancelled"] = True
    assert read(tmp_path, tasks) == EXPECTED
    tasks[0]["annotations"] = [
        {"result": [choice("fear")]},
        {"result": [choice("joy")], "ground_truth": True},
    ]
    assert read(tmp_path, tasks) == EXPECTED


def test_a_label_of_another_control_is_no_emotion(tmp_path: Path) -> None:
    tasks = label_studio()
    tasks[1]["annotations"] = [{"result": [{**choice("rude"), "from_name": "tone"}]}]
    with pytest.raises(UserError, match=r"item 2: several controls give labels: 'feeling', 'tone'"):
        read(tmp_path, tasks)
    with_one = label_studio()
    with_one[1]["annotations"] = [{"result": []}]
    named = {"emotion": "feeling"}
    assert read(tmp_path, tasks, columns=named) == read(tmp_path, with_one, columns=named)
    # Nor do annotators differ who agree on it.
    tasks[0]["annotations"][0]["result"].append({**choice("rude"), "from_name": "tone"})
    assert read(tmp_path, tasks, columns=named) == read(tmp_path, with_one, columns=named)


@pytest.mark.parametrize(
    ("annotations", "message"),
    [
        (["joy"], "expected annotations that are objects"),
        ([{"result": ["joy"]}], "expected results that are objects with a 'value'"),
        ([{"result": [{"value": "joy"}]}], "expected results that are objects with a 'value'"),
    ],
)
def test_annotations_of_another_form_are_refused(
    tmp_path: Path, annotations: list[Any], message: str
) -> None:
    tasks = label_studio()
    tasks[1]["annotations"] = annotations
    with pytest.raises(UserError, match=f"item 2: {message}"):
        read(tmp_path, tasks)


def test_one_of_several_controls_is_named(tmp_path: Path) -> None:
    tasks = label_studio()
    tasks[2]["annotations"][0]["result"].append({**choice("rude"), "from_name": "tone"})
    with pytest.raises(UserError, match=r"item 3: several controls give labels: 'feeling', 'tone'"):
        read(tmp_path, tasks)
    assert read(tmp_path, tasks, columns={"emotion": "feeling"}) == EXPECTED


def test_empathetic_dialogues(tmp_path: Path) -> None:
    content = (
        "conv_id,utterance_idx,context,prompt,speaker_idx,utterance,selfeval,tags\n"
        'hit:0_conv:1,2,joyful,I won.,9,"Wow"_comma_ how much?,5|5|5_5|5|5,\n'
        "hit:0_conv:1,1,joyful,I won.,3,I won_comma_ finally!,5|5|5_5|5|5,,a|b\n"
    )
    expected = [
        Dialogue(
            "hit:0_conv:1",
            (
                Utterance("Speaker", "I won, finally!", "joyful"),
                Utterance("Listener", '"Wow", how much?'),
            ),
        )
    ]
    assert read(tmp_path, content) == expected
    with pytest.raises(UserError, match=r"EmpatheticDialogues, .* leave out dialogue_column"):
        read(tmp_path, content, columns={"dialogue": "none"})

    names, *rows = (line.split(",") for line in content.splitlines())
    objects: list[dict[str, Any]] = [dict(zip(names, row, strict=False)) for row in rows]
    for row in objects:  # as the hub has them
        row["utterance_idx"], row["speaker_idx"] = (
            int(row["utterance_idx"]),
            int(row["speaker_idx"]),
        )
    assert read(tmp_path, objects) == read(tmp_path, lines(objects)) == expected
    with pytest.raises(UserError, match=r"EmpatheticDialogues, .* leave out text_column"):
        read(tmp_path, objects, columns={"text": "prompt"})
    objects[1]["speaker_idx"] = None
    with pytest.raises(
        UserError, match=r"line 2: speaker_idx must be a text or a number, got None"
    ):
        read(tmp_path, lines(objects))


def test_empathetic_dialogues_that_another_program_wrote_are_refused(tmp_path: Path) -> None:
    """With commas and quotes of CSV, at which the release's rows must not be divided."""
    head = "conv_id,utterance_idx,context,prompt,speaker_idx,utterance,selfeval,tags\n"
    for row in (
        'hit:0,1,sad,"I went, with my friend",1,"I remember, it was great",5|5|5,\n',
        'hit:1,1,afraid,It was dark,1,"I was alone, and it was dark",5|5|5,\n',
    ):
        with pytest.raises(UserError, match=r"line 2: 9 cells|line 2: 10 cells"):
            read(tmp_path, head + row)


DAILY = [Dialogue("1", (Utterance("Alex", "Late ?", "neutral"), Utterance("Sam", "No !", "anger")))]


def test_dailydialog_as_release_json_and_parquet(tmp_path: Path) -> None:
    row = {"dialog": ["Late ?", "No !"], "act": [2, 1], "emotion": [0, 1]}
    objects = {
        "fold": "train",
        "dialogue": [{"text": "Late ?", "act": "question", "emotion": "no_emotion"}],
    }
    objects["dialogue"].append({"text": "No !", "act": "inform", "emotion": "anger"})  # type: ignore[attr-defined]
    assert read(tmp_path, [row]) == read(tmp_path, lines([objects])) == DAILY
    (tmp_path / "dialogues_emotion_train.txt").write_text("0 1\n")
    assert read(tmp_path, "Late ? __eou__ No ! __eou__\n", "dialogues_train.txt") == DAILY
    (tmp_path / "dialogues_emotion_train.txt").write_text("0 1\n\n")
    assert read(tmp_path, "Late ? __eou__ No ! __eou__\n\n", "dialogues_train.txt") == DAILY
    with pytest.raises(UserError, match=r"is DailyDialog's text, .* must lie beside it"):
        read(tmp_path, "Late ? __eou__ No ! __eou__\n", "dialogues_test.txt")
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    parquet.write_table(pyarrow.Table.from_pylist([row]), tmp_path / "train.parquet")
    assert [found.dialogue for found in read_file(tmp_path / "train.parquet")] == DAILY


def test_numbers_without_names_are_not_guessed(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"line 1: nothing says who speaks"):
        read(tmp_path, lines([{"utterances": ["Late ?"], "emotions": [1]}]))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            [item(ANN)],
            (
                r"has no field 'dialogue'; its fields are 'speaker', 'text', 'emotion'\."
                r" .*dialogue_column=NAME"
            ),
        ),
        (
            lines([{"id": 1, "text": "Hm.", "label": ["joy"]}]),
            (
                r"no field 'dialogue', 'speaker'; its fields are 'id', 'text', 'label'\. Each"
                r" utterance must name its dialogue"
            ),
        ),
        (
            lines([FLAT[0] | {"emotion": ["joy", "fear"]}]),
            r"line 1: dialogue '1' has 2 labels, \['joy', 'fear'\]",
        ),
        (
            [{"id": 1, "text": "Ann: a\nBen: b", "label": [[0, 9, "joy"]]}],
            r"the span .* labelled 'joy' stands in 2 lines",
        ),
        (
            [{"id": 1, "text": "Ann: a", "label": [[0, 2, "joy"], [4, 6, "fear"]]}],
            r"has the labels 'joy' and 'fear'",
        ),
        (
            [{"id": 1, "turns": [], "messages": []}],
            r"several lists of utterances, 'turns', 'messages'",
        ),
        (
            [NESTED, NESTED[0]],
            r"item 1: dialogue '1' utterance 0: an utterance has no field 'text'",
        ),
        ([NESTED[0], [item(ANN)]], r"item 2: a dialogue must be a JSON object"),
        (
            [{"id": 1, "utterances": [{"text": "Hm.", "author": "Ann", "name": "B"}]}],
            r"more than one speaker: 'author', 'name'",
        ),
        ('{\n"id": 1,\n"utterances": [}\n', r"line 3: not valid JSON at column 16"),
        (
            '{\n"id": 1}\n{\n"id": 2}\n',
            r"line 3: .*Extra data; put each value on one line, or all into one array",
        ),
        (
            {
                "dialogue": {"0": 1},
                "speaker": {"0": "Ann"},
                "text": {"0": "Hm."},
                "emotion": {"0": ""},
            },
            r"is one table by its columns or",
        ),
        (
            "dialogue,Dialogue,speaker,text,emotion\n",
            r"more than one column for the dialogue: 'dialogue', 'Dialogue'",
        ),
        (b"PK\x03\x04", r"is a zip archive or an Excel workbook"),
        (
            'dialogue\tspeaker\ttext\temotion\n1\tAnn\t"So\tjoy\n1\tAnn\tno"\tjoy\n',
            r"line 2: a cell begins with a quote",
        ),
    ],
)
def test_what_is_not_certain_is_refused(tmp_path: Path, content: object, message: str) -> None:
    with pytest.raises(UserError, match=message):
        read(tmp_path, content)


@pytest.mark.parametrize("orient", ["columns", "index", "split", "records"])
def test_tables_as_pandas_writes_them(tmp_path: Path, orient: str) -> None:
    """By rows they are read; else the error names the way."""
    frame = pd.DataFrame({"dialogue": [1, 1], "speaker": "Ann", "text": ["hi", "so"]})
    frame["emotion"] = ["joy", None]
    frame.to_json(tmp_path / "frame.json", orient=orient)
    if orient == "records":
        (found,) = read_file(tmp_path / "frame.json")
        assert [u.emotion for u in found.dialogue.utterances] == ["joy", None]
        return
    with pytest.raises(UserError, match=r'frame\.json is one table .*orient="records"'):
        read_file(tmp_path / "frame.json")


def test_named_columns(tmp_path: Path) -> None:
    content = table("dialogue,speaker,text,mood")
    assert read(tmp_path, content, columns={"emotion": "mood", "text": ""}) == EXPECTED
    assert read(tmp_path, content, annotated=False)[1].utterances == (
        Utterance("Ben", "Too late."),
    )
    renamed = [
        {"id": d["id"], "utterances": [{**u, "mood": u.get("emotion")} for u in d["utterances"]]}
        for d in NESTED
    ]
    assert read(tmp_path, renamed, columns={"emotion": "mood"}) == EXPECTED


def test_home_folder_capital_suffix_and_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    read(tmp_path, lines(NESTED), "A.JSONL")
    assert [found.dialogue for found in read_file("~/A.JSONL")] == EXPECTED
    with pytest.raises(UserError, match=r"is a folder; name one file in it\. It holds A\.JSONL\."):
        read_file("~")


def test_a_label_beside_the_emotion_in_json_must_be_distinguished(tmp_path: Path) -> None:
    """An answer, and what somebody wrote beside it."""
    utterance = {"speaker": "Ann", "text": "Hi.", "emotion": "joy", "label": "fear"}
    with pytest.raises(UserError, match="more than one emotion: 'emotion', 'label'; keep one"):
        read(tmp_path, [{"id": "1", "utterances": [utterance]}])
    row = {"dialogue": "1", **utterance}
    with pytest.raises(UserError, match="more than one field for the emotion: 'emotion', 'label'"):
        read(tmp_path, [row, row])
    (named,) = read(tmp_path, [row], columns={"emotion": "label"})
    assert [u.emotion for u in named.utterances] == ["fear"]


def test_empty_speakers_are_nobodys_and_counted(tmp_path: Path, caplog) -> None:
    rows = [("1", "", "So.", "joy"), ("1", "Ann", "Oh.", ""), ("2", " ", "Ah.", "")]
    for content in (
        table(HEADER, rows),
        [dict(zip(HEADER.split(","), r, strict=True)) for r in rows],
    ):
        caplog.clear()
        found = read(tmp_path, content)
        assert [u.speaker for d in found for u in d.utterances] == ["Speaker", "Ann", "Speaker"]
        assert "2 utterances name no speaker; they count as one speaker's, 'Speaker'" in caplog.text


@pytest.mark.parametrize("small", [False, True])
def test_columns_of_one_name_are_all_kept(tmp_path, small) -> None:
    """Also where another has the name that the second would get; and in Label Studio's table."""
    first = "annotation_id,annotator" if small else "more,than"
    header = f"{first},dialogue,speaker,text,emotion,note,note 9,note"
    (dialogue,) = read(tmp_path, table(header, [(1, 2, "1", "Ann", "hi", "joy", "a", "b", "c")]))
    other = {name: each for name, each in dialogue.utterances[0].other.items() if "note" in name}
    assert other == {"note": "a", "note 9": "b", "note 9 9": "c"}


def test_labels_that_nobody_asks_for_are_other_fields(tmp_path: Path) -> None:
    """In whatever form: what is answered needs none."""
    odd = {
        "labels": {"a": "joy", "b": None},
        "Emotion": ["joy", "fear"],
        "annotations": [["x"], None],
    }
    row = {"speaker": "Ann", "text": "Hi.", **odd}
    expected = {"labels": odd["labels"], "emotion": odd["Emotion"], "annotations": [["x"], None]}
    for content in (
        [{"id": "1", "utterances": [row]}],
        [{"dialogue": "1", **row}],
        [{"id": 3, "reply_to": None, "conversation_id": "1", **row}],
    ):
        (found,) = read(tmp_path, content, annotated=False)
        (utterance,) = found.utterances
        assert {name: utterance.other[name] for name in expected} == expected
        assert utterance.without_labels() == utterance
        with pytest.raises(UserError):
            read(tmp_path, content)
    given = [[{"from_name": "mood", "value": {"choices": [each]}}] for each in ("joy", "fear")]
    task = {"id": 1, "data": {**row, "dialogue": "1"}}
    task["annotations"] = [{"result": each} for each in given]
    (found,) = read(tmp_path, [task], annotated=False)
    assert [u.text for u in found.utterances] == ["Hi."]
    with pytest.raises(UserError, match="annotations of task 1 differ"):
        read(tmp_path, [task])
