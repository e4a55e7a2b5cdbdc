"""Which column of a table holds what: by the names that people and programs give them."""

import dataclasses
import re
from collections.abc import Mapping, Sequence
from typing import Any

from eacl_jax.errors import UserError
from eacl_jax.files.headers import LABELS, composed, plain

PARTS = ("dialogue", "speaker", "text", "emotion")
"""What a row says; also the columns' names in this project's tables."""

ABSENT = "none"
"""In place of a column's name, of `MAY_BE_ABSENT`: the table has none. Without one for the dialogue
each row is a dialogue; without one for the speaker nobody is named."""
MAY_BE_ABSENT = ("dialogue", "speaker")

SEVERAL = ("emotions", "annotations")
"""JSON fields with an utterance's labels as lists: all of them, and those of each annotator."""

# Without capitals, blanks and punctuation: `Dialogue_ID`, `dialogue id` and `DialogueId` are one.
_USUAL = {
    "dialogue": (
        """dialogue dialog dialogueid dialogid dialogueno dialoguenumber dia diaid conversation conversationid conv
        convid convoid chat chatid thread threadid session sessionid ticket ticketid"""
    ),
    "speaker": (
        """speaker speakerid speakeridx speakername name author authorname user userid username sender sendername from
        participant participantid role"""
    ),
    "text": "text utterance utterancetext message messagetext msg content body sentence transcript",
    "turn": (
        """utteranceid utteranceidx utteranceindex utteranceno utterancenumber utteranceorder uttid uttidx uttindex uttno
        uttnumber turn turnid turnidx turnno turnnumber turnindex turnorder"""
    ),
}
# They number utterances, or the lines of a page, the messages of one speaker and the like.
_WEAK = frozenset(
    """messageidx messageindex messageno messagenumber msgidx msgindex msgno msgnumber seq seqno seqnum seqnumber
    sequenceindex sequenceno sequencenumber lineidx lineindex lineno linenumber""".split()  # noqa: SIM905
)
# EmotionLines' `annotation` is missing on purpose: it counts votes.
_NAMES = {part: frozenset(names.split()) for part, names in _USUAL.items()} | {"emotion": LABELS}
_LABELS = frozenset({"label", "goldlabel", "emotionlabel"})
_ORDERS = _NAMES["turn"] | _WEAK | {"utterance"}
"""Names of columns that number utterances; `utterance` where it is not the text, as in answers."""
_MOST = 10**18
_WHOLE = re.compile(r"[+-]?\d+(?:\.0*)?")


@dataclasses.dataclass(frozen=True)
class Columns:
    """Where the parts of a row stand, from 0; None for a part that the table does not have: without
    `dialogue` each row is one, without `speaker` nobody is named.

    `turns` may number the utterances of a dialogue (`may_number`): rows are brought into their
    order where they hold whole numbers (`turn_of`).
    """

    dialogue: int | None
    speaker: int | None
    text: int
    emotion: int | None = None
    turns: tuple[int, ...] = ()


def named_apart(name: str, column: int, header: Sequence[str]) -> str:
    """Another name for a column without one, or whose name is there before: with its number behind,
    again where a column is called so.

    Args:
      name: in the header; may be empty.
      column: where it stands, from 0.
      header: the columns' names.
    """
    found = f"{name or 'column'} {column + 1}"
    return named_apart(found, column, header) if found in header else found


