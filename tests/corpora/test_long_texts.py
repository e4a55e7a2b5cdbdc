"""No text takes much longer than its length to be read: one user's would keep all others waiting.

Patterns that look from each of many characters to the end take the square of the length: seconds
to minutes of what is milliseconds here.
"""

import contextlib
import time

import pytest

from eacl_jax.corpora import iemocap
from eacl_jax.corpora.forms import read_utterances
from eacl_jax.corpora.formulas import guarded
from eacl_jax.corpora.labels import read_label, spelling_key
from eacl_jax.corpora.markup import markup_in
from eacl_jax.corpora.messengers import COLUMNS
from eacl_jax.corpora.names import begins_like_a_name, divide
from eacl_jax.corpora.placeholders import is_note, spoken_in
from eacl_jax.corpora.stamps import beginning_of, divide_stamped, note_in
from eacl_jax.corpora.times import clock_of, time_of, zone_of
from eacl_jax.corpora.transcripts import read_line, read_transcript
from eacl_jax.corpora.unread import Unread
from eacl_jax.dialogue import Utterance
from eacl_jax.errors import UserError
from eacl_jax.features.pickles import layouts

LENGTH = 100_000
SECONDS = 2.0
"""Of processor time for a text: of most it is a hundredth."""

PIECES = (
    " ",
    "\t",
    "\u200e",
    "[",
    "(",
    "<",
    "&",
    "-",
    "1",
    "1:1",
    "A",
    "가",
    '"',
    "[ ",
    "<v ",
    "1.",
    "_F",
)


def fields(text):
    turn = {"text": "hi", "speaker": "Ann"}
    turn |= dict.fromkeys(("time", "id", "index", "annotator", "mine"), text)
    return read_utterances([turn] * 3, "1", "x")


def unread(text):
    lines = Unread("x")
    lines.add(text, 1, "")
    lines.check()


READERS = {
    "time": (lambda text: time_of(text, True), "12/05/2024, 10:01"),
    "clock": (clock_of, "10:01"),
    "zone": (zone_of, "10:01"),
    "fields": (fields, "10:01"),
    "name": (divide, "A"),
    "beginning": (beginning_of, "10:31 From "),
    "stamp": (divide_stamped, "[10:31] "),
    "note": (lambda text: note_in(text, "bracketed"), "[12/05/2024, 10:31] "),
    "labelled": (begins_like_a_name, "- "),
    "line": (read_line, "Ann: "),
    "unread": (unread, "12/05/2024"),
    "placeholder": (lambda text: spoken_in([text], "bracketed"), "A"),
    "placeholder of LINE's": (lambda text: spoken_in([text], COLUMNS), "["),
    "note of a program": (lambda text: is_note(Utterance("System", text)), "A"),
    "markup": (markup_in, "<a "),
    "formula": (guarded, ""),
    "label": (lambda text: read_label(text, "x"), "joy"),
    "spelling": (spelling_key, "joy"),
    "chat": (lambda text: read_transcript(f"{text}\n12/05/2024, 10:31 - Ann: hi"), "10:31 - Ann: "),
    "tabs": (lambda text: read_transcript(f"{text}\tx"), "Ann\t"),
    "captions": (lambda text: read_transcript(f"0:01.0 --> 0:04.0\n{text}"), "<v"),
    "Whisper's": (lambda text: read_transcript(f"[00:00.0 --> 00:04.0] {text}"), ""),
    "turn of IEMOCAP's": (iemocap._TURN.fullmatch, "Ses01F_F"),
    "rating of IEMOCAP's": (iemocap._RATING.fullmatch, "[1"),
    "sentence of features": (layouts.plain, ""),
}


@pytest.mark.parametrize("reader", READERS)
def test_a_text_takes_no_longer_than_its_length(reader):
    read, head = READERS[reader]
    for piece in PIECES:
        text = f"{head}{piece * (LENGTH // len(piece))}x: y"
        began = time.process_time()
        with contextlib.suppress(UserError):
            read(text)
        assert time.process_time() - began < SECONDS, f"{head}{piece * 3}..."


def test_a_caption_takes_no_longer_than_all_its_lines():
    line, lines = "a" * 500, 30_000
    text = "0:01.0 --> 0:04.0\n<v Ann>" + f"{line}\n" * lines
    began = time.process_time()
    (spoken,) = read_transcript(text).utterances
    assert time.process_time() - began < 2 * SECONDS
    assert spoken.text == " ".join([line] * lines)
