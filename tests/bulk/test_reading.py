"""From lines to dialogues, one at a time: all that may stand in a file, and a clear word where it
cannot be read.
"""

import csv as csv_module
import gzip
import io
import json
import re

import numpy as np
import pytest

from eacl_jax.bulk import lines as bulk_lines
from eacl_jax.bulk import seen as bulk_seen
from eacl_jax.bulk.reading import Shard, Wanted, read_jsonl
from eacl_jax.bulk.seen import Seen
from eacl_jax.bulk.tables import Table
from eacl_jax.bulk.transcripts import Findings, read_txt
from eacl_jax.corpora.beside import with_given_features
from eacl_jax.corpora.files import read_file
from eacl_jax.corpora.transcripts import NOBODY
from eacl_jax.data.inputs import read_transcript
from eacl_jax.dialogue import Dialogue, Utterance
from eacl_jax.errors import UserError
from eacl_jax.features.given import GivenFeatures
from eacl_jax.features.modality import Modality
from eacl_jax.recognizer.prediction import Prediction
from tests.stubs.bulk import items, lines_of

ODD = [
    "🙂🏽",
    "שלום עולם",
    "مرحبا",
    "tab\tin it",
    'quote " and , comma',
    "line\u2028separator",
    "a" * 300_000,
    "carriage\rreturn",
    "",
]


def read(kind, content, *, shard="1/1", resumed=None, size=100_000, **columns):
    """The items of an input."""
    lines = lines_of(content, resumed=resumed)
    return list(items(kind, lines, shard=shard, size=size, **columns))


VOICE = {"voice": Modality(2, 1, (0.0, 0.0), (1.0, 1.0), ("pitch", "rate"))}


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"voice.rate": 2, "voice.pitch": "1", "note": "x"}, [1, 2]),
        ({"voice.rate": None, "voice.pitch": 1}, [1, None]),
        ({"voice.rate": None, "voice.pitch": None}, None),
        ({"note": "x"}, None),
        ({"voice.pitch": 1}, "utterance 0 has columns voice.pitch, but no voice.rate"),
        ({"voice.pitch": 1, "voice.rate": True}, "column 'voice.rate': True is no number"),
        (
            {"voice.pitch": 1, "voice.rate": 2, "features": {"voice": [1, 2]}},
            "has features 'voice' and fields voice.pitch, ...: give one of the two",
        ),
    ],
)
def test_features_in_fields_of_json_lines(fields, expected):
    record = {"id": "a", "utterances": [{"speaker": "Ann", "text": "hi", **fields}]}
    lines = lines_of(json.dumps(record))
    (item,) = read_jsonl(lines, Wanted(lines, Shard(), size=9, most_past=9), VOICE)
    if isinstance(expected, str):
        assert item.dialogue is None
        assert item.problem.startswith("chats line 1: dialogue 'a' utterance 0")
        assert expected in item.problem
        return
    (utterance,) = item.dialogue.to_json()["utterances"]
    assert utterance.get("features") == (expected and {"voice": expected})


def as_jsonl(dialogues, ends="\n"):
    return "".join(json.dumps(d.to_json(), ensure_ascii=False) + ends for d in dialogues)


def as_csv(dialogues, ends="\n"):
    text = io.StringIO(newline="")
    writer = csv_module.writer(text, lineterminator=ends, quoting=csv_module.QUOTE_ALL)
    writer.writerow(["dialogue", "speaker", "note", "text"])
    writer.writerows([d.id, u.speaker, "x", u.text] for d in dialogues for u in d.utterances)
    return text.getvalue()


def as_txt(dialogues, ends="\n"):
    return ends.join(
        "".join(f"{u.speaker}: {u.text}{ends}" for u in d.utterances) for d in dialogues
    )


WRITERS = {"jsonl": as_jsonl, "csv": as_csv, "txt": as_txt}


def dialogues(count, texts=None):
    texts = texts or [f"text {n}" for n in range(7)]
    return [
        Dialogue(
            str(n + 1),
            tuple(
                Utterance("Ann" if i % 2 else "Ben", texts[(n + i) % len(texts)])
                for i in range(n % 3 + 1)
            ),
        )
        for n in range(count)
    ]


