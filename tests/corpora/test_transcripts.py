"""Lines of text, and who says them."""

import time

import pytest

from eacl_jax.corpora.transcripts import (
    NOBODY,
    TranscriptLines,
    read_line,
    read_transcript,
    reads_back,
    split_lines,
)
from eacl_jax.dialogue import Utterance
from eacl_jax.errors import UserError


def read(text):
    return [(u.speaker, u.text) for u in read_transcript(text).utterances]


@pytest.mark.parametrize(
    ("line", "speaker", "text"),
    [
        ("Ann: hello", "Ann", "hello"),
        ("  Ann :hello: you", "Ann", "hello: you"),
        ("Mary Ann O'Neil: hi", "Mary Ann O'Neil", "hi"),
        ("Dr Ann Mary Lee Jo: hi", "Dr Ann Mary Lee Jo", "hi"),
        ("Jan de Vries: hoi", "Jan de Vries", "hoi"),
        ("Agent_2: hi", "Agent_2", "hi"),
        ("@cid: hi", "@cid", "hi"),
        ("1337_guy: gg", "1337_guy", "gg"),
        ("🔥Max🔥: yo", "🔥Max🔥", "yo"),
        ("+49 151 2345: hi", "+49 151 2345", "hi"),
        ("Жанна: привет", "Жанна", "привет"),
        ("Ann:", "Ann", ""),
        ("[SPEAKER_00]: hi", "SPEAKER_00", "hi"),
        ("[10:31] [SPEAKER_00]: hi", "SPEAKER_00", "hi"),
        ("<NAME>: hi", "NAME", "hi"),
        ("(Agent): hi", "Agent", "hi"),
        ("{{name}}: hi", "name", "hi"),
        ('"Agent": hi', "Agent", "hi"),
        ("**Agent:** hi", "Agent", "hi"),
        ("**Agent**: hi", "Agent", "hi"),
        ("+1 (555) 123-4567: hi", "+1 (555) 123-4567", "hi"),
        ("0171 234567: hi", "0171 234567", "hi"),
        ("Speaker 0 [0:01 - 0:04]: hi", "Speaker 0", "hi"),
        ("[0:01 - 0:04] Speaker 0: hi", "Speaker 0", "hi"),
        ("安妮：你好", "安妮", "你好"),
        ("我的问题，是：为什么", NOBODY, "我的问题，是：为什么"),
        ("01-02-2024: hi", NOBODY, "01-02-2024: hi"),
        ("*laughs* I know: no", NOBODY, "*laughs* I know: no"),
        ("(a: b)", NOBODY, "(a: b)"),
        ("- Agent: hi", NOBODY, "- Agent: hi"),
        ("12/05/2024, 10:31 - Ann: hi", "Ann", "hi"),
        ("[10:32] Ben: hi", "Ben", "hi"),
        ("[2024-05-12T10:32:01Z] Ben: hi", "Ben", "hi"),
        ("10:31 Ann: hi", "Ann", "hi"),
        ("Ann (10:31 AM): hi", "Ann", "hi"),
        ("Ann: at 10:31: yes", "Ann", "at 10:31: yes"),
        ("Ann (12.05.24, 10:31): hi", "Ann", "hi"),
        ("User Ann 10:31: hi", "User Ann", "hi"),
        ("\u200fAnn\u200f: hi", "Ann", "hi"),
        ("User1:50 cents", "User1", "50 cents"),
        ("At 12:30 I left", NOBODY, "At 12:30 I left"),
        ("ratio 16:9 screen", NOBODY, "ratio 16:9 screen"),
        ("see http://x.org", NOBODY, "see http://x.org"),
        ("http://x.org is down", NOBODY, "http://x.org is down"),
        ("10:30 is fine", NOBODY, "10:30 is fine"),
        ("10:30 - 11:00: meeting", NOBODY, "10:30 - 11:00: meeting"),
        ("[10:31] hello there", NOBODY, "[10:31] hello there"),
        ("1337: hi", NOBODY, "1337: hi"),
        ("3 things: a, b", NOBODY, "3 things: a, b"),
        ("no colon", NOBODY, "no colon"),
        ("at 10:30: come", NOBODY, "at 10:30: come"),
        ("My only question is: why?", NOBODY, "My only question is: why?"),
        ("I will tell you one more thing: no", NOBODY, "I will tell you one more thing: no"),
    ],
)
def test_the_speaker_of_a_line(line, speaker, text):
    assert read_line(line) == Utterance(speaker, text)
    assert read(line) == [(speaker, text)]


