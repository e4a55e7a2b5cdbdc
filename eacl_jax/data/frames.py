"""Rows of a DataFrame -> dialogues: an utterance a row."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from eacl_jax.corpora.columns import find_part, is_weak, turn_of, turns_in
from eacl_jax.corpora.forms import LABELS, names_somebody, read_identity, read_utterance
from eacl_jax.corpora.label_columns import divided
from eacl_jax.corpora.order import Decimals, check_oldest_first
from eacl_jax.corpora.repeats import Repeats, SameIds, check_annotators
from eacl_jax.corpora.returns import Returns
from eacl_jax.corpora.transcripts import check_one_utterance, count_unnamed
from eacl_jax.data.frame_labels import name_labels
from eacl_jax.dialogue import Dialogue, TaskName, Utterance
from eacl_jax.errors import UserError
from eacl_jax.features.modality import MAY_BE_FEATURES

_Row = dict[str, Any]
"""Cells by the names of their columns; those that are missing are left out."""


def read_frame(frame: Any, task: TaskName | None, unnamed: list[int]) -> list[Dialogue]:
    """The dialogues of a DataFrame, of pandas or polars; arguments and errors as of
    `inputs.read_dialogues`. Adds `count_unnamed` of each to `unnamed`, where it has a column of
    speakers: who has none means it.
    """
    names = _names_of(frame)
    columns = list(names.values())
    rows = _rows_of(frame, names)
    _settle_labels(columns, rows, task)
    _settle_blanks(rows)
    _check_named(rows)
    texts = next(name for name, part in names.items() if part == "text")
    turns = [columns[index] for index in turns_in(columns) if columns[index] != "text"]
    dialogues: dict[str, _Rows] = {}
    returns = Returns()
    for number, row in enumerate(rows):
        where = f"the DataFrame's row {number}"
        identity = read_identity(row.pop("dialogue"), where, "dialogue")
        returns.add(identity, where)
        dialogues.setdefault(identity, _Rows(identity, turns, texts)).add(row, where)
    for each in dialogues.values():
        each.repeats.end()
        each.check_annotators(columns)
    for each in dialogues.values():
        each.ids.check("column")
    others = [name for name in columns if name not in ("dialogue", "speaker", "text")]
    returns.check(
        "the DataFrame",
        {identity: dialogues[identity].cells(others) for identity in returns.starts},
        turns,
        "sort them: frame.sort_values('dialogue', kind='stable')",
    )
    for identity, each in dialogues.items():
        check_oldest_first(each.utterances, f"the DataFrame's dialogue {identity!r:.60}")
    if "speaker" in columns:
        unnamed += [each.unnamed for each in dialogues.values()]
    return [Dialogue(identity, tuple(each.utterances)) for identity, each in dialogues.items()]


class _Rows:
    """The rows of one dialogue.

    Attributes:
      utterances: of the rows.
      repeats, ids: see whether two of them are one.
    """

    def __init__(self, identity: str, turns: Sequence[str], texts: str) -> None:
        """Args:
        identity: of the dialogue.
        turns: the columns that may number utterances.
        texts: what the frame calls the column of the texts.
        """
        self.utterances: list[Utterance] = []
        self.repeats, self.ids = Repeats(turns), SameIds()
        self._identity, self._turns, self._texts = identity, turns, texts
        self._decimals = Decimals(turns)
        self._last: dict[str, int] = {}
        self._rows: list[_Row] = []
        self._where: list[str] = []

    def add(self, row: _Row, where: str) -> None:
        """Notes the next row, which stands `where`.

        Raises:
          UserError: it is no utterance or several, is out of order, or is the utterance of a row
            before.
        """
        self._rows.append(row)
        self._where.append(where)
        self._check_turns(row, where)
        utterance = read_utterance(row, where)
        check_one_utterance(
            utterance.text,
            self._texts,
            where,
            f"frame[{self._texts!r}], whose texts are divided, or each utterance a row",
        )
        self.utterances.append(utterance)
        self.ids.add(utterance, where)
        cells = [row.get(name) for name in self._turns]
        self._decimals.add(cells, where)
        self.repeats.add(cells, utterance.speaker, utterance.text, where)

    def _check_turns(self, row: _Row, where: str) -> None:
        for name in self._turns:
            turn = turn_of(row.get(name))
            if turn is None or is_weak(name):
                continue
            if turn < (last := self._last.get(name, turn)):
                raise UserError(
                    f"{where}: {name!r} is {turn} after {last} in dialogue {self._identity!r:.60};"
                    f" sort the rows: frame.sort_values(['dialogue', {name!r}])."
                )
            self._last[name] = turn

    def check_annotators(self, columns: Sequence[str]) -> None:
        """Raises `UserError` where each row is an annotator's; see `repeats.check_annotators`."""
        cells = [[row.get(name) for name in columns] for row in self._rows]
        spoken = [(each.speaker, each.text) for each in self.utterances]
        check_annotators(columns, cells, spoken, self._where.__getitem__)

    @property
    def unnamed(self) -> int:
        """See `count_unnamed`."""
        return count_unnamed([names_somebody(row) for row in self._rows])

    def cells(self, columns: Iterable[str]) -> dict[str, list[Any]]:
        """Of its rows, by column; None for one that is missing."""
        return {name: [row.get(name) for row in self._rows] for name in columns}


