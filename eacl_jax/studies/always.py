"""A row of a study's table that no run is needed for: one label, whatever the utterance."""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from eacl_jax.studies.definition import ALWAYS
from eacl_jax.studies.gather import CellResult
from eacl_jax.studies.seed_answers import SeedAnswers


def constant_answers(cells: Sequence[CellResult]) -> list[SeedAnswers]:
    """Answers on test of always giving the label that is most frequent in training, once a corpus
    and seed of the complete runs: those of the corpus' variant that has most of them, the first of
    several, since variants may be tested on other dialogues.
    """
    found: dict[tuple[str, int], SeedAnswers] = {}
    runs: dict[str, Counter[str]] = {}
    for each in cells:
        runs.setdefault(each.cell.corpus, Counter())[each.cell.variant] += 1
    sources = {corpus: counts.most_common(1)[0][0] for corpus, counts in runs.items()}
    for each in cells:
        if each.cell.variant != sources[each.cell.corpus]:
            continue
        outputs = each.outputs
        test, number = (
            outputs.splits["test"],
            outputs.labels.index(each.results.always_most_frequent.label),
        )
        answers = np.full_like(test.gold, number)
        if test.gold.ndim == 2:
            answers = np.zeros_like(test.gold)
            answers[:, number] = True
        found[each.cell.corpus, each.cell.seed] = SeedAnswers(
            each.cell.corpus,
            ALWAYS,
            each.cell.seed,
            outputs.labels,
            test.gold,
            test.dialogues,
            answers,
            excluded=each.cell.config.evaluation.excluded_label,
        )
    return list(found.values())
