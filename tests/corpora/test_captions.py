"""Captions: cues with times, and who speaks in them."""

import pytest

from eacl_jax.corpora.transcripts import read_transcript
from eacl_jax.errors import UserError

VTT = """WEBVTT
Kind: captions

NOTE made: by hand

STYLE
::cue { color: red }

1
00:00:01.000 --> 00:00:04.000 align:start position:0%
<v Ann Lee>I <i>got</i> <00:00:02.000>it &amp; more!</v>

a1b2/12-0
00:05.000 --> 00:06.000
<v Ben>What?
really: no</v> <v.loud Cem>Yes

NOTE a
b

00:07.000 --> 00:08.000
&gt;&gt; hi
"""
SRT = """1
00:00:01,000 --> 00:00:04,000
Ann: I got it
at last

2
00:00:04,000 --> 00:00:05,000
{\\an8}no name
the end: no
3
00:00:06,000 --> 00:00:07,000
ANN: one
BEN: two

three
"""
WHISPER = "[00:00.000 --> 00:04.000]  I hate it\n[00:04.000 --> 01:00:06.000]  Ann: so\nmore\n"
READ = {
    "vtt": (
        VTT,
        [
            ("Ann Lee", "I got it & more!"),
            ("Ben", "What? really: no"),
            ("Cem", "Yes"),
            ("Speaker", "hi"),
        ],
    ),
    "srt": (
        SRT,
        [
            ("Ann", "I got it at last"),
            ("Speaker", "no name the end: no"),
            ("ANN", "one"),
            ("BEN", "two three"),
        ],
    ),
    "whisper": (WHISPER, [("Speaker", "I hate it"), ("Ann", "so more")]),
    "below a title": (f"A call\n{SRT[:55]}", [("Ann", "I got it at last")]),
}


@pytest.mark.parametrize("kind", READ)
def test_a_cue_is_an_utterance(kind):
    text, expected = READ[kind]
    for ends in ("\n", "\r\n"):
        read = read_transcript(text.replace("\n", ends)).utterances
        assert [(each.speaker, each.text) for each in read] == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"Ann: hi\n{SRT}", "the text line 3: times of captions stand below lines that are none"),
        ("WEBVTT\n\nAnn: hi", "the text begins as captions do, with WEBVTT, and holds no times"),
    ],
)
def test_what_is_captions_in_part_is_refused(text, message):
    with pytest.raises(UserError, match=message):
        read_transcript(text)


def test_arrows_and_words_are_no_captions():
    read = read_transcript("WEBVTTs are odd\nAnn: a --> b\nWEBVTT\n").utterances
    assert [each.text for each in read] == ["WEBVTTs are odd", "a --> b", "WEBVTT"]
