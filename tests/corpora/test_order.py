"""Dialogues that stand newest first, or in no order, are refused, however they come."""

import json
import logging

import pandas as pd
import pytest

from eacl_jax.corpora import backwards, order
from eacl_jax.corpora.backwards import warn_of_backwards
from eacl_jax.corpora.files import read_file
from eacl_jax.corpora.order import check_oldest_first
from eacl_jax.data.inputs import read_dialogues
from eacl_jax.dialogue import Dialogue, Utterance
from eacl_jax.errors import UserError
from eacl_jax.serving.http.requests import dialogues_of
from eacl_jax.serving.http.schemas import AskedDialogue
from eacl_jax.serving.settings import Limits
from tests.stubs.bulk import items, lines_of

NEWEST = ("2024-05-12T10:33:00Z", "2024-05-12T10:32:00Z", "2024-05-12T10:31:00Z")
TOLD = "stands newest first, by 'created_at'"


def spoken(times, name="created_at"):
    return [Utterance("Ann", f"{n}", other={name: time}) for n, time in enumerate(times)]


@pytest.mark.parametrize(
    "times",
    [
        NEWEST,
        (3, 2.5, 1),
        ("1700000000.5", "1700000000", "1600000000"),
        ("2024-05-12 10:33", "2024-05-12 10:33", "2024-05-12 10:32", "2024-05-12 10:31"),
        tuple(map(pd.Timestamp, NEWEST)),
        ("2024-05-12 10:33:00 UTC", "2024-05-12 10:32:00 UTC", "2024-05-12 10:31:00 UTC"),
        ("2024-05-12 10:33:00 +0000", "2024-05-12 10:32:00 +0000", "2024-05-12 10:31:00 +0000"),
        ("5/12/2024 1:33 PM", "5/12/2024 12:32 PM", "5/12/2024 11:31 AM"),  # of either order
        ("13/05/2024 10:33", "13/05/2024 9:32", "11/12/2023 10:31"),
        ("5/13/24, 10:33", "5/13/24, 9:32", "12/11/23, 10:31"),
        ("13.5.2024", "12.5.2024", "11.5.2024"),
        ("2024/5/12 10:33:02", "2024/5/12 10:33:01", "2024/5/12 9:31:01"),
        (
            "Tue Oct 31 22:10:47 +0000 2017",
            "Tue Oct 31 22:10:46 +0000 2017",
            "Mon Oct 30 23:10:46 +0000 2017",
        ),
        ("May 12, 2024 1:40 PM", "May 12, 2024 12:41 PM", "May 12, 2024 9:42 AM"),
    ],
)
def test_times_that_go_back_are_reported(times):
    with pytest.raises(UserError, match=TOLD):
        check_oldest_first(spoken(times), "x")
    check_oldest_first(spoken(times[::-1]), "x")


def test_times_in_no_order_are_reported():
    for times in (
        (300, 100, 200, 0),
        (200, 100, 500, 400, 600),
        ("2024-05-12T10:33:00Z", *NEWEST[::-1], *NEWEST),
    ):
        with pytest.raises(
            UserError, match="stands in no order, by 'created_at'; the order must be"
        ):
            check_oldest_first(spoken(times), "x")


@pytest.mark.parametrize(
    ("times", "name"),
    [
        (NEWEST[:2], "created_at"),
        ((3, 1, 2), "time"),
        ((1, 0, 2, 4, 3, 5), "time"),  # what overlaps, or clocks that differ
        ((3, None, 1), "time"),
        ((3, 3, 2), "time"),
        ((3, "", 1), "time"),
        ((3, 2, 1), "minutes_left"),
    ],
)
def test_what_tells_nothing_is_left_alone(times, name):
    check_oldest_first(spoken(times, name), "x")