@pytest.mark.parametrize("kind", WRITERS)
@pytest.mark.parametrize("ends", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_formats_say_the_same(kind, ends, mark):
    expected = dialogues(11)
    content = WRITERS[kind](expected, ends)
    for text in (mark + content, mark + content.rstrip("\r\n"), mark + content + 3 * ends):
        assert [item.dialogue for item in read(kind, text)] == expected


@pytest.mark.parametrize("kind", ["jsonl", "csv"])
def test_odd_texts(kind):
    expected = dialogues(len(ODD), ODD)
    assert [item.dialogue for item in read(kind, WRITERS[kind](expected))] == expected


def test_text_files_as_the_library_reads_texts():
    text = (
        "Ann: I got it!\nno name here\n\tBen :  The flat? 🙂 \nhttp://example.org is one\n14:30"
        " works"
    )
    (item,) = read("txt", f"\n\n{text}\n\n")
    assert item.dialogue.utterances == read_transcript(text).utterances
    assert item.dialogue.utterances[1].speaker == NOBODY
    assert (item.line, item.dialogue.id) == (3, "1")


def test_transcript_in_a_line_of_json():
    (item,) = read("jsonl", json.dumps({"id": "a", "transcript": "Ann: I got it!\nBen: What?"}))
    assert item.dialogue == Dialogue(
        "a", (Utterance("Ann", "I got it!"), Utterance("Ben", "What?"))
    )


@pytest.mark.parametrize("kind", WRITERS)
@pytest.mark.parametrize("count", [1, 2, 3, 50])
def test_shards_together_are_exactly_all(kind, count):
    expected = dialogues(17)
    content = WRITERS[kind](expected)
    shards = [
        [i.dialogue for i in read(kind, content, shard=f"{n}/{count}")] for n in range(1, count + 1)
    ]
    assert [len(shard) for shard in shards] == [len(range(n, 17, count)) for n in range(count)]
    assert sorted((d for shard in shards for d in shard), key=lambda d: int(d.id)) == expected


@pytest.mark.parametrize(
    "text", ["0/2", "3/2", "1", "1/0", "a/b", "1/2/3", "-1/2", "1/99999999999"]
)
def test_shard_that_is_none(text):
    with pytest.raises(UserError, match="shard must be I/N with I from 1 to N, as 2/8"):
        Shard.parse(text)


def test_json_of_other_shards_is_not_looked_into():
    content = as_jsonl(dialogues(1)) + "{\n" + as_jsonl(dialogues(2)[1:])
    assert not any(item.problem for item in read("jsonl", content, shard="1/2"))
    assert read("jsonl", content, shard="2/2")[0].problem


@pytest.mark.parametrize("kind", WRITERS)
@pytest.mark.parametrize("shard", ["1/1", "2/3"])
def test_reading_goes_on_from_each_position(kind, shard):
    content = WRITERS[kind](dialogues(12))
    whole = read(kind, content, shard=shard)
    for done, item in enumerate(whole, 1):
        assert read(kind, content, shard=shard, resumed=item.end) == whole[done:]
        changed = content[: item.end.offset - 3] + "X" + content[item.end.offset - 2 :]
        with pytest.raises(UserError, match="chats is not what the unfinished run has read"):
            read(kind, changed, shard=shard, resumed=item.end)


FORMS = r"give one dialogue a line, \{"
GOOD = '{"id": "1", "utterances": [{"speaker": "Ann", "text": "hi"}]}'


def test_an_id_of_thousands_of_digits_that_comes_again_is_reported():
    line = GOOD.replace('"1"', f'"{"1" * 5000}"', 1).encode()
    _, again = read("jsonl", b"%b\n%b" % (line, line))
    assert again.problem.startswith("chats line 2: the id '111")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", f"not valid JSON at column 2.*{FORMS}"),
        ('{"id": "x",', f"this may be one JSON value over several lines: {FORMS}"),
        ('{"id": 1.5}', "field 'id' must be a string or a whole number, got 1.5"),
        ("[]", "a dialogue must be an object, got list"),
        ("3", "a dialogue must be an object, got int"),
        ('"text"', "a dialogue must be an object, got str"),
        ('{"id": "x"}', "a dialogue has no field 'utterances' and no 'transcript'"),
        (
            '{"id": "1", "utterances": [{"text": "hi"}]}',
            "the id '1' was there before; give each dialogue an id of its own",
        ),
        ('{"id": "x", "utterances": []}', "dialogue 'x' has no utterances; remove it"),
        ('{"id": "x", "transcript": " \\n"}', "dialogue 'x' has no utterances; remove it"),
        ('{"id": "x", "transcript": 3}', "field 'transcript' must be a string, got 3"),
        ('{"id": "x", "utterances": [], "transcript": ""}', "both 'utterances' and 'transcript'"),
        ('{"id": "x", "utterances": {}}', "must have a list of 'utterances', got dict"),
        ('{"id": "x", "utterances": [3]}', "utterance 0 must be .*, got int"),
        (
            '{"id": "x", "utterances": [{"speaker": "Ann"}]}',
            "utterance 0: an utterance has no field 'text'",
        ),
        (
            '{"id": "x", "utterances": [{"speaker": "Ann", "text": 1}]}',
            "utterance 0: field 'text' must be a string, got 1",
        ),
        (
            '{"id": "x", "utterances": [{"Speaker": "Ann", "text": ""}]}',
            "the field 'Speaker' must be named 'speaker'",
        ),
        (
            '{"id": "x", "utterances": [{"speaker": " ", "text": "a"}]}',
            "utterance 0: field 'speaker' is empty",
        ),
        (
            '{"id": "x", "utterances": [{"speaker": "A", "text": "a\\u0000"}]}',
            "field 'text' holds a null character at position 1",
        ),
        (
            '{"id": "x", "utterances": [{"speaker": "A", "text": "\\ud83d"}]}',
            "field 'text' holds half of a surrogate pair",
        ),
        (
            '{"id": "\\ud83d", "utterances": [{"speaker": "A", "text": ""}]}',
            "field 'id' holds half of a surrogate pair",
        ),
        (
            '{"id": "x", "transcript": "Ann: \\u0000"}',
            "field 'transcript' line 1: field 'text' holds a null character",
        ),
        (
            '{"id": "x", "utterances": [["A", "b"]], "n": NaN}',
            r"not usable JSON: it holds NaN, which JSON has no number for \(null stands for it\)",
        ),
        (
            '{"id": "x", "utterances": [["A", "b"]], "n": -1e999}',
            "not usable JSON: the number -1e999 is too large",
        ),
        ("[" * 100_000, "not usable JSON"),
        ("9" * 5000, "not usable JSON"),
        (b'{"id": "\xff"}', r"byte 0xff at offset 8 is not UTF-8"),
        (b"\0", "not valid JSON"),
    ],
)
def test_bad_json_lines(line, message):
    line = line.encode() if isinstance(line, str) else line
    first, bad, last = read(
        "jsonl", b"%b\n\n%b\n%b" % (GOOD.encode(), line, GOOD.replace("1", "2", 1).encode())
    )
    assert first.dialogue.utterances == last.dialogue.utterances
    assert (bad.line, bad.dialogue) == (3, None)
    with pytest.raises(UserError, match=f"^chats line 3: .*{message}"):
        raise UserError(bad.problem)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"Ann: \xff", "chats line 4: byte 0xff at offset 5"),
        (b"Ann: a\0", "chats line 4: field 'text' holds a null character"),
    ],
)
def test_bad_line_of_text_spoils_its_dialogue(line, message):
    first, bad, last = read("txt", b"Ann: hi\n\nAnn: hi\n" + line + b"\nBen: so\n\nAnn: hi")
    assert first.dialogue
    assert last.dialogue
    assert bad.problem.startswith(message)
    assert [item.line for item in (first, bad, last)] == [1, 3, 7]


