"""Captions -> utterances: WebVTT, SubRip (SRT), and the lines that Whisper prints.

    WEBVTT                                 a first line of VTT
    1                                      a cue's number or name, or none
    00:00:01.000 --> 00:00:04.000          its times, which make a text captions
    <v Ann>I got it!</v>                   its text, on one or more lines; also Ann: I got it!

    [00:00.000 --> 00:04.000]  I got it!   a cue of Whisper's

A cue is an utterance, of several if it names several speakers. Notes, styles, where a cue stands on
the screen, and tags are left out.
"""

import html
import re
from collections.abc import Iterator
from typing import NamedTuple

from eacl_jax.corpora.names import MARKS, has_capitals
from eacl_jax.corpora.stamps import divide_stamped

_CODE = r"(?:\d{1,3}:)?\d{1,2}:\d{2}[.,]\d{1,3}"
_TIMES = re.compile(
    rf"[{MARKS}\s]*+(?:{_CODE}\s*+-->\s*+{_CODE}(?:\s.*)?|\[{_CODE}\s*+-->\s*+{_CODE}\](?P<text>.*))",
    re.DOTALL,
)
_FIRST = re.compile(rf"[{MARKS}]*WEBVTT(?:\s|$)")
_ASIDE = re.compile(r"(?:NOTE(?:\s|$)|(?:STYLE|REGION)\s*$)")
# `<v Ann>`, `<v.loud Ann>`
_VOICE = re.compile(r"<v(?:\.[^\s<>]*)?\s++([^<>]*)>")
_TAG = re.compile(
    r"</?(?:b|c|font|i|lang|rt|ruby|u|v)(?:[.\s][^<>]*)?/?>|<[\d:.]+>|\{\\[^{}]*\}", re.IGNORECASE
)
# Before who speaks next, in captions of broadcasts.
_NEXT = re.compile(r"^(?:>>+|&gt;&gt;)\s*")


class Cue(NamedTuple):
    """What a cue says, or one of the speakers in it.

    Attributes:
      line: on which it begins.
      speaker: who says it; "" where nobody is named.
      text: what.
    """

    line: int
    speaker: str
    text: str


def begins_captions(line: str) -> bool:
    """Whether a line is the first of WebVTT, or holds the times of a cue."""
    return bool(_FIRST.match(line)) or is_cue(line)


def is_cue(line: str) -> bool:
    """Whether a line holds the times of a cue."""
    return "-->" in line and bool(_TIMES.fullmatch(line))


class CaptionLines:
    """Reads captions a line at a time.

    Attributes:
      found: whether there was a cue.
    """

    def __init__(self) -> None:
        self.found = False
        # The cue that may go on: its lines, numbered, blank ones too; None above the first one.
        self._cue: list[tuple[str, int]] | None = None
        self._aside = False  # inside a note or a style

    def read(self, line: str, number: int) -> Iterator[Cue]:
        """What is whole now that this line is read."""
        line = line.strip()
        if found := _TIMES.fullmatch(line):
            yield from self._whole(followed=not found["text"])
            self.found = True
            self._cue, self._aside = [(found["text"] or "", number)], False
        elif self._cue is not None:
            after_blank = len(self._cue) > 1 and not self._cue[-1][0]
            self._aside = bool(line) and (self._aside or (after_blank and bool(_ASIDE.match(line))))
            if not self._aside:
                self._cue.append((line, number))

    def finish(self) -> Iterator[Cue]:
        """What the last cue says."""
        yield from self._whole(followed=False)

    def _whole(self, *, followed: bool) -> Iterator[Cue]:
        """What the cue says that ends here.

        Args:
          followed: by times below which the next cue's text stands, and above which its number or
            name may.
        """
        lines, self._cue = self._cue or [], None
        if followed and len(lines) > 1 and _is_number(lines):
            lines = lines[:-1]
        voiced = any(_VOICE.search(line) for line, _ in lines)
        spoken: list[tuple[int, str, list[str]]] = []  # line, speaker, parts of the text
        for line, number in lines:
            for voice, text in _voices(line):
                named = None if voiced else divide_stamped(text)
                if voice:
                    spoken.append((number, voice, [text]))
                # Only a cue that names the first of its speakers names others on its next lines,
                # where captions break sentences.
                elif named and (not spoken or (spoken[0][1] and has_capitals(named[0]))):
                    spoken.append((number, named[0], [named[1]]))
                elif spoken:
                    spoken[-1][2].append(text)
                elif text:
                    spoken.append((number, "", [text]))
        for number, speaker, parts in spoken:
            if text := " ".join(filter(None, parts)):
                yield Cue(number, speaker, text)


def _is_number(lines: list[tuple[str, int]]) -> bool:
    """Whether the last line is the number or name of the cue below: a number, or alone below a
    blank line.
    """
    last, above = lines[-1][0], lines[-2][0]
    return last.isdecimal() or bool(last and not above)


def _voices(line: str) -> Iterator[tuple[str, str]]:
    """Who speaks in a line, and the text: by "" before the first `<v NAME>`."""
    parts = _VOICE.split(line)
    for voice, text in zip(("", *parts[1::2]), parts[::2], strict=True):
        if voice or text.strip():
            yield _plain(voice), _plain(text)


def _plain(text: str) -> str:
    """Without tags, and with what HTML's entities stand for."""
    text = html.unescape(_TAG.sub("", _NEXT.sub("", text.strip())))
    return " ".join(text.split())