def test_line_feeds_and_carriage_returns_end_a_line_and_nothing_else():
    text = "Ann: I hate\u2028waiting\x0cfor\x85you\x1c!\rBen: hi\r\nCy: a\nDee: b\n"
    assert read(text) == [
        ("Ann", "I hate\u2028waiting\x0cfor\x85you\x1c!"),
        ("Ben", "hi"),
        ("Cy", "a"),
        ("Dee", "b"),
    ]
    assert split_lines("a\n\nb\r") == ["a", "", "b"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (  # WhatsApp, Android: a note of the program, a message of several lines, a sender with any name
            (
                "12/05/24, 10:31 - Messages are encrypted.\n12/05/24, 10:31 - Ann: one\ntwo:"
                " lines\n\nthree\n12/05/24, 10:33 - my boss (at work): no"
            ),
            [
                ("Ann", "one\ntwo: lines\n\nthree"),
                ("my boss (at work)", "no"),
            ],
        ),
        (  # WhatsApp, iOS, with its mark of direction
            "[12.05.24, 10:31:22] Ann: hi\n\u200e[12.05.24, 10:31:24] +49 151 234: <image>",
            [("Ann", "hi"), ("+49 151 234", "<image>")],
        ),
        (  # notes of the program are nobody's message
            (
                "[12/05/2024, 10:31:22] Ann: hi\nyou\n[12/05/2024, 10:32:22] Ben left\n[12/05/2024,"
                " 10:33:22] Cy Added Ben\nmore"
            ),
            [("Ann", "hi\nyou")],
        ),
        (
            "2024-05-12 10:30:05 Cy left\n2024-05-12 10:31:00 Ann: hi\n2024-05-12 10:31:05 Ben left",
            [("Ann", "hi")],
        ),
        (
            "[10:31, 12/05/2024] Ann: hi\nyou\n[10:32, 12/05/2024] Ben: yo",
            [("Ann", "hi\nyou"), ("Ben", "yo")],
        ),
        (
            "10:31, 12/05/2024 - Ann: hi\n10:32, 12/05/2024 - Ben left",
            [("Ann", "hi")],
        ),
        ("Ann Smith 10:31 AM\nhi\nBen Lee 10:32 AM\nyo", [("Ann Smith", "hi"), ("Ben Lee", "yo")]),
        (
            "Ann Smith, [12.05.2024 10:31]\nhi\nBen, [12.05.2024 10:32]\nyo",
            [("Ann Smith", "hi"), ("Ben", "yo")],
        ),
        ("\ufeffAnn: hi", [("Ann", "hi")]),
        (
            "Ann Smith  10:31 AM\nI hate it\nreally\nBen  10:32 AM\nSorry!",
            [("Ann Smith", "I hate it\nreally"), ("Ben", "Sorry!")],
        ),
        (
            "Ann — Today at 10:31 AM\nhey\nBen — 12/05/2024 10:32\nyo",
            [("Ann", "hey"), ("Ben", "yo")],
        ),
        ("[10:31 AM] Ann Smith\nhey\n[10:32 AM] Ben\nyo", [("Ann Smith", "hey"), ("Ben", "yo")]),
        (
            "2024-05-12 10:31:00 Ann: hi\n2024-05-12 10:31:05 Ben: yo",
            [("Ann", "hi"), ("Ben", "yo")],
        ),
        (  # what is quoted in another style, or begins with a time alone, goes on with a message
            (
                "12/05/2024, 10:31 - Ann: my plan\nDinner 7:30 pm\n10:30 - Dentist: bring card\n[10:12,"
                " 12/05/2024] Carl: no\n12/05/2024, 10:33 - Ben: ok\nso be it\n\nsee you"
            ),
            [
                (
                    "Ann",
                    (
                        "my plan\nDinner 7:30 pm\n10:30 - Dentist: bring card\n[10:12, 12/05/2024]"
                        " Carl: no"
                    ),
                ),
                ("Ben", "ok\nso be it\n\nsee you"),
            ],
        ),
        (  # a note of the program, with a colon in what it quotes
            '12/05/2024, 10:31 - Ann named it "Fun: us"\n12/05/2024, 10:33 - Ben "Big B" Lee: ok',
            [('Ben "Big B" Lee', "ok")],
        ),
        (  # marks of direction around a name
            "[12.05.24, 10:31:22] \u2068Ann\u2069: hi\n[12.05.24, 10:31:24] Ann: why",
            [("Ann", "hi"), ("Ann", "why")],
        ),
        (  # times without a date: who is named says it, and who is not goes on
            "[00:01] Ann: hello\nand more\nBen: hi\nAnn: I hate this\nno name\n[00:02] Cy: me",
            [
                ("Ann", "hello\nand more"),
                ("Ben", "hi"),
                ("Ann", "I hate this"),
                (NOBODY, "no name"),
                ("Cy", "me"),
            ],
        ),
        (  # titles above transcripts
            "Call 1 (14:05)\nAnn: a\nBen: b\n\nCall 2 (15:05)\nAnn: c",
            [
                (NOBODY, "Call 1 (14:05)"),
                ("Ann", "a"),
                ("Ben", "b"),
                (NOBODY, "Call 2 (15:05)"),
                ("Ann", "c"),
            ],
        ),
        ("Ann Smith 10:31 AM\nNote: bring it", [("Ann Smith", "Note: bring it")]),
        (  # one dated message alone is no export, where others begin with a time
            "12/05/2024, 10:31 - Ann: hi\n[10:32] Ben: yo\n@cid: me too\nMy only question is: why?",
            [
                ("Ann", "hi"),
                ("Ben", "yo"),
                ("@cid", "me too"),
                (NOBODY, "My only question is: why?"),
            ],
        ),
        (  # what the program itself notes, before anybody speaks
            "[12/05/2024, 10:29:11] Messages are encrypted.\n[12/05/2024, 10:31:02] Ann: I hate\n"
            "the bus\n[12/05/2024, 10:31:30] Ben left",
            [("Ann", "I hate\nthe bus")],
        ),
        (  # a title; notes with a colon in them; and what stands for pictures
            (
                "WhatsApp Chat with Ann\n\n12/05/2024, 10:31 - Ann: hi\nyou\n12/05/2024, 10:33 - Ann"
                " added Ben: x\n12/05/2024, 10:33 - Ben changed the subject from Fun to Us: all"
                "\n12/05/2024, 10:33 - Ben: <Media omitted>\n12/05/2024, 10:34 - Ben: <Media omitted>"
                "\nsee\n"
            ),
            [("Ann", "hi\nyou"), ("Ben", "see")],
        ),
        (
            (
                "[12/05/24, 10:31:22] Ann: \u200eMessages and calls are end-to-end encrypted. No one"
                " reads.\n[12/05/24, 10:31:24] Ann: \u200eimage omitted\n[12/05/24, 10:31:30] Ann: hm"
            ),
            [("Ann", "hm")],
        ),
        (
            "Standup, Monday\nSome notes\n\nAnn Smith  0:05\nhi\n\nBen  0:11\nyo",
            [("Ann Smith", "hi"), ("Ben", "yo")],
        ),
        (  # one message below a title is no export
            "Title\n12/05/2024, 10:31 - Ann: hi\nyou",
            [(NOBODY, "Title"), ("Ann", "hi"), (NOBODY, "you")],
        ),
        (  # a log in which nobody is named
            "12/05/2024, 10:31 - hello\nyou\n12/05/2024, 10:32 - so",
            [(NOBODY, "hello\nyou"), (NOBODY, "so")],
        ),
        (  # a title with a date above a plain transcript
            "[12/05/2024, 10:29] Interview\nAnn: hi\nBen: yo",
            [(NOBODY, "[12/05/2024, 10:29] Interview"), ("Ann", "hi"), ("Ben", "yo")],
        ),
        ("[12/05/2024, 10:29] hi", [(NOBODY, "[12/05/2024, 10:29] hi")]),
        (  # names in small letters, where name and time stand as above the first message
            (
                "Ann Smith  10:31 AM\nI hate it\nben.jones  10:33 AM\nSorry\nsupport botAPP"
                "  10:33 AM\nhm\nlunch (12:30)\nback  10:30"
            ),
            [
                ("Ann Smith", "I hate it"),
                ("ben.jones", "Sorry"),
                ("support botAPP", "hm\nlunch (12:30)\nback  10:30"),
            ],
        ),
        (
            "Ann — Today at 10:31 AM\nhey\nben — Today at 10:33 AM\nyo\nlunch — 12:30",
            [("Ann", "hey"), ("ben", "yo\nlunch — 12:30")],
        ),
        (
            "[10:31 AM] Ann Smith\nhey\n[10:34 AM] carl\nyo",
            [("Ann Smith", "hey"), ("carl", "yo")],
        ),
        (
            "spk_1  0:05\nhey\n\nspeaker 2  0:11\nyo\nthere",
            [("spk_1", "hey"), ("speaker 2", "yo\nthere")],
        ),
        ("dinner  7:30\nok", [(NOBODY, "dinner  7:30"), (NOBODY, "ok")]),
        ("dinner  7:30\nAnn: hi", [(NOBODY, "dinner  7:30"), ("Ann", "hi")]),
        (  # iMessage
            (
                "May 12, 2024 10:31:05 AM\nAnn\nhello\n\nyou\n\nMay 12, 2024  10:32:05 AM (Read by"
                " you after 2 minutes)\n+15551234567\nyo\n"
            ),
            [("Ann", "hello\n\nyou"), ("+15551234567", "yo")],
        ),
        ("Ann: Hello  10:31\nBen: ok", [("Ann", "Hello  10:31"), ("Ben", "ok")]),
        ("Meeting at 10:31\nok", [(NOBODY, "Meeting at 10:31"), (NOBODY, "ok")]),
    ],
)
def test_chat_exports(text, expected):
    assert read(text) == expected
    lines = TranscriptLines()
    found = [each for n, line in enumerate(split_lines(text)) for each in lines.read(line, n)]
    found += lines.finish()
    assert [(each.utterance.speaker, each.utterance.text) for each in found] == expected


