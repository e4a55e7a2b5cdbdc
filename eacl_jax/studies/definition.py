"""What a study asks: a base configuration, what varies, on which corpora, with which seeds, and
what is compared.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

from eacl_jax.config import Config, DataConfig, Stage
from eacl_jax.studies.pairs import PAIRS, Pairs

ALWAYS = "always the most frequent label"
"""What tables and comparisons call the answers of no run; the label is the training split's."""


@dataclasses.dataclass(frozen=True)
class Side:
    """One side of a comparison: a variant, and which stage's anchors answer."""

    variant: str
    stage: Stage = Stage.TWO


@dataclasses.dataclass(frozen=True)
class Transfer:
    """What a run answers beside its corpus: another corpus of the study, in that one's labels.

    Attributes:
      target: the other corpus, by the study's name.
      examples: of each of its labels, to which anchors are adapted; 0: from words alone.
      variant: what the table calls these answers.
      data: where the other corpus is.
      excluded: the label that micro F1 leaves out there.
    """

    target: str
    examples: int
    variant: str
    data: DataConfig
    excluded: str = ""


@dataclasses.dataclass(frozen=True)
class Cell:
    """One run of a study.

    Attributes:
      corpus, variant: by the study's names.
      seed: of the run.
      config: of the run.
      transfers: what it answers beside its corpus.
    """

    corpus: str
    variant: str
    seed: int
    config: Config
    transfers: tuple[Transfer, ...] = ()


@dataclasses.dataclass(frozen=True)
class Study:
    """A checked study.

    Attributes:
      name: short, for the title.
      question: what it is to answer, a sentence.
      corpora: names of the corpora, in the order of the tables.
      variants: names of the variants, the first is the one that others are read against.
      axes: by axis the names of its values; a variant is one value of each axis.
      seeds: of every variant.
      cells: every corpus x variant x seed.
      comparisons: pairs of sides, each compared on every corpus.
      measures: keys of `SplitScores` (weighted_f1, macro_f1, accuracy, micro_f1), the first is the
        one that counts.
      pairs: of labels that are similar emotions; those that a corpus lacks do not count there.
      transfer: with how many examples a label runs also answer the other corpora, 0: from words
        alone; empty: they do not.
      before: whether similar emotions are also compared before training.
      always: whether the table also has what always giving the label that is most frequent in
        training would score, `ALWAYS`.
      notes: what this study cannot say, for a person.
      given: by (corpus, variant), what its runs are given, as their `data.json` has it.
    """

    name: str
    question: str
    corpora: tuple[str, ...]
    variants: tuple[str, ...]
    axes: Mapping[str, tuple[str, ...]]
    seeds: tuple[int, ...]
    cells: tuple[Cell, ...]
    comparisons: tuple[tuple[Side, Side], ...]
    measures: tuple[str, ...] = ("weighted_f1", "macro_f1")
    pairs: Pairs = PAIRS
    transfer: tuple[int, ...] = ()
    before: bool = False
    always: bool = False
    notes: tuple[str, ...] = ()
    given: Mapping[tuple[str, str], Mapping[str, Any]] = dataclasses.field(default_factory=dict)

    def transferred(self, *, to: str | None = None) -> frozenset[str]:
        """What the table calls the answers of runs on other corpora; `to`: on one corpus."""
        return frozenset(
            each.variant
            for cell in self.cells
            for each in cell.transfers
            if to is None or each.target == to
        )

    def compared(self, corpus: str) -> tuple[tuple[Side, Side], ...]:
        """Those of `comparisons` whose sides are both on a corpus: answers on it of runs on others
        are not on theirs.
        """
        absent = self.transferred() - self.transferred(to=corpus)
        return tuple(
            sides for sides in self.comparisons if not any(side.variant in absent for side in sides)
        )