def _names_of(frame: Any) -> dict[str, str]:
    """By the name of each column what it is called here: a part that has another usual name, by
    this project's.

    Raises:
      UserError: a name is there twice, several columns could be meant, or a part is missing.
    """
    columns = [str(column) for column in frame.columns]
    if repeated := sorted({column for column in columns if columns.count(column) > 1}):
        raise UserError(
            f"the DataFrame has more than one column {', '.join(map(repr, repeated))}; rename or"
            " drop one."
        )
    names = dict(zip(columns, columns, strict=True))
    for part in ("dialogue", "speaker", "text"):
        found = find_part(columns, part)
        if len(found) > 1:
            several = ", ".join(repr(columns[index]) for index in found)
            raise UserError(
                f"the DataFrame has more than one column for the {part}: {several}; rename the one"
                f" that is meant to {part!r}."
            )
        for index in found:
            names[columns[index]] = part
    known = list(names.values())
    if "text" not in known:
        raise UserError(
            "the DataFrame has no column 'text' (beside 'dialogue' and perhaps 'speaker'); its"
            f" columns are {known}. Name it with frame.rename(columns={{...}})."
        )
    if "dialogue" not in known:
        raise UserError(
            "the DataFrame has no column 'dialogue', so nothing says which rows are one"
            " conversation. Add it: the same value in all rows where they are one,"
            " range(len(frame)) where each row stands alone; or give frame['text'], a list of"
            " dialogues."
        )
    return names


def _rows_of(frame: Any, names: Mapping[str, str]) -> list[_Row]:
    """The rows, whose columns have the `names` from `_names_of`."""
    records = frame.to_dicts() if hasattr(frame, "to_dicts") else frame.to_dict("records")
    return [
        {
            names[str(name)]: None if _is_missing(value) else value
            for name, value in row.items()
            # A column of features is there, also where nothing of it is known.
            if not _is_missing(value) or MAY_BE_FEATURES.match(str(name))
        }
        for row in records
    ]


def _is_missing(value: Any) -> bool:
    """What pandas gives for a cell that is empty: None, NaN, NaT or NA. Only the first is equal to
    itself.
    """
    return (
        value is None
        or type(value).__name__ in ("NAType", "NaTType")
        or (isinstance(value, float) and value != value)
    )


def _settle_labels(columns: Sequence[str], rows: Sequence[_Row], task: TaskName | None) -> None:
    """Puts labels where an utterance's fields have them; arguments and errors as of `name_labels`,
    `task` None where nobody asks for them.
    """
    if task is not None:
        name_labels(columns, rows, task)
    else:  # labels in other capitals, which nobody asks for
        for name in (each for each in columns if each.casefold() in LABELS and each not in LABELS):
            for row in rows:
                row.pop(name, None)
    for number, row in enumerate(rows):
        if isinstance(row.get("emotions"), str):  # as answers' rows have them
            row["emotions"] = divided(row["emotions"], ";", f"the DataFrame's row {number}")


def _settle_blanks(rows: Iterable[_Row]) -> None:
    """Cells that say nothing become as files have them, so that a table gives the same answers
    however it was read.
    """
    for row in rows:
        for name in ("dialogue", "speaker"):
            cell = row.get(name)
            if isinstance(cell, str) and not cell.strip():  # an empty one, as some readers give it
                del row[name]
        row.setdefault("text", "")


def _check_named(rows: Sequence[_Row]) -> None:
    """Raises `UserError` where rows name no dialogue."""
    if missing := [str(number) for number, row in enumerate(rows) if "dialogue" not in row]:
        more = f" and {len(missing) - 5} more" if len(missing) > 5 else ""
        raise UserError(
            f"the DataFrame's rows {', '.join(missing[:5])}{more} (from 0) have no 'dialogue'; name"
            " the dialogue of each, as by frame['dialogue'].ffill()."
        )