HEAD = "dialogue,speaker,text\n"


@pytest.mark.parametrize(
    ("rows", "problems"),
    [
        (
            "1,Ann,a\n2,Ann,a,b\n2,Ann,c\n3,Ann,d\n",
            {2: "line 3: 4 cells, but the header has 3 columns", 1: "line 3"},
        ),
        ("1,Ann,a\n1,Ann\n1,Ann,c\n2,Ann,d\n", {1: "line 3: 2 cells"}),
        ("1,Ann,a\n1,Ann\n", {1: "line 3: 2 cells"}),
        ("1,Ann\n", {1: "line 2: 2 cells"}),
        ('1,Ann,"a"b\n2,Ann,c\n3,Ann,d\n', {1: "line 2 is not valid CSV"}),
        (
            '1,Ann,a\n2,Ann,"b\n3,Ann,c\n',
            {1: "line 3 is not valid CSV: a cell's opening quote is never closed"},
        ),
        (",Ann,a\n1,Ann,c\n2,Ann,d\n", {1: "line 2: the cell of column 'dialogue' is empty"}),
        (
            '"1,23E+17",Ann,a\n1,Ann,c\n2,Ann,d\n',
            {1: "line 2: column 'dialogue' is '1,23E+17', as spreadsheets write numbers of many"},
        ),
        ("1,Ann,a\n2,Ann,b\0\n", {2: "line 3: field 'text' holds a null character"}),
        (
            "1,Ann,a\n2,Ann,b\n1,Ann,c\n1,Ann,c\n3,Ann,c\n",
            {
                3: "line 4: dialogue '1' comes back after others, but the rows of a dialogue must"
                " be neighbours. Where files were joined whose dialogues are numbered anew in each,"
                " give each dialogue an id of its own; else sort the file by column 'dialogue',"
            },
        ),
    ],
)
def test_bad_rows(rows, problems):
    found = dict(enumerate(read("csv", HEAD + rows), 1))
    assert {number for number, item in found.items() if item.problem} == set(problems)
    for number, reason in problems.items():
        assert found[number].problem.startswith(f"chats {reason}")
    for number in found:  # the same, whoever reads it
        count = len(found)
        assert [i.problem for i in read("csv", HEAD + rows, shard=f"{number}/{count}")] == [
            found[number].problem
        ]


def test_rows_that_stand_by_themselves():
    """Each is a dialogue with its number, also where others cannot be used."""
    content = 'chat,text,turn\n7,hello,3\n7,,\n7,hi\n7,"so\nlong",1\n'
    found = read("csv", content, dialogue="none", speaker="none")
    kept = [each.dialogue for each in found if each.dialogue is not None]
    assert [
        (each.id, [(turn.speaker, turn.text, turn.other["chat"]) for turn in each.utterances])
        for each in kept
    ] == [
        ("1", [(NOBODY, "hello", "7")]),
        ("2", [(NOBODY, "", "7")]),
        ("4", [(NOBODY, "so\nlong", "7")]),
    ]
    assert "2 cells" in found[2].problem
    for done, item in enumerate(found, 1):
        again = read("csv", content, dialogue="none", speaker="none", resumed=item.end)
        assert again == found[done:]


