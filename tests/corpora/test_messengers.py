"""Chats of WeChat, LINE and KakaoTalk, names before tabs; and layouts that are refused."""

import pytest

from eacl_jax.bulk.reading import Shard, Wanted
from eacl_jax.bulk.transcripts import Findings, read_txt
from eacl_jax.corpora.transcripts import read_line, read_transcript
from eacl_jax.dialogue import Utterance
from eacl_jax.errors import UserError
from tests.stubs.bulk import items, lines_of

LINE = """[LINE] Chat history with Ann
Saved on: 2024/05/12 10:40

2024/05/12(Sun)
10:31\tAnn\tThe train is late
10:33\tBen B (work)\t"Oh no
again?"
10:34\t\tBen B (work) unsent a message.
10:35\tBen B (work) left the chat.

Mon, 5/13/2024
午前9:05\tAnn\tFinally!
"""
KAKAO = """앤 님과 카카오톡 대화
저장한 날짜 : 2024-05-12 10:40:05

--------------- 2024년 5월 12일 일요일 ---------------
[앤] [오전 10:31] 기차가 늦어
[벤 (회사)] [오전 10:33] 또?
말도 안 돼
벤님이 나갔습니다.
--------------- Monday, May 13, 2024 ---------------
[앤] [9:05 AM] Note: bring it
"""
PHONE = """앤 님과 카카오톡 대화
저장한 날짜 : 2024년 5월 12일 오전 10:35

2024년 5월 12일 오전 10:31
2024년 5월 12일 오전 10:31, 앤 : 안녕
2024년 5월 12일 오전 10:32, 벤님이 들어왔습니다.
2024년 5월 12일 오전 10:33, 벤 : 늦어
"""
WECHAT = """—————  2024-05-12  —————

Ann 2024-05-12 10:31:05
The train is late

ben 2024-05-12 10:31:25
Oh no

again?

Ann 2024-05-12 10:32:25
Yes
"""


def both(text: str) -> list[list[tuple[str, str]]]:
    """The same text as a transcript and as a file, which must give the same."""
    one = [[(u.speaker, u.text) for u in read_transcript(text).utterances]]
    read = items("txt", lines_of(text, "chat.txt"))
    assert one == [[(u.speaker, u.text) for u in item.dialogue.utterances] for item in read]
    return one


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            LINE,
            [
                ("Ann", "The train is late"),
                ("Ben B (work)", "Oh no\nagain?"),
                ("Ann", "Finally!"),
            ],
        ),
        (
            KAKAO,
            [("앤", "기차가 늦어"), ("벤 (회사)", "또?\n말도 안 돼"), ("앤", "Note: bring it")],
        ),
        (PHONE, [("앤", "안녕"), ("벤", "늦어")]),
        (WECHAT, [("Ann", "The train is late"), ("ben", "Oh no\n\nagain?"), ("Ann", "Yes")]),
        (
            "Ann\tSo late\nBen\tOh: no\nAnn\tyes",
            [("Ann", "So late"), ("Ben", "Oh: no"), ("Ann", "yes")],
        ),
        ("Ann\tSo it is\nBen\tOh no!", [("Ann", "So it is"), ("Ben", "Oh no!")]),
        ("2024-05-12 10:31\tAnn\tI got it!", [("Ann", "I got it!")]),
        ("Ann 2024-05-12 10:31:05\nhi", [("Ann", "hi")]),
    ],
)
def test_chats(text, expected):
    assert both(text) == [expected]


@pytest.mark.parametrize("line", ["10:31\tAnn\tI got it!", "[Ann] [10:31 AM] I got it!"])
def test_a_line_by_itself(line):
    assert read_line(line) == Utterance("Ann", "I got it!")


def test_what_is_left_out_is_counted():
    told, lines = Findings(), lines_of(LINE, "chat.txt")
    list(read_txt(lines, Wanted(lines, Shard.parse("1/1"), size=100, most_past=2), told))
    assert (told.titles, told.notes) == (3, 2)


def test_blank_lines_end_dialogues_of_names_before_tabs():
    read = items("txt", lines_of("Ann\tSo\nBen\tOh!\n\nAnn\tNo\nCy\tYes!", "chat.txt"))
    assert [len(item.dialogue.utterances) for item in read] == [2, 2]


