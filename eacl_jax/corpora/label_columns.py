"""Several labels in the cells of a row: lists of JSON, labels with a separator between them, a 0/1
column a label, a column an annotator.
"""

import dataclasses
import json
import logging
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from eacl_jax.config import DataConfig
from eacl_jax.corpora.columns import SEVERAL, find_part
from eacl_jax.corpora.labels import (
    KEEP_ALL,
    NONE,
    clean_label,
    read_annotations,
    read_label,
    read_labels,
    written_list,
)
from eacl_jax.errors import UserError
from eacl_jax.files.headers import composed, plain

logger = logging.getLogger("eacl_jax.corpora")

SEPARATORS = (";", "|", ",")
"""Signs that are looked for between labels where none is named."""

_FLAGS = {"0": False, "1": True, "0.0": False, "1.0": True, "false": False, "true": True}
# What stands around labels in a list that is written as text, and between those of a cell.
_NO_WORDS = re.compile(r"[\[\]()\"',;|]+")
_PARTS = ("dialogue", "speaker", "text", "emotion", "turn")
# Rows are often numbered, and short tables have the numbers 0 and 1 only.
_IDS = frozenset(("id", "index", "row", "unnamed0"))
# `anno_1`, `rater B`: one of several of whom each has a column.
_ANNOTATOR = re.compile(
    r"(?:anno|annot|annotator|annotation|rater|rating|coder|labell?er|label|emotion|judge|assessor"
    r"|worker|expert|reviewer|voter|vote)[\s_.-]*(?:\d{1,3}|(?<![a-z])[a-z])",
    re.IGNORECASE,
)
# Facts of a row that no label is named like.
_OF_ROWS = ("is_", "has_", "is ", "has ")

Row = tuple[int, Sequence[Any]]


@dataclasses.dataclass(frozen=True)
class LabelForms:
    """What a user says of how a table has several labels; empty where nothing is given.

    Attributes:
      task: "multi" where cells may hold several labels.
      separator: what stands between them.
      columns: names of columns of 0 and 1, a label each.
      annotators: names of columns of labels, an annotator each.
      separator_named, columns_named, annotators_named: how a user names these, for messages; the
        last is empty where nobody can.
      keep_all: how a user keeps all labels of an utterance, for messages.
    """

    task: str = ""
    separator: str = ""
    columns: tuple[str, ...] = ()
    annotators: tuple[str, ...] = ()
    separator_named: str = dataclasses.field(default="config.data.label_separator", compare=False)
    columns_named: str = dataclasses.field(default="config.data.label_columns", compare=False)
    annotators_named: str = dataclasses.field(
        default="config.data.annotator_columns", compare=False
    )
    keep_all: str = dataclasses.field(default=KEEP_ALL, compare=False)

    @classmethod
    def of_config(cls, data: DataConfig) -> Self:
        """Those that the settings name."""
        return cls(data.task, data.label_separator, data.label_columns, data.annotator_columns)

    def to_options(self) -> dict[str, str]:
        """As a builder's options; none where nothing is given."""
        if self == LabelForms():
            return {}
        given = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.compare}
        return {"labels": json.dumps(given)}

    @classmethod
    def of_options(cls, options: Mapping[str, str]) -> Self:
        """What `to_options` gave."""
        given = json.loads(options.get("labels", "{}"))
        if not given:
            return cls()
        columns, annotators = tuple(given["columns"]), tuple(given["annotators"])
        return cls(given["task"], given["separator"], columns, annotators)

    def read_label(self, value: Any, where: str, field: str) -> str | None:
        """As `labels.read_label`, of a field that may hold what annotators gave, which is no
        label.
        """
        self.check_no_object(value, where, field)
        return read_label(value, where, field=field, keep_all=self.keep_all)

    def check_no_object(self, value: Any, where: str, field: str) -> None:
        """Raises `UserError` where a field of the emotion holds an object; see `read_label`."""
        if isinstance(value, Mapping):
            name = self.annotators_named
            each = name and f"a field each, which {name} names, or as "
            raise UserError(
                f"{where}: the emotion must be a string, or empty where nobody annotated, got"
                f" {value!r:.60} in {field}; if that is what annotators gave, give it as {each}"
                "'annotations', a list with a list of labels an annotator."
            )

    def about_annotators(self, names: Sequence[str]) -> str:
        """What to say of columns or fields that are called as annotators' are, where labels are
        missing; empty where there are none.
        """
        found = [name for name in names if _ANNOTATOR.fullmatch(name.strip())]
        if len(found) < 2 or not self.annotators_named:
            return ""
        return (
            f" Where {', '.join(map(repr, found))} are labels, an annotator each: name them with"
            f" {self.annotators_named}."
        )

    @property
    def divides(self) -> bool:
        """Whether a cell may hold several labels."""
        return self.task == "multi" or bool(self.separator)


