"""Plain transcripts that would be answered, and were not meant so."""

import re

from eacl_jax.corpora.messengers import COLUMNS, is_day
from eacl_jax.corpora.names import HALF_FIRST, MARKS, begins_like_a_name
from eacl_jax.errors import UserError

_FEWEST = 3
_DATE = re.compile(
    rf"[\s\[({MARKS}]*\d{{1,4}}[\s{MARKS}]*[./年년-][\s{MARKS}]*\d{{1,2}}[\s{MARKS}]*[./月월-][\s{MARKS}]*\d{{1,4}}"
)
# A time in figures: 10.50 alone is a price.
_HALF_BEHIND = r"(?:\s?[^\W\d_]\.?\s?[Mm]\b\.?)"
_ANY_FIGURES = (
    rf"\d{{1,2}}[:.]\d{{2}}(?:[:.]\d{{2}})?(?:[.,]\d{{1,6}})?(?:{_HALF_BEHIND}|\s?(?:Uhr|Z))?"
)
_FIGURES = (
    rf"(?!\d{{1,2}}\.\d{{2}}(?!\d|[:.]\d{{2}}(?!\d)|{_HALF_BEHIND}|\s?(?:Uhr|Z)\b)){_ANY_FIGURES}"
)
# At a line's beginning, with more behind it, or at its end, apart from what is there: a time that
# somebody gives, `ok 11:10`, is a part of what they say. And lines of a date or time alone.
_BEGINS_AT = re.compile(rf"[\[(]?(?:{HALF_FIRST}\s?)?{_FIGURES}(?=[\])\s|,-]+[^\])\s|,-])")
_ENDS_AT = re.compile(
    rf"(?:\t|\s{{2,}}|[\[(])(?:(?:{HALF_FIRST}|[^\W\d_]{{1,3}}\.?)\s?)?{_FIGURES}[\])]?$"
)
_HALF_OR_DAY = r"(?:[^\W\d_]{1,3}\.?\s?)?"
_TIME = rf"{_HALF_OR_DAY}{_FIGURES}"
_WORD = r"(?:[^\W\d_]{1,10}[.,]?\s)"  # a weekday, a month; `at`, `um`
_DAY = (
    r"(?:\d{1,4}[./-]\s?\d{1,2}[./-]\s?\d{2,4}\.?|\d{4}[年년]\s?\d{1,2}[月월]\s?\d{1,2}[日일]"
    r"|\d{1,2}\.?\s[^\W\d_]{3,10}\.?,?\s\d{4}|[^\W\d_]{3,10}\.?\s\d{1,2},?\s\d{4})"
)
_RULE = r"[\[(\s–—=-]*"
_BARE = re.compile(
    rf"{_RULE}(?:(?P<day>{_WORD}?{_DAY})(?:[,T\s]+{_WORD}?(?P<at>{_HALF_OR_DAY}{_ANY_FIGURES}))?|(?P<time>{_TIME}))"
    r"(?:\s\([^()]{1,30}\))?[\])\s–—=-]*"
)
# Above an export of LINE or KakaoTalk.
_TITLE = re.compile(r"\[LINE\]|KakaoTalk Chats? with|.{1,40}님과 카카오톡 대화")
_SECONDS = re.compile(r"\d[:.]\d{2}[:.]\d{2}")

# Fields of an e-mail's head by language: what it is about, its sender and its recipients.
_SUBJECTS = {
    "subject": {"from", "to"},
    "betreff": {"von", "an"},
    "objet": {"de", "à"},
    "asunto": {"de", "para"},
    "assunto": {"de", "para"},
    "oggetto": {"da", "a"},
}
_LONGEST_FIELD, _LONGEST_STAMP = 20, 60
_HEAD = set(_SUBJECTS).union(
    *_SUBJECTS.values(),
    ("date", "datum", "data", "fecha", "sent", "gesendet", "envoyé", "enviado", "inviato"),
    ("cc", "bcc", "reply-to", "return-path", "received", "delivered-to", "message-id"),
    ("mime-version", "content-type"),
)


def is_stamp(text: str) -> bool:
    """Whether a text is a date or time and nothing else."""
    return len(text) < _LONGEST_STAMP and bool(_BARE.fullmatch(text))