@pytest.mark.parametrize(
    "date",
    [
        "12.5.2024 klo 10.31 - ",
        "12/05/2024 à 10:31 - ",
        "[12. 5. 2024 10:31:22] ",
        "2024. 05. 12. 10:31 - ",
        "2024. 5. 12. 오후 3:45 - ",
        "[2024/5/12 上午10:31:05] ",
        "2024年5月12日 上午10:31 - ",
        "12\u200f/5\u200f/2024، 10:31 ص - ",
        "[12\u200f/5\u200f/2024، 10:31:05 م] \u200f",
        "١٢/٥/٢٠٢٤، ١٠:٣١ ص - ",
        "12.05.2024 г., 10:31 - ",
        "12/5/24, 10:31\u202fa.\u00a0m. - ",
    ],
)
def test_dates_of_other_countries(date):
    text = f"{date}Ann: hi\nyou\n{date}my boss: no\n{date}Ben left"
    assert read(text) == [("Ann", "hi\nyou"), ("my boss", "no")]


@pytest.mark.parametrize(
    "text",
    [
        "Ann, [12 May 2024 at 10:31:05]:\nhi\nBen, [12 May 2024 at 10:32:05]:\nyo",  # Telegram
        "Ann, [12 May 2024 at 10:31:05]: hi\nBen, [12 May 2024 at 10:32:05]: yo",
        "10:31:05 From Ann to Everyone: hi\n10:31:15 From Ben to Ann:\n\tyo",  # Zoom
        "[10:31] <Ann> hi\n10:32 <@Ben> yo",  # IRC
    ],
)
def test_chats_of_other_programs(text):
    assert read(text) == [("Ann", "hi"), ("Ben", "yo")]