@dataclasses.dataclass(frozen=True)
class LabelColumns:
    """Which columns hold labels in one of this module's ways, from 0.

    Attributes:
      emotions, annotations: of lists.
      flags: by label, of 0 and 1.
      annotators: of labels, an annotator each.
      separator: between the labels of a cell; empty where a cell holds one; None where an utterance
        has one.
      forms: what the user says.
      asked: whether labels are read at all; where not, fields of labels are other fields.
    """

    emotions: int | None = None
    annotations: int | None = None
    flags: Mapping[str, int] = dataclasses.field(default_factory=dict)
    annotators: tuple[int, ...] = ()
    separator: str | None = None
    forms: LabelForms = dataclasses.field(default_factory=LabelForms)
    asked: bool = True

    @property
    def all(self) -> tuple[int, ...]:
        """All of them."""
        lists = (self.emotions, self.annotations)
        return (*(p for p in lists if p is not None), *self.flags.values(), *self.annotators)

    def read(
        self, cells: Sequence[Any], header: Sequence[str], emotion: int | None, where: str
    ) -> dict[str, Any]:
        """The labels of a row, as fields of `Utterance`.

        Args:
          cells: of the row.
          header: the columns' names.
          emotion: the column of the one label, or of those that the separator divides.
          where: for messages.

        Raises:
          UserError: a cell is not what it must be.
        """
        found: dict[str, Any] = {}
        main = listed = None
        if emotion is not None:
            field = f"column {header[emotion]!r}"
            if self.separator is None:
                found["emotion"] = self.forms.read_label(cells[emotion], where, field)
            else:
                self.forms.check_no_object(cells[emotion], where, field)
                main = divided(cells[emotion], self.separator, where)
        if self.emotions is not None and cells[self.emotions] is not None:
            listed = read_labels(cells[self.emotions], where, "emotions")
        if self.annotations is not None:
            found["annotations"] = read_annotations(written_list(cells[self.annotations]), where)
        return found | self.read_named(cells, header, where, main=main, listed=listed)

    def read_named(
        self,
        cells: Sequence[Any],
        header: Sequence[str],
        where: str,
        *,
        main: tuple[str, ...] | None = None,
        listed: tuple[str, ...] | None = None,
    ) -> dict[str, Any]:
        """All labels of a row, and those of annotators where they have columns, as fields of
        `Utterance`.

        Args:
          cells, header, where: as of `read`.
          main: what its column of the emotion gives, where it may be several.
          listed: what its list gives.

        Raises:
          UserError: a cell is not what it must be, or columns contradict each other.
        """
        found: dict[str, Any] = {"emotions": main if listed is None else listed}
        if self.flags:
            flags = _beside(main, read_flags(cells, header, self.flags, where), where)
            if listed is not None and flags is not None and {*listed} != {*flags}:
                raise UserError(
                    f"{where}: 'emotions' lists {list(listed)!r:.80}, and the columns of 0 and 1"
                    f" say {list(flags)!r:.80}; correct one of the two."
                )
            found["emotions"] = flags if listed is None else listed
        if self.annotators:
            given = [
                divided(cells[p], self.separator or "", f"{where}: column {header[p]!r}")
                for p in self.annotators
            ]
            # An empty cell: this annotator did not have the utterance.
            found["annotations"] = tuple(labels for labels in given if labels is not None) or None
        return found