def test_row_that_is_not_utf8():
    first, last = read("csv", HEAD.encode() + b"1,Ann,a\n2,Ann,\xff\n3,Ann,b\n")
    assert first.problem == last.problem
    assert "chats line 3: byte 0xff" in first.problem


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "chats is empty; its first line must name the columns dialogue, speaker, text"),
        ("\n\n", "chats is empty"),
        (
            "dialogue,text\n",
            "no column 'speaker'; its columns are 'dialogue', 'text'.*speaker_column",
        ),
        (
            "id,text\n",
            "row stands by itself: dialogue_column=none speaker_column=none",
        ),
        ("dialogue,speaker,text,text\n", "more than one column for the text: 'text', 'text'"),
        ('dialogue,"speaker\n', "line 1: the header is not valid CSV"),
        (b"dialogue,\xff\n", "line 1: byte 0xff"),
        (b"PK\x03\x04", "chats is a zip archive or an Excel workbook"),
    ],
)
def test_bad_headers(content, message):
    with pytest.raises(UserError, match=message):
        read("csv", content)


def test_other_names_of_columns():
    (item,) = read("csv", "who,what,conv\nAnn,hi,7\n", dialogue="conv", speaker="who", text="what")
    assert item.dialogue == Dialogue("7", (Utterance("Ann", "hi"),))


def test_quoted_cells_hold_line_ends():
    first, last = read("csv", HEAD + '1,Ann,"a\nb"\n\n2,Ann\n2,Ann,c\n')
    assert first.problem.startswith("chats line 5: 2 cells")  # between two dialogues: of either
    assert last.line == 6


@pytest.mark.parametrize(
    "content",
    [
        "dialogue;speaker;text\n1;Ann;a, b\n;;\n1;Ben;c;;\n",
        "sep=;\r\nDialogue;Speaker;Text\r\n1;Ann;a, b\r\n1;Ben;c\r\n",
        "dialogue\tspeaker\ttext\n1\tAnn\ta, b\n1\tBen\tc\n",
        '\ufeff\ufeff"dialogue", "speaker", "text"\n1, "Ann", "a, b"\n1, "Ben", "c"\n',
        (
            'Sr No.,Utterance,Speaker,Emotion,Dialogue_ID,Utterance_ID\r1,"a,'
            ' b",Ann,joy,1,0\r2,c,Ben,,1,1\r'
        ),
        'text,conv,author,label,category\n"a, b",1,Ann,x,y\nc,1,Ben,x,y\n',
    ],
)
@pytest.mark.parametrize(
    "coded",
    [
        str.encode,
        lambda text: text.encode("utf-16"),
        lambda text: gzip.compress(text.encode(), mtime=0),
    ],
)
def test_tables_of_spreadsheets(content, coded):
    (item,) = read("csv", coded(content))
    assert item.dialogue == Dialogue("1", (Utterance("Ann", "a, b"), Utterance("Ben", "c")))


def test_other_columns_are_carried_through():
    content = "n,dialogue,speaker,text,emotion,,n,p(joy),utterance\n7,1,Ann,hi,joy,x,8,0.5,0\n"
    table = Table(lines_of(content), {})
    (item,) = table.read(Wanted(table._lines, Shard(), size=10, most_past=0))
    assert item.dialogue.utterances[0].other == {"n": "7", "column 6": "x", "n 7": "8"}
    assert table.others == ("n", "column 6", "n 7")
    assert table.left_out == ["emotion", "p(joy)", "utterance"]


def test_other_fields_are_carried_through():
    record = {
        "id": 7,
        "utterances": [{"speaker": "Ann", "text": "hi", "n": [1]}, "Ben: so", ["Cleo", "yes"]],
        "more": {"a": 1},
    }
    answered = {
        "id": "8",
        "utterances": [Prediction("Ann", "hi", "joy", {"joy": 1.0}, {"joy": 1.0}).to_json()],
    }
    first, again = read("jsonl", json.dumps(record) + "\n" + json.dumps(answered))
    utterances = first.dialogue.utterances
    assert (first.dialogue.id, first.dialogue.other, utterances[0].other) == (
        "7",
        {"more": {"a": 1}},
        {"n": [1]},
    )
    assert utterances[1:] == (Utterance("Ben", "so"), Utterance("Cleo", "yes"))
    assert again.dialogue.utterances[0].other == {}


def test_labels_of_answers_and_annotators_are_not_carried_through():
    """They would stand beside the new answer, and be read as gold where it is read again."""
    content = (
        "dialogue,speaker,text,emotion,emotions,annotations,confidence,n\n"
        "1,Ann,hi,joy,joy;anger,joy|,0.5,7\n"
    )
    table = Table(lines_of(content), {})
    (item,) = table.read(Wanted(table._lines, Shard(), size=10, most_past=0))
    assert item.dialogue.utterances[0].other == {"n": "7"}
    assert table.left_out == ["emotion", "emotions", "annotations", "confidence"]
    several = Prediction("Ann", "hi", None, {"joy": 1.0}, {"joy": 1.0}, emotions=("joy",))
    given = [several.to_json(), {**several.to_json(), "emotions": [], "annotations": [["joy"], []]}]
    (item,) = read("jsonl", json.dumps({"id": "1", "utterances": given}))
    assert [each.other for each in item.dialogue.utterances] == [{}, {}]