@pytest.mark.parametrize(
    "date", ["12.05.2024 @ 10h31", "2024년 5월 12일 (오후 3:45)", "[12/05/2024]"]
)
def test_dates_that_are_not_read_are_refused(date):
    text = f"{date} Ann: hi\nyou\n{date} Ben: so"
    with pytest.raises(UserError, match=r"line 1: .* and 1 more of 3 lines begin with what looks"):
        read(text)
    read(text.partition("\n")[0])
    read(f"Ann: hi\n{text}")


def test_an_export_that_goes_on_in_another_style_is_refused():
    one = "12/05/2024, 10:31 - Ann: hi\n12/05/2024, 10:32 - Ben: yo\n"
    other = "[12/05/2024, 10:33:01] Cy: so\n"
    assert read(one + other * 5)[1][1].count("Cy") == 5  # quoted
    with pytest.raises(UserError, match="line 8: the chat goes on in another style"):
        read(one + other * 6)


def test_a_date_without_a_name_below_it_is_refused_in_an_export_that_has_names_there():
    text = "May 1, 2024 10:31 AM\nAnn\nhi\nMay 2, 2024 10:31 AM\nso I told him: no"
    with pytest.raises(UserError, match="line 5: a line with the speaker's name was expected"):
        read(text)


@pytest.mark.parametrize("form", ["- {}: hi", "1. {}: hi", "<{}> hi", "* 3) {}: hi"])
def test_names_that_cannot_be_read_are_refused_where_all_lines_begin_so(form):
    lines = [form.format(name) for name in ("Ann", "Ben", "Cem")]
    for more in ([], ["so", "well", "yes"]):
        with pytest.raises(UserError, match=r"line 1: .* and so do 2 more of . lines, but no name"):
            read("\n".join([*lines, *more]))
    read("\n".join([*lines, "a", "b", "c", "d"]))
    read("\n".join([*lines, "Ann: hi"]))
    read("\n".join(lines[:2]))


