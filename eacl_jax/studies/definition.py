"""What a study asks: a base configuration, what varies, on which corpora, with which seeds, and
what is compared.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

from eacl_jax.config import Config, Stage


@dataclasses.dataclass(frozen=True)
class Side:
    """One side of a comparison: a variant, and which stage's anchors answer."""

    variant: str
    stage: Stage = Stage.TWO


@dataclasses.dataclass(frozen=True)
class Cell:
    """One run of a study.

    Attributes:
      corpus, variant: by the study's names.
      seed: of the run.
      config: of the run.
    """

    corpus: str
    variant: str
    seed: int
    config: Config


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
      measures: keys of `Scores` (weighted_f1, macro_f1, accuracy, micro_f1), the first is the one
        that counts.
      before: whether similar emotions are also compared before training.
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
    before: bool = False
    notes: tuple[str, ...] = ()
    given: Mapping[tuple[str, str], Mapping[str, Any]] = dataclasses.field(default_factory=dict)