def test_labels_that_nobody_reads_may_have_any_form():
    odd = {"emotion": {"a": "joy"}, "emotions": "joy;fear", "annotations": [["x"], None]}
    line = {"id": "1", "utterances": [{"text": "hi", **odd, "labels": odd["emotion"]}, "Ann: so"]}
    (item,) = read("jsonl", json.dumps(line))
    assert item.dialogue.utterances == (Utterance(NOBODY, "hi"), Utterance("Ann", "so"))
    assert item.dialogue.utterances[0].other == {"labels": {"a": "joy"}}


def test_fields_that_do_not_come_back_are_noted():
    first = {"speaker": "Ann", "text": "hi", "emotion": "joy", "confidence": 0.5, "n": 1}
    utterances = [first, ["Ben", "so"], {"speaker": "Ben", "text": "", "annotations": [["joy"]]}]
    lines = lines_of(json.dumps({"id": "1", "utterances": utterances}))
    left_out = set()
    list(read_jsonl(lines, Wanted(lines, Shard(), size=10, most_past=0), left_out=left_out))
    assert left_out == {"emotion", "confidence", "annotations"}


def test_labels_in_other_capitals_are_not_carried_through():
    content = "Dialogue_ID,Speaker,Utterance,Emotion\n1,Ann,hi,joy\n"
    assert Table(lines_of(content), {}).left_out == ["Emotion"]


def test_a_number_that_stands_for_an_id_may_be_another_dialogues():
    nameless = json.dumps({"utterances": [["Ann", "hi"]]})
    called = json.dumps({"id": "2", "utterances": [["Ann", "hi"]]})
    assert "dialogue 2 of the input has no id, so its number stands for one" in (
        read("jsonl", f"{called}\n{nameless}\n")[1].problem
    )
    assert "the number of a dialogue stands for an id that it lacks" in (
        read("jsonl", f"{nameless}\n{nameless}\n{called}\n")[2].problem
    )


def test_rows_out_of_order():
    rows = "Dialogue_ID,Speaker,Utterance,Utterance_ID\n1,Ann,a,0\n1,Ann,b,1\n2,Ann,c,1\n2,Ann,d,0\n3,Ann,e,\n3,Ann,f,x\n"
    first, second, third = read("csv", rows)
    assert first.dialogue
    assert third.dialogue
    assert (
        second.problem
        == "chats line 5: 'Utterance_ID' is 0 after 1; sort the rows of a dialogue by that column."
    )


@pytest.mark.parametrize(
    ("name", "rows", "line"),
    [
        ("utterance_id", ("0,Ann,a", "0,Ann,a", "1,Ann,b"), 3),
        ("utterance_id", ("0,Ann,b", "1,Ann,a", "1,Ann,b", "1,Ann,a"), 5),
        ("utterance_id", ("u0,Ann,a", "u0,Ann,a", "u1,Ann,b"), 3),
        ("utterance_id", ("u0,Ann,a", "u1,Ann,a", "u1,Ann,b"), 0),
        ("turn", ("0,Ann,a", "0,Ann,a", "1,Ann,b"), 3),
        ("turn", ("0,Ann,b", "1,Ann,a", "1,Ann,a"), 4),
        ("turn", ("0,Ann,a", "0,Ann,a", "0,Ann,b"), 0),
        ("turn", ("0,Ann,a", "0,Ben,a", "1,Ann,a"), 0),
        ("mood", ("0,Ann,a", "0,Ann,a", "0,Ann,a"), 0),
    ],
)
def test_a_row_an_annotator_is_no_utterance(name, rows, line):
    content = "".join(f"{row},7\n" for row in (f"{name},speaker,text", *rows))
    content = content.replace("text,7", "text,dialogue") + "8,Ann,a,8\n"
    first, last = read("csv", content)
    assert last.dialogue
    assert bool(first.dialogue) == (not line)
    if line:
        assert re.match(rf"chats line {line}: (number \d|'u0') in column", first.problem)
        assert "the two are one utterance, as where each annotator has a row" in first.problem


def test_a_whole_call_in_a_cell_is_no_utterance():
    call = '"Agent: Hello.\nCustomer: It is late!"'
    first, last = read("csv", f"call,speaker,transcript\n1,Ann,{call}\n2,Ann,hi\n", dialogue="call")
    assert last.dialogue
    assert first.problem.startswith(
        "chats line 2: the cell of column 'transcript' holds 2 lines 'Name: text', which are several"
        " utterances: give each utterance a row, or the file as JSON lines"
    )
    (plain,) = read("csv", f"dialogue,speaker,text\n1,Ann,{call}\n")
    assert plain.dialogue