def find_labels(
    path: Path,
    header: Sequence[str],
    rows: Sequence[Row],
    *,
    given: Mapping[str, str],
    need: Sequence[str],
    forms: LabelForms,
) -> LabelColumns:
    """Finds the columns of several labels: those that are named; lists by their field's name; and,
    where a table has no column for the emotion, two or more that hold 0 and 1 only.

    Args:
      path: the file, for messages.
      header: the columns' names.
      rows: all of them, with their lines.
      given: names of the columns of other parts.
      need: the parts that must be there; without the emotion no labels are read.
      forms: what the user says.

    Raises:
      UserError: a named column is not there, several separators could be meant, or columns of 0
        and 1 are called like labels of other columns.
    """
    if "emotion" not in need:
        return LabelColumns(asked=False)
    lists = _lists(header, rows)
    flags, annotators = _named_columns(path, header, forms)
    emotion = [
        column
        for column in find_part(header, "emotion", given=given.get("emotion", ""))
        if column not in (*lists.values(), *flags.values(), *annotators)
    ]
    if not given.get("emotion"):
        _check_text_of_several(path, header, rows, emotion, lists)
    named = emotion or lists or flags or annotators or given.get("emotion")
    if not named:
        flags = _columns_of_flags(path, header, rows, given, forms.columns_named)
    if not flags:
        _check_flags_beside(path, header, rows, emotion, lists, annotators, forms)
    separator = _separator(path, rows, (*emotion[:1], *annotators), forms)
    return LabelColumns(
        lists.get("emotions"), lists.get("annotations"), flags, annotators, separator, forms
    )


def find_named(
    path: Path,
    header: Sequence[str],
    rows: Sequence[Row],
    *,
    given: Mapping[str, str],
    need: Sequence[str],
    forms: LabelForms,
) -> LabelColumns:
    """`find_labels` for utterances inside of dialogues, whose lists and main label are found by
    utterance: the fields that are named, a label or an annotator each.

    Args:
      path: the file, for messages.
      header: fields that utterances have.
      rows: their values; None where an utterance lacks one.
      given, need, forms: as of `find_labels`.

    Raises:
      UserError: no utterance has a field that is named, several separators could be meant, or
        fields of 0 and 1 are called like labels of other fields.
    """
    if "emotion" not in need:
        return LabelColumns(asked=False)
    flags, annotators = _named_columns(path, header, forms, "field")
    if not flags:
        lists = _lists(header, rows)
        found = find_part(header, "emotion", given=given.get("emotion", ""))
        emotion = [column for column in found if column not in (*lists.values(), *annotators)]
        _check_flags_beside(path, header, rows, emotion, lists, annotators, forms)
    separator = _separator(path, rows, annotators, forms)
    return LabelColumns(flags=flags, annotators=annotators, separator=separator, forms=forms)


def _lists(header: Sequence[str], rows: Sequence[Row]) -> dict[str, int]:
    """The columns of lists, by their fields' names."""
    return {
        name: header.index(name)
        for name in SEVERAL
        if name in header
        and any(
            isinstance(
                # Text of several labels is that of the emotion's column.
                written_list(value) if name == "annotations" else value,
                (list, tuple),
            )
            for value in (cells[header.index(name)] for _, cells in rows)
        )
    }


def _named_columns(
    path: Path, header: Sequence[str], forms: LabelForms, kind: str = "column"
) -> tuple[dict[str, int], tuple[int, ...]]:
    """The columns that are named: by label, those of 0 and 1; and those of annotators."""
    flags = {
        clean_label(header[column]): column
        for column in _named(path, header, forms.columns, forms.columns_named, kind)
    }
    annotators = _named(path, header, forms.annotators, forms.annotators_named, kind)
    if both := [column for column in annotators if column in flags.values()]:
        raise UserError(
            f"the {kind} {header[both[0]]!r} is named as a label's ({forms.columns_named}) and"
            f" as an annotator's ({forms.annotators_named}); it is one of the two."
        )
    return flags, annotators


def _check_text_of_several(
    path: Path,
    header: Sequence[str],
    rows: Sequence[Row],
    emotion: Sequence[int],
    lists: Mapping[str, int],
) -> None:
    """Raises `UserError` where a column `emotions` of text stands beside one of the main label:
    which of the two is meant?
    """
    if "emotions" not in header or "emotions" in lists:
        return
    column = header.index("emotions")
    if emotion and column not in emotion and any(not _is_empty(c[column]) for _, c in rows):
        raise UserError(
            f"{path} has a column {header[emotion[0]]!r} and a column 'emotions', whose cells are"
            " no lists: name the one that is meant as the emotion's column, or leave the other out."
        )