@pytest.mark.parametrize(
    "times",
    [
        ("half past three", "three", "half past two"),
        ("1/3/2024", "1/2/2024", "2/1/2024"),  # forwards if months stand first
    ],
)
def test_times_that_are_not_understood_are_reported_once(times, caplog, monkeypatch):
    monkeypatch.setattr(order, "_logged", set())
    for _ in range(2):
        check_oldest_first(spoken(times), "chats.csv line 2")
    (message,) = caplog.messages
    assert message.startswith(
        f"chats.csv line 2: times such as {times[0]!r} in 'created_at' are not"
    )


@pytest.mark.parametrize(
    ("times", "found"),
    [
        (
            ("2024-05-12 10:31", "2024-05-12 10:32 EST", "2024-05-12 10:33"),
            "'2024-05-12 10:32 EST' in 'created_at' are not understood, as 'EST' may stand for"
            " several zones: write one as +02:00 in its place, so",
        ),
        (
            ("12.5.2024 10:31 (MESZ)", "2024-05-12 10:32", "then"),
            "'12.5.2024 10:31 (MESZ)' in 'created_at' are not understood, as 'MESZ' may",
        ),
        (
            ("10:31", "10:32 Europe/Berlin", "10:33"),
            "'10:32 Europe/Berlin' in 'created_at' are not understood, as 'Europe/Berlin' may",
        ),
        (("1:31", "2:31", "then"), "'then' in 'created_at' are not understood, so"),
        (("7 AM", "8 AM", "9 AM"), "'7 AM' in 'created_at' are not understood, so"),
        (
            ("1/3/2024", "13/5/2024", "5/14/2024"),
            "'5/14/2024' in 'created_at' are not understood beside '13/5/2024', so",
        ),
        (
            ("10:31", "2024-05-12 10:32", "10:33"),
            "'2024-05-12 10:32' in 'created_at' are not understood beside '10:31', so",
        ),
        (
            ("1/3/2024", "1/2/2024", "2/1/2024"),
            "'1/3/2024' in 'created_at' are not understood, as days or months may stand first, so",
        ),
    ],
)
def test_the_time_that_is_not_understood_is_named(times, found, caplog, monkeypatch):
    monkeypatch.setattr(order, "_logged", set())
    check_oldest_first(spoken(times), "x")
    (message,) = caplog.messages
    assert message.startswith(f"x: times such as {found}")


def test_wherever_they_come_from(tmp_path):
    rows = [("1", "Ann", f"{n}", "joy", time) for n, time in enumerate(NEWEST)]
    table = "dialogue,speaker,text,emotion,created_at\n" + "".join(
        ",".join(row) + "\n" for row in rows
    )
    record = {
        "id": "1",
        "utterances": [{"speaker": s, "text": t, "created_at": at} for _, s, t, _, at in rows],
    }
    for kind, content in (("csv", table), ("jsonl", json.dumps(record) + "\n")):
        (tmp_path / f"a.{kind}").write_text(content)
        with pytest.raises(UserError, match=TOLD):
            read_file(tmp_path / f"a.{kind}")
        (item,) = items(kind, lines_of(content), shard="1/1", size=9)
        assert TOLD in item.problem
    frame = pd.DataFrame(rows, columns=["dialogue", "speaker", "text", "emotion", "created_at"])
    talk = Dialogue("1", tuple(spoken(NEWEST)))
    for given in (frame, frame.assign(utterance_id=["u1", "u2", "u3"]), record, talk, [talk]):
        with pytest.raises(UserError, match=TOLD):
            read_dialogues(given)
    # Rows that are numbered say their order themselves.
    read_dialogues(frame.assign(turn=[0, 1, 2]))
    numbered = "dialogue,speaker,text,emotion,created_at,turn\n" + "".join(
        f"{','.join(row)},{9 - n}\n" for n, row in enumerate(rows)
    )
    (tmp_path / "b.csv").write_text(numbered)
    (found,) = read_file(tmp_path / "b.csv")
    assert [u.text for u in found.dialogue.utterances] == ["2", "1", "0"]
    read_dialogues(found.dialogue)


