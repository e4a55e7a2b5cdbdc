"""Texts -> utterances: `Ann: I got it!` a line, and what chat programs export or put on the
clipboard.

A line ends at a line feed, a carriage return or both, and nowhere else. A plain transcript has an
utterance a line. A chat export begins each message with date and time, in one style throughout:

    12/05/2024, 10:31 - Ann: I hate waiting       WhatsApp; also [12/05/2024, 10:31:22] Ann: ...
                                                  and the like
    Ann Smith  10:31 AM                           Slack, Teams and Discord: a line with name and
    Ann — Today at 10:31                          time, the message below it

    May 12, 2024 10:31:05 AM                      iMessage: a line with date and time, one with the
    Ann                                           name, the message below both

so that what comes without goes on with the message before: a time alone, and what is quoted from
elsewhere in another style. A second message in the style of the first tells that it is an export;
without one, lines that begin with a time make a plain transcript of it, and so do lines that name
speakers below a title, `Interview (14:05)`. A title above an export, which names nobody, and what
the chat program notes in it (`Ben left`, `<Media omitted>`) are no utterances, and no more are
dates above the messages of a day. Where only the time stands before a name, `[10:31] Ann: ...`, a
line that names nobody goes on with the message before, and all else is as in a plain transcript.
Lines `Ann<TAB>I hate waiting` are read where all are so. Times of cues make captions of a text
(`corpora.captions`).
"""

import logging
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from eacl_jax.corpora.captions import CaptionLines, Cue, begins_captions, is_cue
from eacl_jax.corpora.messengers import (
    BRACKETS,
    COLUMNS,
    Columns,
    is_day,
    tabbed,
    unquoted,
)
from eacl_jax.corpora.names import has_capitals, is_name
from eacl_jax.corpora.placeholders import spoken_in
from eacl_jax.corpora.stamps import (
    ABOVE,
    STACKED,
    Beginning,
    beginning_of,
    divide_stamped,
    head_above,
    note_in,
)
from eacl_jax.corpora.texts import check_utterance
from eacl_jax.corpora.unread import Unread, is_stamp
from eacl_jax.dialogue import Dialogue, Utterance, count, counted
from eacl_jax.errors import UserError
from eacl_jax.files.headers import plain

logger = logging.getLogger(__name__)

NOBODY = "Speaker"
"""Who speaks where no name is given."""

A_ROW_EACH = (
    'each utterance a row, or the file as JSON lines, {"id": "1", "transcript": "Ann: ...\\nBen:'
    ' ..."}, whose transcripts are divided'
)
"""What to give in place of cells that hold several utterances."""

_LINE_END = re.compile(r"\r\n|\n|\r")
# Styles with the date before each message.
_STAMPED = ("bracketed", "dashed", "plain")
# Styles that one line is enough to tell.
_SURE = (COLUMNS, BRACKETS)
# Forms in which names in small letters tell an export's style: "lunch (12:30)" is no message.
_PLAIN_FORMS = ("dash", "blanks", "date")
_SECONDS, _NUMBER = re.compile(r":\d{2}:\d{2}\s*$"), re.compile(r"\d")
# Style of lines `Ann<TAB>I hate waiting`.
_TABS = "tabs"
# Lines that name nobody above the first message of an export, or above captions.
_MOST_ABOVE = 20
# Messages of another style, none of the export's style between them, that are not quoted in one.
_MOST_QUOTED = 5
# Lines after which one message alone decides.
_MOST_UNSURE = 200


class ReadUtterance(NamedTuple):
    """An utterance as it was read.

    Attributes:
      utterance: by `NOBODY` where no speaker is named.
      line: on which it begins.
      named: whether its speaker is.
    """

    utterance: Utterance
    line: int
    named: bool


def split_lines(text: str) -> list[str]:
    """The lines of a text, without their ends. A last line that is empty is none."""
    lines = _LINE_END.split(text)
    return lines[:-1] if not lines[-1] else lines