def _check_flags_beside(
    path: Path,
    header: Sequence[str],
    rows: Sequence[Row],
    emotion: Sequence[int],
    lists: Mapping[str, int],
    annotators: Sequence[int],
    forms: LabelForms,
) -> None:
    """Raises `UserError` where columns of 0 and 1 are called like labels that stand in other
    columns, or that annotators gave: are they the labels that stand? Else they would be passed
    over, and a row that has nothing but them would be as if nobody had annotated it.

    Args:
      path, header, rows, forms: as of `find_labels`.
      emotion: columns of the emotion. One label that stands there is the one that is meant.
      lists: columns of lists, by their fields' names.
      annotators: those that are named.
    """
    mains = [*(emotion[:1] if forms.divides else ())]
    mains += [lists[name] for name in lists if name == "emotions"]
    columns = (*mains, *annotators, *(lists[name] for name in lists if name == "annotations"))
    given = {
        clean_label(part).casefold()
        for _, cells in rows
        for column in columns
        if not _is_empty(cells[column])
        for piece in _pieces(str(cells[column]), forms.separator)
        for part in _NO_WORDS.split(piece)
    } - {""}
    called = [column for column, name in enumerate(header) if clean_label(name).casefold() in given]
    flags = [
        header[column]
        for column in called
        if column not in columns
        and all(_flag(c[column]) is not None for _, c in rows if not _is_empty(c[column]))
        and any(not _is_empty(c[column]) for _, c in rows)
    ]
    if flags:
        there = "what annotators gave"
        decides = "the annotators' votes decide"
        if mains:
            there = f"labels in {header[mains[0]]!r}"
            decides = f"{header[mains[0]]!r} alone says which labels there are"
        raise UserError(
            f"{path} has {there}, and columns of 0 and 1 that are called like labels:"
            f" {', '.join(map(repr, flags))}. Name all columns of labels with"
            f" {forms.columns_named}, or leave these columns out: then {decides}."
        )


def _pieces(text: str, separator: str) -> list[str]:
    return text.split(separator) if separator else [text]


def _beside(
    main: tuple[str, ...] | None, flags: tuple[str, ...] | None, where: str
) -> tuple[str, ...] | None:
    """What columns of 0 and 1 give beside the labels of a cell, which must be among it."""
    if strange := [label for label in main or () if label not in (flags or ())]:
        raise UserError(
            f"{where}: the emotion is {strange[0]!r:.60}, whose column of 0 and 1 does not say so;"
            " correct one of the two."
        )
    return flags


def divided(value: Any, separator: str, where: str) -> tuple[str, ...] | None:
    """The labels of a cell; None for an empty one.

    Args:
      value: a list, also as text (`written_list`), a string with the separator between labels, or
        one label.
      separator: empty where a cell has one label.
      where: for messages.

    Raises:
      UserError: a label is there twice, or is none.
    """
    value = written_list(value)
    if isinstance(value, (list, tuple)):
        return read_labels(value, where, "emotions")
    label = read_label(value, where)
    if label is None:
        return None
    if label == NONE:
        return ()
    labels = [clean_label(part) for part in label.split(separator)] if separator else [label]
    labels = [part for part in labels if part]
    if not labels or NONE in labels:
        raise UserError(
            f"{where} holds {label!r:.80}, which are no labels; {NONE} alone says that it has none"
            " of them, an empty cell that nobody annotated."
        )
    if twice := [part for number, part in enumerate(labels) if part in labels[:number]]:
        raise UserError(f"{where} has the label {twice[0]!r:.60} twice, in {label!r:.80}.")
    return tuple(labels)


def _named(
    path: Path, header: Sequence[str], names: Sequence[str], setting: str, kind: str
) -> tuple[int, ...]:
    columns = []
    for name in names:
        found = [column for column, each in enumerate(header) if each.strip() == name.strip()] or [
            column for column, each in enumerate(header) if composed(each) == composed(name)
        ]
        if len(found) != 1:
            raise UserError(
                f"{path} has {'no' if not found else 'more than one'} {kind} {name!r}, which"
                f" {setting} names; its {kind}s are {', '.join(map(repr, header)) or 'none'}."
            )
        if found[0] in columns:
            raise UserError(f"{setting} names the {kind} {name!r} twice.")
        columns += found
    return tuple(columns)