def test_the_head_of_an_email_names_no_speakers():
    for head in ("From: Ann\nTo: Ben\nSubject: The bus", "Von: Ann\nBetreff: Der Bus"):
        with pytest.raises(UserError, match="line 2: this is the head of an e-mail"):
            read(f"\n{head}\n\nI hate it\n> so do I\n")
    thread = "From: Ann\nTo: Ben\nSubject: it\nhi\nFrom: Ben\nTo: Ann\nSubject: it\nyes"
    with pytest.raises(UserError, match="line 1: this is the head of an e-mail"):
        read(thread)
    talk = "Interviewer: why?\nSubject: I hate it\n"
    assert read(talk) == [("Interviewer", "why?"), ("Subject", "I hate it")]


@pytest.mark.parametrize(
    "talk",
    [
        "A: How do you feel?\nSubject: Sad.\nA: Why?\nSubject: I lost it.",
        "An: Hi!\nSubject: so",
        "An: Hallo\nBetreff: die Rechnung\nAn: ja",
        "A: hi\nB: hello\nDa: so\nOggetto: joined",
    ],
)
def test_speakers_who_are_called_as_fields_of_an_email(talk):
    assert len(read(talk)) == talk.count("\n") + 1


def test_a_title_that_is_left_out_is_reported(caplog):
    read("Chat with Ann\n12/05/2024, 10:31 - Ann: hi\n12/05/2024, 10:32 - Ben: yo")
    assert caplog.messages == [
        "the text: 1 line above a chat's first message was left out, as a title"
    ]


def test_names_that_are_read_back():
    assert all(map(reads_back, ("Ann", "@x", "Dr Ann Mary Lee Jo", "Ann-Lee 2")))
    assert not any(
        map(
            reads_back,
            ("1337", "Ann (no: really)", "", "Ann:", "Ann 10:31", " Ann", "I really do think"),
        )
    )


def test_what_cannot_be_text_is_named():
    with pytest.raises(
        UserError, match="the text line 2: field 'text' holds a null character at position 1"
    ):
        read_transcript("Ann: hi\nBen: a\0b")


@pytest.mark.parametrize("piece", [" ", "1", "[ "])
def test_long_lines_take_no_longer_than_their_length(piece):
    line = piece * (10**6 // len(piece))  # at the square of the length this would not end
    assert read(line) == [(NOBODY, line.strip())][: bool(line.strip())]


@pytest.mark.parametrize(
    "line",
    [
        "a" + " " * 116 + "b",
        "a" + "\u200e" * 117,
        "a —" * 40,
        "Ann 1 May 2020 " * 8,
        "(" + " " * 118,
    ],
)
def test_a_line_is_read_in_a_time_that_callers_can_afford(line):
    began = time.perf_counter()
    read_transcript("\n".join(f"{line[:-3]}{n:03}" for n in range(200)))
    assert time.perf_counter() - began < 1