class Unread:
    """Counts the lines of a plain transcript that look as if there were more to read in them."""

    def __init__(self, name: str, tables: str = "") -> None:
        """Args:
        name: of the text, for messages.
        tables: how a user has tables read, for messages.
        """
        self._name, self._tables = name, tables
        self._lines = self._named = 0
        # Lines that begin as if they named their speaker; the first with its number.
        self._labelled, self._label = 0, ("", 0)
        # Lines without a name that begin with a date.
        self._dated, self._date = 0, ("", 0)
        # Lines without a name that begin with a time; that end with one; that are a date or time
        # alone, of these such as nobody says; and that have columns.
        self._begun = self._ended = 0
        self._bare = self._plainly_bare = self._columns = 0
        # Of the last, dates alone, while there is nothing but these and lines that begin with a time.
        self._days: int | None = 0
        self._of_kind: dict[str, tuple[str, int]] = {}  # the first line of each

        # Fields of an e-mail's head, which stand before a colon as speakers do: only the first
        # lines that do so may be one, with no field twice.
        self._head: dict[str, int] = {}
        self._below_head = self._no_head = False

    def add(self, line: str, number: int, speaker: str) -> None:
        """Counts an utterance.

        Args:
          line: as it stands.
          number: of it.
          speaker: whose name is read; "" for none.
        """
        self._lines += 1
        self._named += bool(speaker)
        self._add_to_head(line, number, speaker)
        if not speaker and begins_like_a_name(line):
            self._label = self._label if self._labelled else (line, number)
            self._labelled += 1
        if not speaker and _DATE.match(line):
            self._date = self._date if self._dated else (line, number)
            self._dated += 1
        line = line.strip()
        if self._lines == 1 and _TITLE.match(line[:_LONGEST_STAMP]):
            self._of_kind["title"] = (line, number)
        if speaker:
            self._days = None
            return
        begins = bool(_BEGINS_AT.match(line[:_LONGEST_STAMP]))
        ends = bool(_ENDS_AT.search(line[-_LONGEST_STAMP:]))
        self._begun += begins
        self._ended += ends
        if self._days is not None and not begins:
            found = _BARE.fullmatch(line) if len(line) < _LONGEST_STAMP else None
            day = is_day(line, COLUMNS) or (found and found["day"] and not found["at"])
            self._days = self._days + 1 if day else None
        elif self._days == 0:
            self._days = None  # no date above it
        for kind in ("begun",) * begins + ("ended",) * ends:
            self._of_kind.setdefault(kind, (line, number))
        if "\t" in line:
            self._columns += 1
            self._of_kind.setdefault("columns", (line, number))
        if len(line) < _LONGEST_STAMP and (bare := _BARE.fullmatch(line)):
            self._bare += 1
            self._plainly_bare += bool(bare["at"] or _SECONDS.search(line))
            self._of_kind.setdefault("bare", (line, number))

    def _add_to_head(self, line: str, number: int, speaker: str) -> None:
        field, colon, _ = line[:_LONGEST_FIELD].partition(":")
        field = field.strip().casefold()
        if not colon or field not in _HEAD:
            # What names nobody may stand above a head, and a long field goes on in a second line.
            self._below_head |= bool(speaker or (self._head and not line[:1].isspace()))
        elif field in self._head:
            self._no_head |= "from" not in self._head  # of speakers, one who speaks again
        elif not self._below_head:
            self._head[field] = number

    def check(self) -> None:
        """Raises `UserError` where most lines hold what is not read, or this is an e-mail."""
        head = self._head.keys()
        if not self._no_head and any(
            subject in head and people & head for subject, people in _SUBJECTS.items()
        ):
            number = min(self._head.values())
            raise UserError(
                f"{self._name} line {number}: this is the head of an e-mail, which names no speakers;"
                " give the utterances alone, as in 'Ann: I got it!', without quoted lines."
            )
        if not self._named and self._labelled >= max(_FEWEST, self._lines / 2):
            line, number = self._label
            raise UserError(
                f"{self._name} line {number}: {line.strip()!r:.60} begins as if it named its"
                f" speaker, and so do {self._labelled - 1} more of {self._lines} lines, but no name"
                " can be read; write 'Ann: I got it!', with nothing before the name."
            )
        if self._dated > max(1, self._lines / 2):
            line, number = self._date
            raise UserError(
                f"{self._name} line {number}: {line.strip()!r:.60} and {self._dated - 1} more of"
                f" {self._lines} lines begin with what looks like a date, but no message can be read"
                " from them; write '12/05/2024, 10:31 - Ann: I got it!', or leave the dates out."
            )
        if title := self._of_kind.get("title"):
            raise UserError(
                f"{self._name} line {title[1]}: {title[0]!r:.60} is the title of a chat's export,"
                " but no message can be read below it; write 'Ann: I got it!', an utterance a"
                " line."
            )
        self._check_columns()
        self._check_times()

    def _check_columns(self) -> None:
        if self._columns > max(1, self._lines / 2):
            line, number = self._of_kind["columns"]
            raise UserError(
                f"{self._name} line {number}: {line!r:.60} and {self._columns - 1} more of"
                f" {self._lines} lines have tabs in them, but nothing tells surely that a name and a"
                " text stand between them; write 'Ann: I got it!', or leave the tabs out."
                f"{self._tables and f' {self._tables}.'}"
            )

    def _check_times(self) -> None:
        plainly = self._plainly_bare  # nobody says a date with a time, or seconds
        if (self._lines > 1 and plainly and 10 * plainly >= self._lines) or (
            self._bare >= _FEWEST and 4 * self._bare >= self._lines
        ):
            line, number = self._of_kind["bare"]
            more = (
                f", as are {self._bare - 1} more of {self._lines} lines" if self._bare > 1 else ""
            )
            raise UserError(
                f"{self._name} line {number}: {line!r:.60} is a date or time alone{more}; chats in"
                " which name, time and text have a line each are not read: write an utterance a"
                " line, 'Ann: I got it!', without dates and times."
            )
        # An export has its times in one column.
        timed, kind = max((self._begun, "begun"), (self._ended, "ended"))
        if below_days := bool(self._days and self._begun):  # as LINE has them, a few are enough
            timed, kind = self._begun, "begun"
        if below_days or (timed >= _FEWEST and 2 * timed > self._lines):
            line, number = self._of_kind[kind]
            raise UserError(
                f"{self._name} line {number}: {line!r:.60} and {timed - 1} more of"
                f" {self._lines} lines hold a time, but no name can be read from them; write"
                " 'Ann: I got it!', or leave the times out."
            )
