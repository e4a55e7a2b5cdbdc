"""What the runs of a study can be measured by, and which of each other's corpora they can answer:
an utterance has one label, or may have several.
"""

from collections.abc import Mapping, Sequence

from eacl_jax.studies.definition import Cell, Study


def check_measures(
    cells: Sequence[Cell],
    measures: Sequence[str],
    several: Mapping[tuple[str, str], bool],
    problems: list[str],
) -> None:
    """Notes the measures that a run cannot give.

    Args:
      cells: of the study.
      measures: of the study.
      several: by (corpus, variant), where it is known, whether an utterance may have several
        labels.
      problems: a line for each is added here.
    """
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


def check_transfer(
    study: Study, several: Mapping[tuple[str, str], bool], problems: list[str]
) -> None:
    """Notes corpora that cannot be answered by each other's runs; arguments as of
    `check_measures`.
    """
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