def test_numbers_that_are_not_whole_must_not_go_back():
    first, last = read(
        "csv", "dialogue,speaker,text,turn\n1,Ann,a,1.2\n1,Ann,b,1.1\n2,Ann,a,1.9\n2,Ann,b,1.10\n"
    )
    assert first.problem.startswith("chats line 3: column 'turn' is 1.1 after 1.2; such numbers")
    assert last.dialogue


def test_order_is_given_by_any_column_that_numbers_utterances():
    for header, given in (
        ("utterance", ("2", "0")),
        ("turn", ("2.0", "0.0")),
        ("turn", ("1700000000002", "1700000000001")),
        ("Utterance_ID", ("0", "-1")),
        ("turn,utterance_id", ("1,1", "1,0")),
    ):
        rows = "".join(f"1,Ann,a,{numbers}\n" for numbers in given)
        (item,) = read("csv", f"dialogue,speaker,text,{header}\n{rows}")
        assert "sort the rows of a dialogue by that column" in item.problem, header


@pytest.mark.parametrize("size", [100, 1])
@pytest.mark.parametrize(
    ("columns", "numbers", "expected"),
    [
        ("turn", ("0", "1", "1"), [0, 1, 2]),
        ("turn", ("0", "0", "1"), [0, 1, 2]),
        ("turn", ("1", "2", "4"), [1, 2, 4]),
        ("turn", ("3", "", "4"), [0, 1, 2]),
        ("turn_id,turn", ("0,1", "0,2", "1,3"), [1, 2, 3]),
        ("turn,utterance_id", ("0,a", "0,b", "1,c"), [0, 1, 2]),
    ],
)
def test_features_are_joined_by_the_numbers_that_training_joins_them_by(
    columns, numbers, expected, size, tmp_path, caplog
):
    pairs = list(zip("abc", numbers, strict=True))
    rows = "".join(f"{d},Ann,{text},joy,{n}\n" for d in (1, 2) for text, n in pairs)
    content = f"dialogue,speaker,text,emotion,{columns}\n{rows}"
    (tmp_path / "chats.csv").write_text(content)
    voice = {f"{d}/{n}": np.float32([[n]]) for d in (1, 2) for n in range(6)}

    def joined(dialogues):
        return [int(u.features["voice"].item()) for d in dialogues for u in d.utterances]

    given = {"voice": GivenFeatures("voice", voice, "voice")}
    found = with_given_features(read_file(tmp_path / "chats.csv"), given, {})
    warning = (
        "voice: of 2 dialogues whose file does not number the utterances, 2 have features behind"
    )
    assert caplog.text.count(warning) == (expected == [0, 1, 2])
    assert joined(item.dialogue for item in found) == expected * 2

    def read(*after):
        lines = lines_of(content, "chats", *after)
        features = [GivenFeatures("voice", voice, "voice")]
        wanted = Wanted(lines, Shard(), size=size, most_past=1, other_features=features)
        return wanted, list(Table(lines, {}).read(wanted))

    wanted, pieces = read()
    assert joined(item.dialogue for item in pieces) == expected * 2
    wanted.other_features[0].check_found()
    assert caplog.text.count(warning) == 2 * (expected == [0, 1, 2])
    if size == 1:  # a run that goes on inside of a dialogue
        assert pieces[4].end.utterances == 2
        _, (last,) = read(pieces[4].end)
        assert joined([last.dialogue]) == expected[2:]


@pytest.mark.parametrize("form", ["jsonl", "csv"])
@pytest.mark.parametrize("blank", ["", " "])
def test_features_of_rows_that_were_left_out_are_told_by_ids(form, blank):
    """Blanks around an id, or its column's name, tell nothing."""
    ids = [f"dia7_utt{n}.wav{blank}" for n in (0, 2, 3)]
    said = [{"id": each, "speaker": "Ann", "text": "hi"} for each in ids]
    content = json.dumps({"id": "7", "utterances": said}) + "\n"
    if form == "csv":
        content = f"dialogue,speaker,text,id{blank}\n"
        content += "".join(f"7,Ann,hi,{each}\n" for each in ids)
    lines = lines_of(content)
    voice = {f"dia7_utt{n}": np.float32([[n]]) for n in range(5)}
    features = [GivenFeatures("voice", voice, "voice")]
    wanted = Wanted(lines, Shard(), size=100, most_past=1, other_features=features)
    read = Table(lines, {}).read(wanted) if form == "csv" else read_jsonl(lines, wanted)
    (item,) = read
    assert [u.features["voice"].item() for u in item.dialogue.utterances] == [0, 2, 3]


def test_a_shard_whose_dialogues_have_no_features_is_not_refused(caplog):
    """Those of the other shard may have them."""
    voice = {f"d{n}/0": np.float32([[n]]) for n in (0, 2)}
    content = "".join(
        json.dumps({"id": f"d{n}", "utterances": [{"speaker": "Ann", "text": "hi"}]}) + "\n"
        for n in range(4)
    )
    lines, given = lines_of(content), GivenFeatures("voice", voice, "voice")
    given.part = True
    wanted = Wanted(lines, Shard(2, 2), size=100, most_past=1, other_features=[given])
    assert [item.dialogue.id for item in read_jsonl(lines, wanted)] == ["d1", "d3"]
    given.check_found()
    assert "of this part alone" in caplog.text
    given.part = False
    with pytest.raises(UserError, match="dialogues in its keys are one too low"):
        given.check_found()


