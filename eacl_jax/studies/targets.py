"""Which other corpora the runs of a study answer, and what the table calls that."""

import dataclasses
from collections.abc import Sequence
from typing import Any

from eacl_jax.studies.definition import Cell, Transfer
from eacl_jax.studies.settings import who

NOTE = (
    'Rows "from CORPUS: ..." are answers of the runs on that corpus in the labels of this one, by'
    " stage two's anchors: made of the label words, then, with examples, adapted to so many of each"
    " label, drawn from the training split anew for each seed. Adapting leaves anchors as they are"
    " where examples that it did not learn from are not answered better."
)


def transfer_name(source: str, examples: int, variant: str = "") -> str:
    """What the table calls answers of another corpus' runs.

    Args:
      source: the corpus that was trained on.
      examples: of each label; 0: words alone.
      variant: of the runs, where a study has several.

    >>> transfer_name("meld", 5)
    'from meld: 5 examples a label'
    """
    of = f"{source} ({variant})" if variant else source
    plural = "" if examples == 1 else "s"
    return f"from {of}: " + (f"{examples} example{plural} a label" if examples else "words alone")


def transfer_names(
    corpora: Sequence[str], variants: Sequence[str], transfer: Sequence[int]
) -> list[str]:
    """All of a study's."""
    return [
        transfer_name(source, examples, variant if len(variants) > 1 else "")
        for source in corpora
        for variant in variants
        for examples in transfer
    ]


def read_transfer(value: Any, corpora: Sequence[str], problems: list[str]) -> tuple[int, ...]:
    """Checks a study's field `transfer`.

    Args:
      value: of the field.
      corpora: of the study.
      problems: a line for all that is wrong is added here.
    """
    expected = "examples a label, whole numbers from 0 (words alone) on"
    if isinstance(value, str) or not isinstance(value, Sequence):
        problems.append(f"transfer: expected a tuple of {expected}; got {value!r:.80}.")
        return ()
    good = [n for n in value if isinstance(n, int) and not isinstance(n, bool) and n >= 0]
    problems += [
        f"transfer: expected {expected}; got {n!r:.80}."
        for n in value
        if not (isinstance(n, int) and not isinstance(n, bool) and n >= 0)
    ]
    problems += [f"transfer: {n} is there twice." for n in dict.fromkeys(good) if good.count(n) > 1]
    if value and len(corpora) == 1:
        problems.append(
            f"transfer: {corpora[0]!r} is the only corpus; runs answer other corpora of the study,"
            " so give two at least."
        )
    return tuple(dict.fromkeys(good))


def with_transfers(
    cells: Sequence[Cell],
    transfer: Sequence[int],
    corpora: Sequence[str],
    variants: Sequence[str],
    problems: list[str],
) -> list[Cell]:
    """The cells, each with what it is to answer beside its corpus.

    Args:
      cells: whose configuration can be used.
      transfer: from `read_transfer`.
      corpora, variants: of the study.
      problems: a line for all that is wrong is added here.
    """
    if not transfer:
        return list(cells)
    configs = {(cell.corpus, cell.variant): cell.config for cell in cells}
    if wrong := [at for at, config in configs.items() if config.anchor_encoding == "none"]:
        problems.append(
            f"{who(wrong, corpora, variants)}: its anchors are not made of words, or take no"
            " part in training (loss.use_anchors=False), so it cannot answer in"
            " other labels (transfer); leave the variant or the field out."
        )
    names = transfer_names(corpora, variants, transfer)
    problems += [
        f"variant {name!r}: a transfer has that name; rename the variant."
        for name in variants
        if name in names
    ]

    def of(cell: Cell) -> tuple[Transfer, ...]:
        variant = cell.variant if len(variants) > 1 else ""
        return tuple(
            Transfer(
                target,
                examples,
                transfer_name(cell.corpus, examples, variant),
                config.data,
                config.evaluation.excluded_label,
            )
            for target in corpora
            if target != cell.corpus and (config := configs.get((target, cell.variant)))
            for examples in transfer
        )

    return [dataclasses.replace(cell, transfers=of(cell)) for cell in cells]