@pytest.mark.parametrize(
    ("text", "match"),
    [
        (
            "Ann Lee\n00:00:03\nHi all\nBen\n00:00:09\nOh no",
            "line 2: '00:00:03' is a date or time alone",
        ),
        ("Ann Lee\n00:00:03\nHi all", "line 2: '00:00:03' is a date or time alone"),
        ("Sync\n00:00:00\n\nAnn: Hi\nBen: Oh\n00:05:00\nAnn: so", "line 2: .* alone"),
        ("5/12/2024 10:31\nhappy\n5/13/2024 10:31\nsad", "line 1: .* alone, as are 1 more of 4"),
        ("May 1, 2024 10:31 AM\nAnn: hi\nMay 2, 2024 10:31 AM\nBen: yo", "line 1: .* alone"),
        (
            "Ann\n10:31\nhi\nBen\n10:32\nyo\nAnn\n10:33\noh",
            "line 2: '10:31' is a date or time alone",
        ),
        (  # Facebook: dates below messages
            "Ann Lee\nSo late\nMay 12, 2024 10:31 AM\nBen\nOh no\nMay 12, 2024 10:33 AM\n",
            "dates seem to stand below",
        ),
        (
            "Ann Lee\nSo late\nMay 12, 2024 10:31 AM\nBen\nOh no\nMay 12, 2024 10:33 AM\nAnn Lee\nyes",
            "dates seem to stand below",
        ),
        ("[LINE] Chat history with Ann\n10:31 Ann so late", "line 1: .* is the title of a chat's"),
        (
            "10:31 Ann so late\n10:32 Ben oh\n10:33 Ann yes",
            "line 1: .* 2 more of 3 lines hold a time",
        ),
        (
            "2024.05.12 Sunday\n10:31 Ann hi\n10:32 Ben hello there",
            "line 2: .* 1 more of 3 lines hold a time",
        ),
        ("2024-05-12\n10:31 Ann hi\n2024-05-13\n10:32 Ben yo", "line 2: .* hold a time"),
        ("午前9:05 Ann yes\n午前9:06 Ben no\n午前9:07 Ann so", "line 1: .* hold a time"),
        (
            "so late  10:31\noh no (오전 10:32)\nyes\t10.33 am",
            "line 1: .* 2 more of 3 lines hold a time",
        ),
        ("10.31 Uhr Ann so\n10.32.05 Ben oh\n10.33 am Ann yes", "line 1: .* hold a time"),
        ("So late\tanger\nLucky\tjoy", "line 1: .* have tabs in them"),
        ("I am late again\tanger\nLucky\tjoy", "line 1: .* have tabs in them"),
        (
            "Great\tI feel joy today\nWhat\tI was surprised by\nOkay\tneutral and calm",
            "line 1: .* have tabs in them",
        ),
        (
            "10:31\tGreat\tI feel joy\n10:32\tWhat\tI was scared\n10:33\tOkay\tso I am calm",
            "may be times, names and texts, or times",
        ),
        ("1\tAnn\tSo late\n2\tBen\tOh no!", "line 1: .* have tabs in them"),
        ("10:31\tSo late\tanger\n10:32\tLucky\tjoy", "may be times, names and texts, or times"),
        ("Ann\tSo late\nBen\tOh no!\nAnn: yes", "line 3: a name and a tab were expected"),
    ],
)
def test_layouts_that_are_not_surely_read_are_refused(text, match):
    with pytest.raises(UserError, match=match):
        read_transcript(text)
    read = list(items("txt", lines_of(text, "chat.txt")))
    assert read[0].problem


@pytest.mark.parametrize(
    "text",
    [
        "When?\n10:30\nOK",
        "10:30 is fine\nthen come",
        "Ann: when?\nBen: 2024-05-12 10:31",
        "10:31:05",
        "2024.05.12 Sunday\n10:31 would do\nOr later",
        "10:31 would do\n2024.05.12 Sunday\nso",
        "It is 10.50\nToo much, 9.20\nok 9.90\ndeal 9.80",
        "1.30 is fine\n2.45 then\n3.15 ok",
        "10.50\n9.20\n9.80\ndeal",
        "See you at 10:31\nNo, make it 11:05\nOk, 11:10\nGreat",
        "What time works for you?\n10:30\n11:00 or 11:30?\n11:30\nGreat, 11:30",
        "At 10:15 then\nNo 11:05 please\nok 11:10 it is",
        "10:15 is fine\nnot at all  11:05\n11:10 then\nwhat?",
        "Ann: see\tthis\nBen: that\tone",
        "Hello\tthere",
    ],
)
def test_times_and_tabs_that_somebody_gives(text):
    both(text)