@pytest.mark.parametrize(
    ("header", "names"),
    [
        ("note,,note,", ["note", "column 5", "note 6", "column 7"]),
        ("note,note 6,note,x", ["note", "note 6", "note 6 6", "x"]),
        ("note,note,note 5,x", ["note", "note 5 5", "note 5", "x"]),
        (",column 4,column 4,x", ["column 4 4", "column 4", "column 4 6", "x"]),
    ],
)
def test_every_column_comes_back(header, names):
    """Also one without a name, or with one that is there before, whatever others are called."""
    (item,) = read("csv", f"dialogue,speaker,text,{header}\n1,Ann,hi,a,b,c,d\n")
    assert item.dialogue.utterances[0].other == dict(zip(names, "abcd", strict=True))


def test_blank_rows_before_the_header_and_the_header_again():
    (item,) = read("csv", ";;\ndialogue;speaker;text\n1;Ann;hi\n")
    assert item.dialogue.utterances[0].text == "hi"
    both = read("csv", "dialogue,speaker,text\n1,Ann,hi\ndialogue,speaker,text\n2,Ann,so\n")
    assert ["line 3: the header comes again" in item.problem for item in both] == [True, True]


def test_dialogues_of_a_transcript_with_times_end_at_blank_lines():
    text = "[00:01] Ann: hello\n[00:04] Ben: hi\n\n[00:02] Cleo: I want a refund\nsoon\n"
    one, two = read("txt", text)
    assert [u.speaker for u in one.dialogue.utterances] == ["Ann", "Ben"]
    assert [u.text for u in two.dialogue.utterances] == ["I want a refund\nsoon"]
    titled = "Call (14:05)\nAnn: a\nBen: b\n\nAnn: c\nBen: d\n"
    assert [len(item.dialogue.utterances) for item in read("txt", titled)] == [3, 2]


@pytest.mark.parametrize("first", ["dialogue\tspeaker\ttext", "Session,Author,Message,Label"])
def test_a_table_is_no_transcript(first):
    with pytest.raises(UserError, match=r"line 1 names the columns of a table, .* format, csv"):
        list(read("txt", f"{first}\n1,Ben,Now?\n"))


def test_who_speaks_without_a_name_is_counted():
    (item,) = read("txt", "no name\nAnn: hi\nSpeaker: so\n我们\n")
    assert item.unnamed == 2
    lines = [
        {"id": "1", "transcript": "no name\nAnn: hi"},
        {"id": "2", "utterances": [{"text": "hi"}, ["Speaker", "so"]]},
    ]
    assert [item.unnamed for item in read("jsonl", "\n".join(map(json.dumps, lines)))] == [1, 0]


def test_json_of_another_shape_is_answered_with_an_example():
    for other in (
        '[{"text": "a"}]',
        '{"text": "a"}',
        '{"messages": [{"role": "a", "content": ""}]}',
    ):
        (item,) = read("jsonl", other)
        message, _, example = item.problem.partition(" Two lines of such a file:\n")
        assert message.startswith("chats line 1: a dialogue ")
        assert [each.problem for each in read("jsonl", example)] == ["", ""]


def test_empty_speakers_are_nobodys():
    (rows,) = read("csv", HEAD + "1,,a\n1,Speaker,b\n1, ,c\n")
    (lines,) = read(
        "jsonl", '{"id": "1", "utterances": [{"speaker": null, "text": "a"}, {"text": "b"}]}'
    )
    assert [u.speaker for u in rows.dialogue.utterances] == ["Speaker"] * 3
    assert [u.speaker for u in lines.dialogue.utterances] == ["Speaker"] * 2
    assert (rows.unnamed, lines.unnamed) == (2, 2)


def test_json_is_no_transcript():
    with pytest.raises(UserError, match="line 1 is JSON, not a transcript; name its format, jsonl"):
        list(read("txt", b'{"id": "1", "utterances": ["Ann: hi"]}\n'))
    for text in ("[\n", '{ "id": 1}\n', "{\n", "[ {\n"):
        with pytest.raises(UserError, match="is JSON"):
            list(read("txt", text))


def test_export_of_a_chat_is_one_dialogue_with_blank_lines():
    text = "12/05/2024, 10:31 - Ann: I waited\n\nfor hours\n12/05/2024, 10:33 - Ben: Sorry\n"
    (item,) = read("txt", text)
    assert item.dialogue.utterances == read_transcript(text).utterances
    assert [u.speaker for u in item.dialogue.utterances] == ["Ann", "Ben"]
    assert item.lines == (1, 4)


EXPORT = (
    "12/05/2024, 10:31 - Ann: hi\n\nyou\n12/05/2024, 10:32 - Ben left\n12/05/2024, 10:33 - Ben: so"
)