def read_transcript(
    text: str,
    identity: str = "1",
    where: str = "the text",
    *,
    tell: Callable[[str], object] | None = None,
    unnamed: Callable[[int], object] = lambda number: None,
) -> Dialogue:
    """The dialogue in a text, as this module's first lines tell; blank lines are passed over, lines
    without a name are by `NOBODY`.

    Args:
      text: to read.
      identity: of the dialogue.
      where: for messages.
      tell: gets what there is to say of lines that are left out; None: it is logged.
      unnamed: gets `count_unnamed` of its utterances, for `about_unnamed`.

    Raises:
      UserError: a line is not text, or `TranscriptLines` refuses it.
    """
    lines = TranscriptLines(where)
    read: list[ReadUtterance] = []
    for number, line in enumerate(split_lines(text.removeprefix("\ufeff")), 1):
        read += lines.read(line, number)
    read += lines.finish()
    left_out = [about_titles(lines.titles)] if lines.titles else []
    if lines.notes:
        left_out.append(about_notes(lines.notes, bool(read)))
    for message in left_out:
        if tell is None:
            logger.warning("%s: %s", where, message)
        else:
            tell(message)
    unnamed(count_unnamed([each.named for each in read]))
    return Dialogue(identity, tuple(each.utterance for each in read))


def check_one_utterance(text: str, column: str, where: str, remedy: str) -> None:
    """Raises `UserError` where a cell of a column that is called a transcript holds a conversation:
    several lines, and half of them or more, name a speaker.

    Args:
      text: of the cell.
      column: its name.
      where: names the row, for messages.
      remedy: how such texts are given.
    """
    if "transcript" in plain(column) and (named := _several(text)):
        raise UserError(
            f"{where}: the cell of column {column!r} holds {named} lines 'Name: text', which are"
            f" several utterances: give {remedy}."
        )


def _several(text: str) -> int:
    """How many lines of a text name a speaker, where two or more and half of them do; else 0."""
    if not _LINE_END.search(text):
        return 0
    lines = [line.strip() for line in split_lines(text) if line.strip()]
    named = sum(bool(divide_stamped(line) or beginning_of(line).speaker) for line in lines)
    return named if named > 1 and 2 * named >= len(lines) else 0


def about_titles(number: int) -> str:
    """What to say of lines above an export that were left out."""
    were = "were" if number > 1 else "was"
    return f"{count(number, 'line')} above a chat's first message {were} left out, as a title"


def about_notes(number: int, any_left: bool) -> str:
    """What to say of messages of a chat that were left out, and whether anything is left."""
    were = "were" if number > 1 else "was"
    return (
        f"{count(number, 'message')} of a chat {were} left out, as pictures and the program's notes"
        f"{'' if any_left else ', and no utterance is left'}"
    )


def count_unnamed(named: Sequence[bool]) -> int:
    """How many utterances of a dialogue name no speaker, of which `named` says whether each does; 0
    where there is but one, which nobody else's can be taken for.
    """
    return len(named) - sum(named) if len(named) > 1 else 0


def about_unnamed(number: int) -> str:
    """What to say of utterances that name no speaker."""
    who = "it counts as one speaker's" if number == 1 else "they count as one speaker's"
    return f"{counted(number, 'utterance names', 'utterances name')} no speaker; {who}, {NOBODY!r}"


def read_line(line: str, where: str = "the utterance") -> Utterance:
    """The utterance in a line that stands for itself.

    Raises:
      UserError: it is not text, or several lines that name their speakers.
    """
    if named := _several(line):
        raise UserError(
            f"{where} holds {named} lines 'Name: text', which are several utterances: give each by"
            " itself."
        )
    return check_utterance(_plain(line), where)


class _Message(NamedTuple):
    """One that may go on: its first line's number, its speaker ("" where none is named), lines."""

    line: int
    speaker: str
    lines: list[str]