def find_columns(
    header: Sequence[str],
    where: str,
    *,
    given: Mapping[str, str] | None = None,
    need: Sequence[str] = PARTS,
    parts: Sequence[str] = PARTS,
    naming: str = "{part}_column",
    kind: str = "column",
    apart: Sequence[int] = (),
    labels_named: str = "",
    about_annotators: str = "",
) -> Columns:
    """Finds the columns of a table by their names.

    A part's column is, in this order: the one that `given` names; the one named as the part itself,
    in any capitals; the only one with a name that is usual for it.

    Args:
      header: the columns' names.
      where: file or file and line, for messages.
      given: names by part; empty or absent: found by itself; `ABSENT`, where no column is called
        so: there is none.
      need: the parts that must be there; `dialogue`, `speaker` and `text` always must.
      parts: those that are looked for at all.
      naming: how a user names a column, for messages.
      kind: what they are in this format, for messages.
      apart: columns of labels that are read in other ways (`label_columns`), from 0; with them,
        the emotion may be missing.
      labels_named: how a user names those of 0 and 1, a label each, for messages.
      about_annotators: what to say of columns that may be annotators' where the emotion is missing.

    Raises:
      UserError: a column is missing, repeats, or several could be meant; lists them and says how to
        name one.
    """
    given = {part: name for part, name in (given or {}).items() if name}
    there = f"its {kind}s are {', '.join(map(repr, header))}"
    found: dict[str, int | None] = {}
    missing = []
    for part in parts:
        columns = _candidates(header, part, given, need, apart)
        if len(columns) > 1:
            several = ", ".join(repr(header[column]) for column in columns)
            how = (
                "rename all but one"
                if len({header[column] for column in columns}) == 1
                else f"name one with {_named(naming, part)}"
            )
            raise UserError(
                f"{where} has more than one {kind} for the {part}: {several}; {how} ({there})."
            )
        found[part] = columns[0] if columns else None
        if not columns and not _may_be_absent(part, given, need, apart):
            missing.append(part)
    if missing:
        names = ", ".join(repr(given.get(part, part)) for part in missing)
        raise UserError(
            f"{where} has no {kind} {names}; {there}."
            f"{_remedy(missing, given, naming, kind, labels_named, about_annotators)}"
        )
    taken = [column for column in found.values() if column is not None]
    twice = {column for column in taken if taken.count(column) > 1}
    if shared := [name for part, name in given.items() if found[part] in twice]:
        raise UserError(
            f"{where}: the {kind} {shared[0]!r} is named for more than one part; {there}."
        )
    turns = turns_in(header, (*taken, *apart)) if found["dialogue"] is not None else ()
    return Columns(**found, turns=turns)  # type: ignore[arg-type]  # text is there


def _candidates(
    header: Sequence[str],
    part: str,
    given: Mapping[str, str],
    need: Sequence[str],
    apart: Sequence[int],
) -> list[int]:
    """Columns that could hold a part, from 0; arguments as of `find_columns`."""
    columns = find_part(header, part, given=given.get(part, ""))
    columns = [column for column in columns if column not in apart]
    if part == "emotion" and part in need and part not in given and len(columns) == 1:
        # A label that somebody added beside what a model answered, or the other way round.
        columns += [p for p in labels_beside(header, columns[0]) if p not in apart]
    return columns


def _may_be_absent(
    part: str, given: Mapping[str, str], need: Sequence[str], apart: Sequence[int]
) -> bool:
    """Whether a table may be without a part; arguments as of `find_columns`."""
    if part == "emotion":
        return part not in given and (bool(apart) or part not in need)
    return part in MAY_BE_ABSENT and is_absent(given.get(part, ""))


def _remedy(
    missing: Sequence[str],
    given: Mapping[str, str],
    naming: str,
    kind: str,
    labels_named: str,
    about_annotators: str,
) -> str:
    """What to do about parts that are missing, in sentences; other arguments as of
    `find_columns`.
    """
    remedy = " Its first line must name the columns." if kind == "column" else ""
    if kind == "field" and {"dialogue", "speaker"} & set(missing):
        remedy = (
            " Each utterance must name its dialogue and its speaker; annotation tools keep such"
            " fields beside the text."
        )
    how = " ".join(_named(naming, part) for part in missing)
    remedy += f" Where they have other names: {how}."
    absent = [part for part in missing if part in MAY_BE_ABSENT and part not in given]
    if absent and absent == missing:  # a message each row, and no conversation
        where_so = "each row stands by itself" if "dialogue" in absent else "nobody is named"
        named = " ".join(_named(naming, part, ABSENT) for part in absent)
        remedy += f" Where {where_so}: {named}."
    if "emotion" in missing and "emotion" not in given and labels_named:
        remedy += (
            f" Where each label has a {kind}, two at least: fill them with 1 and 0, whether an"
            f" utterance has the label, and name them with {labels_named}.{about_annotators}"
        )
    return remedy


