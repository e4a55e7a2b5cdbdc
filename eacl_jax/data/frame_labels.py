"""Which columns of a DataFrame hold labels: as in the CSV file of it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from eacl_jax.corpora.columns import PARTS, find_part, labels_beside
from eacl_jax.corpora.label_columns import LabelForms, find_labels
from eacl_jax.dialogue import TaskName
from eacl_jax.errors import UserError

_NAME = "the DataFrame"


def name_labels(columns: Sequence[str], rows: Sequence[dict[str, Any]], task: TaskName) -> None:
    """Puts the labels of rows where an utterance's fields have them, in place.

    Args:
      columns: names of all of them.
      rows: cells by these names, missing ones left out.
      task: how many labels an utterance has, as the model knows.

    Raises:
      UserError: several columns could be meant, or a cell is no label.
    """
    forms = LabelForms(
        "multi" if task == "multi" else "",
        separator_named="lists in the cells, as by frame[...].str.split(...)",
        columns_named="a column 'emotions' of lists",
        annotators_named="",
        keep_all="take a model of several labels",
    )
    cells = [(0, [row.get(name) for name in columns]) for row in rows]
    labels = find_labels(Path(_NAME), columns, cells, given={}, need=PARTS, forms=forms)
    found = [column for column in find_part(columns, "emotion") if column not in labels.all]
    if len(found) == 1:
        found += [p for p in labels_beside(columns, found[0]) if p not in labels.all]
    if len(found) > 1:
        several = ", ".join(repr(columns[column]) for column in found)
        raise UserError(
            f"{_NAME} has more than one column for the emotion: {several}; drop or rename all but"
            " the one that is meant."
        )
    emotion = found[0] if found else None
    taken = [columns[column] for column in (*found, *labels.all)]
    for number, (row, (_, values)) in enumerate(zip(rows, cells, strict=True)):
        read = labels.read(values, columns, emotion, f"{_NAME}'s row {number}")
        for name in taken:
            row.pop(name, None)
        row.update({name: value for name, value in read.items() if value is not None})