class TranscriptLines:
    """Reads a transcript a line at a time, whatever its length.

    Attributes:
      titles: lines above an export or captions that were left out.
      notes: messages of an export that were, as nobody says anything in them.
    """

    def __init__(self, name: str = "the text", below: int = 0, tables: str = "") -> None:
        """Args:
        name: of the text, for messages.
        below: lines above it that may be a title of it.
        tables: how a user has tables read, for messages.
        """
        self._name, self._below = name, below
        self.titles = self.notes = 0
        # How name and time stand above messages; for names in small letters, which may be texts.
        self._form: tuple[str, bool, bool] | None = None
        self._small = False  # the first message's name is in such letters
        self._weak = False  # it may be something else, unless a second one is there
        # Of the export's messages; "" in a plain transcript, None before one is read.
        self._style: str | None = None
        self._open: _Message | None = None
        # Until a second message tells that this is an export: all lines so far, numbered.
        self._unsure: list[tuple[str, int]] | None = None
        self._apart = 0  # of those, lines that may each be a message
        self._quoted = 0  # lines since the last message that begin one in another style
        # Lines above the first that tells the style: a title, what a chat program noted, or the
        # number of a cue.
        self._above: list[tuple[str, int]] = []
        self._nameless = False  # a log of dates and texts
        self._captions: CaptionLines | None = None
        self._tabbed: list[tuple[str, int]] = []  # lines of a name, a tab and a text, not yet sure
        self._columns = Columns()
        self._days = False  # a date above the messages of its day was there
        self._unread = Unread(name, tables)

    @property
    def exported(self) -> bool:
        """The lines so far are those of a chat export, in which a blank line may be part of a
        message, or of captions.
        """
        return bool(self._captions or (self._in_export and not self._stand_apart()))

    @property
    def sure(self) -> bool:
        """Whether this is an export or captions, whatever comes."""
        return bool(self._captions or (self._in_export and self._unsure is None))

    @property
    def _in_export(self) -> bool:
        return self._style not in (None, "", _TABS)

    @property
    def waits(self) -> bool:
        """Whether all lines so far may be a title of what comes."""
        return self._style is None and not self._captions and not self._tabbed

    def read(self, line: str, number: int) -> Iterator[ReadUtterance]:
        """The utterances that are whole now that this line is read; blank lines may be left out.

        Args:
          line: without its end.
          number: of the line in the input, from 1.

        Raises:
          UserError: it is not text, or an export goes on in another style.
        """
        first = self._style is None and begins_captions(line)
        if self._captions or first or is_cue(line):
            yield from self._read_captions(line, number)
            return
        if not line.strip():
            if self._open:
                self._open.lines.append("")
            return
        if self._style == _TABS or (self._style is None and not self._above):
            if pair := tabbed(line.strip()):
                yield from self._read_tabbed(pair, line, number)
                return
            yield from self._as_tabbed()
            if self._style == _TABS:
                raise UserError(
                    f"{self._where(number)}: a name and a tab were expected, as on the lines"
                    f" above, got {line.strip()!r:.60}; write 'Ann: I got it!', an utterance a"
                    " line."
                )
        begins = self._beginning_of(line)
        if self._style is None:
            if self._waits(begins, line):
                self._above.append((line, number))
                return
            if not begins.dated or begins.noted:
                yield from self._as_plain()
            else:
                self._style, self._form, self._unsure = begins.style, begins.form, []
                self._weak |= begins.style == STACKED or self._titled() or _is_faint(begins, line)
                if begins.style in _SURE:
                    self._unsure, self._weak = None, False
                    self._leave_out_above()
        if not self._style:
            yield from self._read_plain(begins, line, number)
        else:
            yield from self._read_export(begins, line, number)

    def _beginning_of(self, line: str) -> Beginning:
        """As `beginning_of`, for what is known of the style."""
        begins = beginning_of(line)
        if begins.style or self._style not in (None, ABOVE):
            return begins
        head = head_above(line)
        if self._style is None and head.form and head.form[0] in _PLAIN_FORMS:
            self._small = self._weak = True
            return head
        return head if head.form and head.form == self._form else begins

    def _read_export(self, begins: Beginning, line: str, number: int) -> Iterator[ReadUtterance]:
        if begins.style != self._style and (note := note_in(line, self._style or "")):
            begins = Beginning(self._style or "", True, "", note)
        if not begins.style and is_day(line.strip(), self._style or ""):
            self._days = True
            return
        begins_one = begins.dated and begins.style == self._style
        if self._unsure and self._small and begins.form != self._form:
            begins_one = False
        many = len(self._unsure or ()) > _MOST_UNSURE
        apart = self._stand_apart() and ((begins_one and self._style == ABOVE) or many)
        nameless = self._style == STACKED and self._lacks_name(begins_one, line.strip())
        if nameless and self._unsure is None:
            raise UserError(
                f"{self._where(number)}: a line with the speaker's name was expected below the"
                f" date, got {line.strip()!r:.60}; name who says it."
            )
        if apart or nameless or (many and self._weak):
            yield from self._as_plain()
            yield from self._read_plain(begins, line, number)
            return
        if many or (begins_one and (self._unsure or self._noted_above())):
            self._unsure, self._weak = None, False
            self._leave_out_above()
        if self._unsure is not None:
            stamped = begins.speaker and begins.style != ABOVE
            if self._unsure and (stamped or (self._style == ABOVE and names_speaker(line))):
                self._apart += 1
            self._unsure.append((line, number))
        if begins_one:
            yield from self._close()
            if begins.noted:
                self.notes += 1
            else:
                self._begin(begins, number)
            return
        self._quoted += bool(begins.dated and begins.speaker and begins.style != ABOVE)
        if self._quoted > _MOST_QUOTED and self._unsure is None:
            raise UserError(
                f"{self._where(number)}: the chat goes on in another style than it began in, as"
                " where two exports are joined; give each a file of its own."
            )
        if self._open and self._style == STACKED and not self._open.speaker:
            self._open = self._open._replace(speaker=line.strip())
        elif self._open:
            self._open.lines.append(line.strip())

    def _lacks_name(self, begins_one: bool, line: str) -> bool:
        """Whether a line shows that the date before it stands above no message: the line should be
        its speaker's name and is not, or the message ends without a text.
        """
        if not self._open:
            return False
        if self._open.speaker:
            return begins_one and self._unsure is not None and not any(self._open.lines)
        if begins_one:
            return True
        return not is_name(line) or (" " in line and not has_capitals(line))

    def finish(self) -> Iterator[ReadUtterance]:
        """The last utterance, where it is not yet given; of what turns out to be no export, all."""
        if self._captions and not self._captions.found:
            raise UserError(
                f"{self._name} begins as captions do, with WEBVTT, and holds no times of any; give"
                " all of it, or remove that line."
            )
        yield from self._spoken(self._captions.finish() if self._captions else ())
        if (
            self._style == STACKED
            and self._unsure is None
            and self._open
            and not self._open.speaker
        ):
            self._refuse_dates_below(self._open.line)
        yield from self._as_tabbed()
        if self.waits or self._tabbed or self._stand_apart() or (self._unsure and self._weak):
            yield from self._as_plain()
        yield from self._close()
        self._unread.check()
        if self._style == COLUMNS and not (self._days or self._columns.sure):
            raise UserError(
                f"{self._name}: its columns may be times, names and texts, or times, texts and"
                " labels; write 'Ann: I got it!', an utterance a line."
            )

    def _read_tabbed(
        self, pair: tuple[str, str], line: str, number: int
    ) -> Iterator[ReadUtterance]:
        """A line of a name, a tab and a text: given when enough of them tell that they are so."""
        self._columns.add(*pair)
        if self._style == _TABS:
            yield self._utterance(*pair, number)
            return
        self._tabbed.append((line, number))
        if self._columns.again:
            yield from self._as_tabbed()
        elif len(self._tabbed) > _MOST_UNSURE:
            yield from self._as_plain()

    def _as_tabbed(self) -> Iterator[ReadUtterance]:
        """The lines so far as names and texts, where they surely are."""
        if len(self._tabbed) > 1 and self._columns.sure:
            self._style = _TABS
            for each, at in self._tabbed:
                yield self._utterance(*(tabbed(each.strip()) or ("", "")), at)
            self._tabbed = []

    def _where(self, number: int) -> str:
        return f"{self._name} line {number}"

    def _close(self) -> Iterator[ReadUtterance]:
        """The message that ends here."""
        if self._open:
            number, speaker, lines = self._open
            self._open = None
            if self._style == COLUMNS:
                lines = unquoted("\n".join(lines).strip()).split("\n")
                self._columns.add(speaker, lines[0])
            wechat = self._form is not None and self._form[0] == "date"
            if wechat or self._style in (*_STAMPED, *_SURE):
                kept = spoken_in(lines, COLUMNS if wechat else self._style or "")
                if len(kept) < len(lines) and not any(kept):
                    self.notes += 1
                    return
                lines = kept
            yield self._utterance(speaker, "\n".join(lines).strip(), number)

    def _utterance(self, speaker: str, text: str, number: int) -> ReadUtterance:
        utterance = check_utterance(Utterance(speaker or NOBODY, text), self._where(number))
        return ReadUtterance(utterance, number, bool(speaker))

    def _line(self, line: str, number: int) -> ReadUtterance:
        """A line that stands for itself."""
        return self._utterance(*(divide_stamped(line.strip()) or ("", line.strip())), number)

    def _waits(self, begins: Beginning, line: str) -> bool:
        """Whether what stands below must tell what a line is."""
        if begins.noted:
            return len(self._above) < _MOST_UNSURE
        few = len(self._above) + self._below < _MOST_ABOVE
        return few and not begins.style and (not names_speaker(line) or _tells_when(line))

    def _titled(self) -> bool:
        """Whether lines above the first message are no notes of the chat program."""
        return self._below > 0 or not all(beginning_of(line).noted for line, _ in self._above)

    def _noted_above(self) -> bool:
        """Whether the chat program noted something above, in the style of the messages."""
        noted = (beginning_of(line) for line, _ in self._above)
        return any(begins.noted and begins.style == self._style for begins in noted)

    def _refuse_dates_below(self, number: int) -> None:
        raise UserError(
            f"{self._where(number)}: dates seem to stand below the messages here, not above as in"
            " iMessage's chats, so nothing tells surely which speaker's each is; write 'Ann:"
            " I got it!', an utterance a line, without dates."
        )

    def _leave_out_above(self) -> None:
        """Passes over what stands above an export or captions."""
        if self._style == STACKED and len(self._above) + self._below > 1:
            self._refuse_dates_below(self._above[0][1] if self._above else 1)
        for line, _ in self._above:
            noted = beginning_of(line).noted
            self._days |= is_day(line.strip(), COLUMNS)
            self.notes += noted
            self.titles += not noted and not line.strip().isdecimal()
        self._above = []

    def _read_captions(self, line: str, number: int) -> Iterator[ReadUtterance]:
        """A line of captions, or the first one; what stood above is the number of a cue, or a
        title.
        """
        if self._captions is None and self._style is not None:
            raise UserError(
                f"{self._where(number)}: times of captions stand below lines that are none; give"
                " captions a file or text of their own."
            )
        self._captions = self._captions or CaptionLines()
        self._leave_out_above()
        yield from self._spoken(self._captions.read(line, number))

    def _spoken(self, cues: Iterable[Cue]) -> Iterator[ReadUtterance]:
        for cue in cues:
            yield self._utterance(cue.speaker, cue.text, cue.line)

    def _begin(self, begins: Beginning, number: int) -> None:
        self._open = _Message(number, begins.speaker, [begins.text] if begins.text else [])
        self._quoted = 0

    def _read_plain(self, begins: Beginning, line: str, number: int) -> Iterator[ReadUtterance]:
        if self._nameless and begins.noted:
            yield from self._close()
            self._begin(begins, number)
            return
        if self._open and not names_speaker(line):
            self._open.lines.append(line.strip())
            return
        yield from self._close()
        if begins.style and not begins.dated:
            self._unread.add(line, number, begins.speaker)
            self._begin(begins, number)
        else:
            found = self._line(line, number)
            self._unread.add(line, number, found.utterance.speaker if found.named else "")
            yield found

    def _stand_apart(self) -> bool:
        """Whether lines below the only message that is read so far are messages by themselves: one
        begins with a time; or, below what may be a title, as `Interview (14:05)`, all of at least
        two name a speaker.
        """
        if not self._unsure:
            return False
        if self._style == STACKED:
            return False
        if self._style == ABOVE:
            return self._apart == len(self._unsure) - 1 > (0 if self._weak else 1)
        return self._apart > 0

    def _as_plain(self) -> Iterator[ReadUtterance]:
        lines = [*self._above, *self._tabbed, *(self._unsure or ())]
        self._above, self._tabbed = [], []
        self._style, self._open, self._unsure = "", None, None
        first = beginning_of(lines[0][0]) if lines else Beginning()
        self._nameless = first.noted and first.style == "dashed"
        for line, number in lines:
            yield from self._read_plain(beginning_of(line), line, number)


def _is_faint(begins: Beginning, line: str) -> bool:
    """Whether a line may be a title with a date, and no message's: seconds tell WeChat's."""
    found = begins.form and begins.form[0] == "date"
    return bool(found and not _SECONDS.search(line))


def _tells_when(line: str) -> bool:
    """Whether a line says of an export when it was made: `Saved on: 2024/05/12 10:31`."""
    head, _, rest = line.strip().replace("：", ":").partition(":")
    return not _NUMBER.search(head) and is_stamp(rest.strip())


def reads_back(speaker: str) -> bool:
    """Whether `SPEAKER: text` is read as what this speaker says."""
    return _plain(f"{speaker}: text") == Utterance(speaker, "text")


def _plain(line: str) -> Utterance:
    line = line.strip()
    return Utterance(*(divide_stamped(line) or (NOBODY, line)))


def names_speaker(line: str) -> bool:
    """Whether a line that stands for itself does."""
    return divide_stamped(line.strip()) is not None