def _columns_of_flags(
    path: Path,
    header: Sequence[str],
    rows: Sequence[Row],
    given: Mapping[str, str],
    how: str,
) -> dict[str, int]:
    parts = {
        column for part in _PARTS for column in find_part(header, part, given=given.get(part, ""))
    }
    flags: dict[str, int] = {}
    nearly: dict[str, tuple[int, Any]] = {}
    columns = [
        column
        for column, name in enumerate(header)
        if name
        and column not in parts
        and plain(name) not in _IDS
        and not name.casefold().startswith(_OF_ROWS)
    ]
    rows = _annotated(rows, columns)
    for column in columns if rows else ():
        name = header[column]
        strange = [(line, c[column]) for line, c in rows if _flag(c[column]) is None]
        empty = sum(_is_empty(value) for _, value in strange)
        if not strange and clean_label(name) in flags:
            raise UserError(
                f"{path} has more than one column of 0 and 1 called {name!r}; a label has one."
            )
        if not strange:
            flags[clean_label(name)] = column
        elif len(strange) < len(rows) and (
            all(_is_number(value) or _is_empty(value) for _, value in strange)
            # Words among flags; flags among words are those of another column.
            or 2 * (len(strange) - empty) < len(rows) - empty
        ):
            nearly[name] = strange[0]
    if len(flags) < 2:
        return {}
    for name, (line, value) in nearly.items():
        raise UserError(
            f"{path}{f' line {line}' if line else ''}: column {name!r} holds {value!r:.40}, where"
            f" {', '.join(map(repr, flags))} hold 0 and 1, whether an utterance has that label;"
            f" expected 0 or 1. If {name!r} is no label, name the labels' columns with {how}."
        )
    logger.warning(
        "%s has no column for the emotion: its columns of 0 and 1 are taken for labels, %s."
        " Where some are none, name those that are with %s.",
        path,
        ", ".join(flags),
        how,
    )
    return flags


def _annotated(rows: Sequence[Row], columns: Sequence[int]) -> Sequence[Row]:
    """The rows without those that nobody annotated: where each column of 0 and 1 is empty."""
    flags = []
    for column in columns:
        there = [cells[column] for _, cells in rows if not _is_empty(cells[column])]
        if there and all(_flag(value) is not None for value in there):
            flags.append(column)
    return [row for row in rows if any(not _is_empty(row[1][column]) for column in flags)]


def _is_empty(value: Any) -> bool:
    """A cell without a value, as the formats give it; NaN is the only one unlike itself."""
    return value is None or value == "" or (isinstance(value, float) and value != value)


def _is_number(value: Any) -> bool:
    if isinstance(value, int):  # of hundreds of digits, too, which no float holds
        return True
    try:
        return math.isfinite(float(value))
    except (TypeError, ValueError):
        return False


def _flag(value: Any) -> bool | None:
    if isinstance(value, (bool, int, float)):
        return bool(value) if value in (0, 1) else None
    return _FLAGS.get(value.strip().casefold()) if isinstance(value, str) else None


def read_flags(
    cells: Sequence[Any], header: Sequence[str], flags: Mapping[str, int], where: str
) -> tuple[str, ...] | None:
    """The labels whose cells are 1; None where all cells are empty."""
    if all(_is_empty(cells[column]) for column in flags.values()):
        return None
    found = {}
    for label, column in flags.items():
        found[label] = _flag(cells[column])
        if found[label] is None:
            raise UserError(
                f"{where}: column {header[column]!r} holds {cells[column]!r:.40}; expected 0 or 1,"
                " whether the utterance has this label (or nothing in all of the labels' columns"
                " where nobody annotated)."
            )
    return tuple(label for label, there in found.items() if there)


def _separator(
    path: Path, rows: Sequence[Row], columns: Sequence[int], forms: LabelForms
) -> str | None:
    """What divides labels in cells: what is named, else the one sign of `SEPARATORS` that they
    hold, empty where they hold none; None where cells are not divided.
    """
    if not forms.divides:
        return None
    if forms.separator:
        return forms.separator
    named = forms.separator_named
    first: dict[str, tuple[int, str]] = {}
    for line, cells in rows:
        for cell in (cells[column] for column in columns):
            if not isinstance(cell, str) or written_list(cell) is not cell:
                continue
            for sign in SEPARATORS:
                if sign in cell:
                    first.setdefault(sign, (line, cell))
    if len(first) > 1:
        seen = ", ".join(
            f"{sign!r} ({f'line {line}: ' if line else ''}{cell!r:.40})"
            for sign, (line, cell) in first.items()
        )
        raise UserError(
            f"{path}: several signs could divide the labels: {seen}; name the one with {named}."
        )
    if "," in first:  # which labels hold themselves, as "grief, loss"
        line, cell = first[","]
        logger.warning(
            "%s%s: %r is read as several labels, divided at commas; if commas are parts of"
            " labels here, list the labels of each cell as %s, or name another sign with %s.",
            path,
            f" line {line}" if line else "",
            cell,
            '["joy", "grief, loss"]',
            named,
        )
    return next(iter(first), "")