@pytest.mark.parametrize(
    ("minutes", "found"),
    [
        (range(18, 0, -1), "newest first"),
        ([*range(16, 0, -1), 17, 18], "in no order"),
        (range(18), ""),
        # The last rows alone, or the first ones, would be out of order.
        ([*range(15), 20, 19, 18], ""),
        ([3, 2, 1, *range(4, 19)], ""),
    ],
)
@pytest.mark.parametrize("size", [4, 16, 1000])
def test_a_table_in_pieces_is_looked_at_as_a_whole(minutes, found, size):
    rows = "".join(f"1,Ann,text {n},{60 * minute}\n" for n, minute in enumerate(minutes))
    table = f"dialogue,speaker,text,time\n{rows}"
    *pieces, last = items("csv", lines_of(table), size=size)
    assert len(pieces) == (18 - 1) // size
    assert not any(piece.problem for piece in pieces)
    assert bool(last.problem) == bool(found)
    assert last.problem.startswith(
        f"chats line 2: dialogue '1' stands {found}, by 'time'"[: 99 * bool(found)]
    )


def test_numbers_that_go_on_say_the_order_wherever_they_stand():
    said = [
        {"speaker": "Ann", "text": str(n), "time": 9 - n, "turn": turn, "index": index}
        for n, (turn, index) in enumerate([(1, 4), (1, 3), (1, 2)])
    ]
    with pytest.raises(UserError, match="stands newest first, by 'time'"):
        read_dialogues(said)
    read_dialogues([{**each, "turn": n // 2} for n, each in enumerate(said)])


def test_lines_that_are_numbered_do_not_say_the_order(tmp_path):
    """A spreadsheet numbers them in whatever order they stand."""
    rows = [("1", "Ann", f"{n}", "joy", time, str(n)) for n, time in enumerate(NEWEST)]
    names = ["dialogue", "speaker", "text", "emotion", "created_at", "line_no"]
    table = "".join(",".join(row) + "\n" for row in (names, *rows))
    (tmp_path / "a.csv").write_text(table)
    with pytest.raises(UserError, match=TOLD):
        read_file(tmp_path / "a.csv")
    with pytest.raises(UserError, match=TOLD):
        read_dialogues(pd.DataFrame(rows, columns=names))
    (item,) = items("csv", lines_of(table), size=9)
    assert TOLD in item.problem


@pytest.mark.parametrize(
    ("name", "values", "found"),
    [
        ("Order", (4, 2, 1), "newest first"),
        ("index", ("4", "2", "1"), "newest first"),
        ("line", (4, 3, 2), "newest first"),
        ("line", ("I see.", "Oh.", "No."), ""),  # of a script
        ("order", (771, 771, 771), ""),  # of a shop
        ("Sent on", NEWEST, "newest first"),
        ("event_time", NEWEST, "newest first"),
        (
            "Zeit",
            ("03.02.2024 10:02 Uhr", "03.02.2024 10:01 Uhr", "04.01.2024 9:59"),
            "newest first",
        ),
        ("time", ("00:20:58,256", "00:20:57,9", "00:19:59"), "newest first"),
        ("time", ("23:59", "10:40 AM", "9:05", "22:00"), ""),  # of several days
    ],
)
def test_columns_that_tell_an_order_have_many_names(name, values, found, caplog):
    given = spoken(values, name)
    if found:
        with pytest.raises(UserError, match=f"stands {found}, by {name!r}"):
            check_oldest_first(given, "x")
    else:
        check_oldest_first(given, "x")
    dates = ("2024-05-12", "2024-05-13", "2024-05-14", "2024-05-15")
    if name in ("Order", "index", "line", "time"):  # the dates are sure
        check_oldest_first(
            [
                Utterance("A", "", other={**u.other, "date": d})
                for u, d in zip(given, dates, strict=False)
            ],
            "x",
        )
    assert not caplog.messages


@pytest.mark.parametrize(
    "name", ["sent", "received", "hora", "begin", "pos", "idx", "index", "position", "row", "line"]
)
@pytest.mark.parametrize(
    "values", [(1, 0, 1, 0, 1), ("2", "1", "2", "1"), (1, 0, 0, 1, 0), (0.9, 0.2, 0.5, 0.1)]
)
def test_flags_codes_and_scores_tell_no_order(name, values, caplog):
    check_oldest_first(spoken(values, name), "x")
    assert not caplog.messages


@pytest.mark.parametrize(
    ("name", "values", "found"),
    [
        ("start", (5, 3, 1, 8, 2), False),
        ("start", (5.5, 3, 1), True),
        ("start", (95, 83, 61, 98, 70), True),
        ("sent", (100, 0, 100, 0, 50), False),
        ("order", (1, 1, 0), False),
        ("order", (7, 5, 3), True),
    ],
)
def test_numbers_tell_an_order_where_they_are_many_or_fall(name, values, found):
    if found:
        with pytest.raises(UserError, match="stands"):
            check_oldest_first(spoken(values, name), "x")
    else:
        check_oldest_first(spoken(values, name), "x")


@pytest.mark.parametrize("name", ["Order", "index", "line"])
def test_numbers_of_anything_in_no_order_are_reported_once(name, caplog, monkeypatch):
    monkeypatch.setattr(order, "_logged", set())
    for _ in range(2):
        check_oldest_first(spoken((12, 3, 40, 2, 17), name), "x")
    (message,) = caplog.messages
    assert message.startswith(f"x is in no order by {name!r}: where that tells the order")


def readings(tmp_path, header, numbers):
    """The texts of rows with these numbers, by each way to read them, or what is wrong."""
    rows = [("1", "A", f"text {n}", "joy", *each) for n, each in enumerate(numbers)]
    names = ["dialogue", "speaker", "text", "emotion", *header]
    table = "\n".join(",".join(map(str, row)) for row in (names, *rows)) + "\n"
    (tmp_path / "a.csv").write_text(table)

    def in_pieces():
        found = list(items("csv", lines_of(table), size=2))
        if problem := "".join(item.problem for item in found):
            raise UserError(problem)
        return [u for item in found for u in item.dialogue.utterances]

    for read in (
        lambda: read_file(tmp_path / "a.csv")[0].dialogue.utterances,
        lambda: read_dialogues(pd.DataFrame(rows, columns=names))[0][0].utterances,
        in_pieces,
    ):
        try:
            yield list(dict.fromkeys(u.text for u in read()))
        except UserError as error:
            yield str(error)


@pytest.mark.parametrize("name", ["seq", "Message No", "line_number", "line_idx", "sequence_no"])
@pytest.mark.parametrize(
    ("numbers", "found"),
    [
        ((1, 2, 3, 4), ""),
        ((7, 8, 1, 2), ""),  # of a second page
        ((1, 2, 1, 2), ""),
        ((1, 0, 1, 0), ""),
        ((0.9, 0.2, 0.1, 0.8), ""),
        ((4, 3, 2, 1), "newest first"),
        ((4, 2, 1, 3), "in no order"),
        ((1, 3, 2, 4), "in no order"),
    ],
)
def test_rows_are_not_sorted_by_what_may_number_something_else(tmp_path, name, numbers, found):
    for read in readings(tmp_path, [name], [(n,) for n in numbers]):
        if found:
            assert f"stands {found}, by {name!r}" in read
        else:
            assert read == [f"text {n}" for n in range(4)]


def test_numbers_of_utterances_go_before_what_may_number_something_else(tmp_path):
    rows = [(3, 7), (1, 9), (2, 8)]
    in_file, *others = readings(tmp_path, ["turn", "line_no"], rows)
    assert in_file == ["text 1", "text 2", "text 0"]
    assert all("'turn' is 1 after 3" in each for each in others)
    within = [(1, 1), (1, 2), (2, 1), (2, 2)]
    for read in readings(tmp_path, ["turn", "msg_index"], within):
        assert read == [f"text {n}" for n in range(4)]


FALLS = "falls from each utterance to the next in {} of {} dialogue"


@pytest.mark.parametrize(
    ("name", "dialogues", "found"),
    [
        ("message_id", [(4, 3, 2, 1)], (1, 1)),
        ("abgeschickt", [NEWEST, NEWEST, NEWEST[::-1]], (2, 3)),
        ("message_id", [(4, 3, 2, 1), (1, 2, 3)], None),
        ("message_id", [(4, 3, 2), (2, 1)], None),  # by chance
        ("score", [(1.0, 0.9, 0.5, 0.1)] * 3, None),
        ("page", [("Page 4", "Page 3", "Page 2", "Page 1")] * 3, None),
        ("left", [(4, 3, 3, 2)] * 3, None),
    ],
)
def test_other_fields_that_fall_are_reported(name, dialogues, found, caplog, monkeypatch):
    monkeypatch.setattr(backwards, "_warned", set())
    given = [spoken(values, name) for values in dialogues]
    warn_of_backwards(given, "x")
    assert len(caplog.messages) == bool(found)
    assert not found or f"x: {name!r} {FALLS.format(*found)}" in caplog.text
    caplog.clear()
    numbered = [
        [Utterance("A", "", other={**u.other, "turn": n}) for n, u in enumerate(said)]
        for said in given
    ]
    warn_of_backwards(numbered, "x")
    assert not caplog.messages


BACK = "goes back in {} of {} dialogues of two utterances or more"
LOCAL = ("2024-05-12 10:31 +0000", "2024-05-12 10:33 +0000", "2024-05-12 11:32 +0100", "2024-05-13")


@pytest.mark.parametrize(
    ("name", "dialogues", "found"),
    [
        ("created_at", [LOCAL] * 3, (3, 3)),
        ("created_at", [LOCAL] * 3 + [NEWEST[::-1]] * 9, (3, 12)),
        ("created_at", [LOCAL] * 3 + [NEWEST[::-1]] * 10, None),  # clocks that differ now and then
        ("created_at", [LOCAL] * 2, None),
        ("created_at", [LOCAL] * 3 + [NEWEST[:1]] * 10, (3, 3)),
        ("created_at", [NEWEST[:2]] * 3, (3, 3)),  # too short to be refused
        ("time", [(60, 90, 80, 100)] * 3, (3, 3)),
        ("time", [(1, 5, 4, 6)] * 3, None),  # codes, perhaps
        ("time", [("10:40", "10:50", "10:45", "11:00")] * 3, None),  # of two days, perhaps
        ("time", [("1/3/2024", "2/1/2024", "3/1/2024")] * 3, None),  # months first, perhaps
        ("time", [("then", "before", "now", "at last")] * 3, None),
        ("index", [(1, 3, 2, 4)] * 3, None),
        ("when", [LOCAL] * 3, None),
    ],
)
def test_times_that_go_back_in_many_dialogues_are_reported(
    name, dialogues, found, caplog, monkeypatch
):
    monkeypatch.setattr(backwards, "_warned", set())
    given = [spoken(values, name) for values in dialogues]
    warn_of_backwards(given, "x")
    assert [each[: each.find(":", 3)] for each in caplog.messages] == (
        [f"x: {name!r} {BACK.format(*found)}"] if found else []
    )
    caplog.clear()
    for certain in ("turn", "sent_at"):  # what goes on tells the order
        warn_of_backwards(
            [
                [Utterance("A", "", other={**u.other, certain: 60 + n}) for n, u in enumerate(said)]
                for said in given
            ],
            "x",
        )
    assert not caplog.messages


def test_they_are_reported_wherever_they_come_from(tmp_path, caplog, monkeypatch):
    rows = [("1", "Ann", f"{n}", "joy", 9 - n) for n in range(5)]
    table = "dialogue,speaker,text,emotion,message_id\n" + "".join(
        ",".join(map(str, row)) + "\n" for row in rows
    )
    record = {
        "id": "1",
        "utterances": [{"speaker": s, "text": t, "message_id": at} for _, s, t, _, at in rows],
    }
    for kind, content in (("csv", table), ("jsonl", json.dumps(record) + "\n")):
        (tmp_path / f"a.{kind}").write_text(content)
    frame = pd.DataFrame(rows, columns=["dialogue", "speaker", "text", "emotion", "message_id"])
    readings = [
        lambda: read_file(tmp_path / "a.csv"),
        lambda: read_file(tmp_path / "a.jsonl"),
        lambda: list(items("csv", lines_of(table), size=2)),
        lambda: list(items("jsonl", lines_of(json.dumps(record)), size=2)),
        lambda: read_dialogues(frame),
        lambda: read_dialogues(record),
        lambda: read_dialogues([record]),
        lambda: read_dialogues(record["utterances"]),
    ]
    for read in readings:
        monkeypatch.setattr(backwards, "_warned", set())
        caplog.clear()
        read()
        assert FALLS.format(1, 1) in caplog.text
        assert len(caplog.messages) == 1


def test_times_that_go_back_are_reported_wherever_they_come_from(tmp_path, caplog, monkeypatch):
    rows = [(n, "Ann", f"{n}", "joy", time) for n in (1, 2, 3) for time in LOCAL]
    names = ["dialogue", "speaker", "text", "emotion", "Created At"]
    table = "\n".join(",".join(map(str, row)) for row in (names, *rows)) + "\n"
    records = [
        {"id": f"{n}", "utterances": [dict(zip(names[1:], r[1:], strict=True)) for r in rows[:4]]}
        for n in (1, 2, 3)
    ]
    lines = "".join(json.dumps(record) + "\n" for record in records)
    for kind, content in (("csv", table), ("jsonl", lines)):
        (tmp_path / f"a.{kind}").write_text(content)
    readings = [
        lambda: read_file(tmp_path / "a.csv"),
        lambda: read_file(tmp_path / "a.jsonl"),
        lambda: list(items("csv", lines_of(table), size=2)),
        lambda: list(items("jsonl", lines_of(lines), size=2)),
        lambda: read_dialogues(pd.DataFrame(rows, columns=names)),
        lambda: read_dialogues(records),
        lambda: [logging.warning(each) for each in asked(records)],
    ]
    for read in readings:
        monkeypatch.setattr(backwards, "_warned", set())
        caplog.clear()
        read()
        assert f"'Created At' {BACK.format(3, 3)}" in caplog.text
        assert len(caplog.messages) == 1


def asked(records):
    """What a service's answer says of a request's dialogues."""
    return dialogues_of([AskedDialogue.model_validate(each) for each in records], Limits(), {})[1]


@pytest.mark.parametrize(
    ("name", "numbers", "texts", "found"),
    [
        ("seq", "7777", ("ok", "yes", "ok", "no"), False),
        ("line_no", "7777", ("ok", "yes", "ok", "no"), False),
        ("utterance_id", "7777", ("ok", "yes", "ok", "no"), False),
        ("seq", "77", ("ok", "ok"), False),
        ("message_no", "2211", ("ok", "ok", "no", "yes"), False),
        ("message_no", "1122", ("ok", "ok", "no", "yes"), True),
        ("utterance_id", "77", ("ok", "ok"), True),
        ("utterance_id", "1112", ("ok", "yes", "ok", "no"), True),
    ],
)
def test_what_numbers_no_utterances_tells_no_annotators(tmp_path, name, numbers, texts, found):
    rows = [("1", "A", *row, "joy") for row in zip(texts, numbers, strict=True)]
    names = ["dialogue", "speaker", "text", name, "emotion"]
    table = "\n".join(map(",".join, (names, *rows))) + "\n"
    (tmp_path / "a.csv").write_text(table)

    def in_pieces():
        for item in items("csv", lines_of(table), size=9):
            if item.problem:
                raise UserError(item.problem)

    for read in (
        lambda: read_file(tmp_path / "a.csv"),
        lambda: read_dialogues(pd.DataFrame(rows, columns=names)),
        in_pieces,
    ):
        if found:
            with pytest.raises(UserError, match="so the two are one utterance"):
                read()
        else:
            read()
