"""What the runs of a study can be measured by, and which of each other's corpora they can answer:
an utterance has one label, or may have several.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from eacl_jax.studies.definition import Cell, Study
from eacl_jax.studies.pairs import PAIRS, PAIRS_F1, Pairs, pairs_among


def check_measures(
    cells: Sequence[Cell],
    measures: Sequence[str],
    given: Mapping[tuple[str, str], Mapping[str, Any]],
    problems: list[str],
    pairs: Pairs = PAIRS,
    tested: Mapping[tuple[str, str], Iterable[str]] | None = None,
) -> None:
    """Notes the measures that a run cannot give.

    Args:
      cells: of the study.
      measures: of the study.
      given: what the runs are given, by (corpus, variant), where it is known (`Study.given`).
      problems: a line for each is added here.
      pairs: of similar labels.
      tested: the labels of test utterances, as `given`.
    """
    several = several_labels(given)
    one = dict.fromkeys(
        (cell.corpus, cell.variant)
        for cell in cells
        if not several.get((cell.corpus, cell.variant), False)
    )
    if "jaccard" in measures:
        problems += [
            f"variant {variant!r} on corpus {corpus!r}: jaccard is measured where an utterance"
            " may have several labels, and there each has one."
            for corpus, variant in one
            if (corpus, variant) in several
        ]
    if PAIRS_F1 in measures:
        problems += _without_pairs(given, pairs, tested or {})
    if "micro_f1" not in measures:
        return
    without = dict.fromkeys(
        (cell.corpus, cell.variant)
        for cell in cells
        if (cell.corpus, cell.variant) in one and not cell.config.evaluation.excluded_label
    )
    problems += [
        f"variant {variant!r} on corpus {corpus!r}: micro_f1 is not measured without"
        " evaluation.excluded_label."
        for corpus, variant in without
    ]
    left_out: dict[str, dict[str, str]] = {}  # by corpus: label, and a variant that leaves it out
    for cell in cells:
        if (cell.corpus, cell.variant) in one and cell.config.evaluation.excluded_label:
            left_out.setdefault(cell.corpus, {}).setdefault(
                cell.config.evaluation.excluded_label, cell.variant
            )
    problems += [
        f"corpus {corpus!r}: micro_f1 is not one measure where variants leave out other labels:"
        f" {'; '.join(f'{variant!r} {label!r}' for label, variant in labels.items())}. Give all the"
        " same evaluation.excluded_label."
        for corpus, labels in left_out.items()
        if len(labels) > 1
    ]


def several_labels(given: Mapping[tuple[str, str], Mapping[str, Any]]) -> dict[Any, bool]:
    """Whether an utterance may have several labels, by what `given` is by."""
    return {side: found.get("task") == "multi" for side, found in given.items()}


def check_pairs(
    pairs: Pairs, given: Mapping[tuple[str, str], Mapping[str, Any]], problems: list[str]
) -> None:
    """Notes pairs that no corpus has both labels of; arguments as of `check_measures`."""
    known = [tuple(found["labels"]) for found in given.values()]
    if pairs == PAIRS or not known:
        return
    labels = ", ".join(dict.fromkeys(label for each in known for label in each))
    problems += [
        f"pairs: no corpus has both {pair[0]!r} and {pair[1]!r}; labels are {labels}."
        for pair in pairs
        if not any(pairs_among(each, (pair,)) for each in known)
    ]


def _without_pairs(
    given: Mapping[tuple[str, str], Mapping[str, Any]],
    pairs: Pairs,
    tested: Mapping[tuple[str, str], Iterable[str]],
) -> list[str]:
    def listed(some: Pairs) -> str:
        return ", ".join(f"{one} and {other}" for one, other in some)

    problems = []
    for side, found in given.items():
        here = pairs_among(found["labels"], pairs)
        there = pairs_among(tuple(tested.get(side, found["labels"])), pairs)
        if not here:
            problems.append(
                f"corpus {side[0]!r}: {PAIRS_F1} is of pairs of similar labels ({listed(pairs)}),"
                f" of which there is none among {', '.join(found['labels'])}; name the study's"
                " `pairs`."
            )
        elif not there:
            problems.append(
                f"corpus {side[0]!r}: {PAIRS_F1} is of pairs of similar labels, and none of them"
                f" here ({listed(here)}) has test utterances of both labels; leave the measure out,"
                " or name other `pairs`."
            )
    return list(dict.fromkeys(problems))


def check_answers(study: Study, problems: list[str]) -> None:
    """Notes rows that cannot have a measure, as no label has a score there."""
    if PAIRS_F1 in study.measures and (study.always or study.transfer):
        problems.append(
            f"measures: {PAIRS_F1} needs scores of the study's own labels, which the rows of"
            " `always` and `transfer` need not have; leave one of them out."
        )


def check_transfer(
    study: Study, given: Mapping[tuple[str, str], Mapping[str, Any]], problems: list[str]
) -> None:
    """Notes corpora that cannot be answered by each other's runs; arguments as of
    `check_measures`.
    """
    several = several_labels(given)
    kinds = {
        kind: [c for c in study.corpora if any(several.get((c, v)) is kind for v in study.variants)]
        for kind in (False, True)
    }
    if study.transfer and all(kinds.values()):
        problems.append(
            f"transfer: in {', '.join(map(repr, kinds[True]))} an utterance may have several"
            f" labels, in {', '.join(map(repr, kinds[False]))} each has one; runs cannot answer the"
            " others. Leave the field or some corpora out."
        )
