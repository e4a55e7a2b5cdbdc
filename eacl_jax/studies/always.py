"""A row of a study's table that no run is needed for: one label, whatever is said."""

from collections.abc import Sequence

import numpy as np

from eacl_jax.studies.definition import ALWAYS
from eacl_jax.studies.gather import Answers, CellResult


def constant_answers(cells: Sequence[CellResult]) -> list[Answers]:
    """Answers on test of always giving the label that is most frequent in training, once a corpus
    and seed of the complete runs.
    """
    found: dict[tuple[str, int], Answers] = {}
    for each in cells:
        outputs = each.outputs
        test, number = (
            outputs.splits["test"],
            outputs.labels.index(each.results.always_most_frequent.label),
        )
        answers = np.full_like(test.gold, number)
        if test.gold.ndim == 2:
            answers = np.zeros_like(test.gold)
            answers[:, number] = True
        found.setdefault(
            (each.cell.corpus, each.cell.seed),
            Answers(
                each.cell.corpus,
                ALWAYS,
                each.cell.seed,
                outputs.labels,
                test.gold,
                test.dialogues,
                answers,
                excluded=each.cell.config.evaluation.excluded_label,
            ),
        )
    return list(found.values())