def test_a_title_above_an_export_is_no_dialogue():
    for title, count in (("", 0), ("Chat with Ann\n", 1), ("Chat with Ann\n\n2 members\n\n", 2)):
        lines, findings = lines_of(title + EXPORT), Findings()
        (item,) = read_txt(lines, Wanted(lines, Shard(), size=9, most_past=9), findings)
        assert item.dialogue == read_transcript(title + EXPORT)
        assert (item.dialogue.id, item.end.dialogues) == ("1", 1)
        assert (findings.titles, findings.notes) == (count, 1)
        (rest,) = read("txt", title + EXPORT, resumed=read("txt", title + EXPORT, size=1)[0].end)
        assert [u.speaker for u in rest.dialogue.utterances] == ["Ben"]
    assert findings.sentences() == [
        "2 lines above a chat's first message were left out, as a title",
        "1 message of a chat was left out, as pictures and the program's notes",
    ]


def test_a_chat_of_notes_alone_leaves_no_utterance():
    text = "12/05/2024, 10:32 - Ben: <Media omitted>\n12/05/2024, 10:33 - Ann left\n"
    lines, findings = lines_of(text), Findings()
    (item,) = read_txt(lines, Wanted(lines, Shard(), size=9, most_past=9), findings)
    assert item.dialogue is None
    assert "has no utterances" in item.problem
    (sentence,) = findings.sentences()
    assert sentence.startswith("2 messages of a chat were left out")
    assert sentence.endswith(", and no utterance is left")


def test_lines_without_names_are_dialogues_where_no_export_is_below():
    for last in ("Ann: hi", "12/05/2024, 10:31 - Ann: hi", "c"):
        found = read("txt", f"a\n\nb\nb\n\n{last}\n\n", size=1)
        read_so = [(i.dialogue.id, i.dialogue.utterances[0].text, i.line, i.lines) for i in found]
        text = last[-2:].strip()
        assert read_so == [
            ("1", "a", 1, (1,)),
            ("2", "b", 3, (3,)),
            ("2", "b", 3, (4,)),
            ("3", text, 6, (6,)),
        ]
    found = read("txt", "\n\n".join("abcdefghijklmnopqrstuvwxyz"))
    assert [item.dialogue.id for item in found] == [str(n + 1) for n in range(26)]


def test_turns_with_blank_lines_between_are_reported():
    def sentences(*blocks):
        lines, found = lines_of("\n\n".join(blocks)), Findings()
        list(read_txt(lines, Wanted(lines, Shard(), size=9, most_past=9), found))
        return found.sentences()

    assert sentences("Ann: hi", "Ben: yo", "Ann: so") == [
        "3 of 3 dialogues hold one utterance, and a speaker comes again: a blank line ends a"
        " dialogue, so if they are one conversation, remove the blank lines between its turns"
    ]
    assert not sentences("Ann: hi", "Ben: yo", "Cem: so")  # each by somebody else
    assert not sentences("Ann: hi", "Ben: yo\nAnn: yo", "Ann: so")  # some are conversations
    assert not sentences("hi", "yo", "so")


def test_captions_are_one_dialogue():
    (item,) = read("txt", "1\n00:01,000 --> 00:02,000\nAnn: a\n\n2\n00:02,000 --> 00:03,000\nb\n\n")
    assert [(u.speaker, u.text) for u in item.dialogue.utterances] == [("Ann", "a"), (NOBODY, "b")]
    assert (item.lines, item.unnamed) == ((3, 7), 1)


@pytest.mark.parametrize("kind", WRITERS)
def test_lines_end_at_carriage_returns_too(kind, monkeypatch):
    expected = dialogues(5)
    content = WRITERS[kind](expected, "\r")
    assert [item.dialogue for item in read(kind, content)] == expected
    monkeypatch.setattr(bulk_lines, "LONGEST_LINE", max(map(len, content.split("\r"))) + 1)
    assert [item.dialogue for item in read(kind, content)] == expected


@pytest.mark.parametrize("kind", WRITERS)
def test_line_without_an_end(kind, monkeypatch):
    monkeypatch.setattr(bulk_lines, "LONGEST_LINE", 1000)
    content = dialogues(3)
    text = WRITERS[kind](content).replace("text 1", "x" * 5000)
    found = read(kind, text)
    assert any("longer than" in item.problem for item in found)
    assert found[-1].dialogue == content[-1] or kind == "csv"
    exactly = WRITERS[kind](dialogues(1)).replace("text 0", "text 0".ljust(1000))
    assert "longer" in read(kind, exactly)[-1].problem


def test_ten_thousand_utterances():
    long = Dialogue("1", tuple(Utterance("Ann", str(n)) for n in range(10_000)))
    for kind, write in WRITERS.items():
        assert [item.dialogue for item in read(kind, write([long]))] == [long]


def test_seen(monkeypatch):
    monkeypatch.setattr(bulk_seen, "_RECENT", 8)
    seen = Seen()
    for number in range(1000):
        assert seen.add(f"d{number}")
        assert not seen.add(f"d{number}")
        assert not seen.add(f"d{number * 7 % (number + 1)}")
    assert len(seen._sorted) < 10
    assert sum(map(len, seen._sorted)) + len(seen._recent) == 1000