def find_part(header: Sequence[str], part: str, *, given: str = "") -> list[int]:
    """Columns that could hold a part, from 0: none, one, or several that names do not tell apart (see
    `find_columns`).
    """
    tries = (
        [
            lambda name: name == given,
            lambda name: composed(name) == composed(given),
            lambda name: composed(name).casefold() == composed(given).casefold(),
        ]
        if given
        else [lambda name: plain(name) == part, lambda name: plain(name) in _NAMES[part]]
    )
    for fits in tries:
        if columns := [column for column, name in enumerate(header) if fits(name)]:
            return columns
    return []


def labels_beside(header: Sequence[str], emotion: int) -> list[int]:
    """Columns, from 0, whose names say that they are the label too."""
    return [
        column for column, name in enumerate(header) if plain(name) in _LABELS and column != emotion
    ]


def turns_in(header: Sequence[str], taken: Sequence[int | None] = ()) -> tuple[int, ...]:
    """Columns that may number utterances, from 0, but for those that hold something else. A turn may
    be several utterances of one speaker, so those that are called so come later, and those that
    may number something else (`is_weak`) last.
    """
    names = {column: plain(name) for column, name in enumerate(header) if column not in taken}
    found = [column for column, name in names.items() if name in _ORDERS]
    return tuple(
        sorted(found, key=lambda column: (is_weak(names[column]), "turn" in names[column]))
    )


def is_weak(name: str) -> bool:
    """Whether a column of this name, `seq` or `line_no`, may also number lines of pages, or what
    one speaker wrote: rows are never sorted by it.
    """
    return plain(name) in _WEAK


def may_number(name: str, numbers: Sequence[int | None]) -> bool:
    """Whether a column of `turns_in` may number the utterances of a dialogue: one of a weak name
    (`is_weak`) where its numbers rise as the rows stand, and are not all one.

    Args:
      name: of the column.
      numbers: of the dialogue's rows (`turn_of`).
    """
    known = [number for number in numbers if number is not None]
    rises = known == sorted(known) and (len(known) < 2 or known[0] < known[-1])
    return rises or not is_weak(name)


def turn_of(cell: Any) -> int | None:
    """The number in a cell that numbers an utterance, as programs write whole numbers: 7, "7",
    "7.0" beside empty cells, -1; None where it holds none of up to 18 digits.
    """
    if isinstance(cell, bool):
        return None
    if isinstance(cell, (int, float)):
        # No float is made of a whole number, which may be too large; NaN is not below any.
        return int(cell) if abs(cell) < _MOST and cell == int(cell) else None
    text = cell.strip() if isinstance(cell, str) else ""
    found = int(text.partition(".")[0]) if len(text) < 40 and _WHOLE.fullmatch(text) else _MOST
    return found if abs(found) < _MOST else None


def numbering(
    numbers: Mapping[int, Sequence[int | None]],
) -> tuple[int | None, tuple[int, ...]]:
    """Which of several columns numbers the rows of a dialogue, and by which numbers features of its
    utterances are named: those of the first column that has a number in each row, and none twice.
    One in which a number stands for several rows, as a turn may be several utterances, orders them
    where there is no other; features then count them from 0. Whatever reads a table goes by this.

    Args:
      numbers: of all rows, by column (`turn_of`).

    Returns:
      The column, None where no column has a number in each row; and the numbers, in the order of
      the rows, none where they count from 0.
    """
    full = {
        column: tuple(number for number in found if number is not None)
        for column, found in numbers.items()
        if None not in found
    }
    for column, found in full.items():
        if len(set(found)) == len(found):
            return column, found
    return next(iter(full), None), ()


def is_absent(name: str) -> bool:
    """Whether a user says, in place of a column's name, that there is none."""
    return plain(name) == ABSENT


def _named(naming: str, part: str, name: str = "NAME") -> str:
    return f"{naming.format(part=part)}={name}"
