"""What a search asks: which settings are tried, between which bounds, in how many trials."""

import dataclasses
import json
import math
from collections.abc import Mapping
from typing import Any

from eacl_jax.config import Config, EncoderConfig
from eacl_jax.model.metrics import title
from eacl_jax.studies.definition import Study
from eacl_jax.studies.settings import Settings, combined

BASE = "base"
"""The variant that the search begins with, and that what it finds is compared with."""
FIRST = 0
"""The trial of the base's values."""


@dataclasses.dataclass(frozen=True)
class Range:
    """Numbers that a setting may have.

    Attributes:
      setting: by dotted name.
      low, high: both may occur.
      log: whether equal factors are equally likely, not equal steps.
      whole: whether only whole numbers may occur.
    """

    setting: str
    low: float
    high: float
    log: bool = False
    whole: bool = False

    @property
    def size(self) -> float:
        """How many values there are."""
        return self.high - self.low + 1 if self.whole else math.inf

    def read(self, value: Any) -> Any:
        """A value as JSON gives it back.

        Raises:
          ValueError: it is no such number, or outside the range.
        """
        kinds = int if self.whole else int | float
        good = isinstance(value, kinds) and not isinstance(value, bool)
        if not good or not self.low <= value <= self.high:
            raise ValueError(f"{value!r:.80} is not among {self.words}")
        return value

    def rounded(self, value: float) -> float:
        """A value of the range that a person can read: four digits of it, or, where the range is
        narrow, as many as tell some 10,000 of its values apart.
        """
        if self.whole:
            return int(value)
        if self.log and self.high >= 10 * self.low:
            found = float(f"{value:.4g}")
        else:
            found = round(value, 4 - math.floor(math.log10(self.high - self.low)))
        return min(max(found, self.low), self.high)

    def to_json(self) -> dict[str, Any]:
        """As `search.json` has it."""
        return {"low": self.low, "high": self.high, "log": self.log, "whole": self.whole}

    @property
    def words(self) -> str:
        """For a person."""
        kind = ", ".join(["whole numbers"] * self.whole + ["log scale"] * self.log)
        return f"{self.low:g} to {self.high:g}{f' ({kind})' if kind else ''}"


@dataclasses.dataclass(frozen=True)
class Choices:
    """Values that a setting may have, in no order."""

    setting: str
    values: tuple[Any, ...]

    @property
    def size(self) -> float:
        """How many values there are."""
        return len(self.values)

    def index(self, value: Any) -> int:
        """The number of a value, also as JSON gives it back.

        Raises:
          ValueError: it is none of them.
        """
        return [json.dumps(each) for each in self.values].index(json.dumps(value))

    def read(self, value: Any) -> Any:
        """The value that JSON gives back as this.

        Raises:
          ValueError: it is none of them.
        """
        return self.values[self.index(value)]

    def to_json(self) -> dict[str, Any]:
        """As `search.json` has it."""
        return {"choices": list(self.values)}

    @property
    def words(self) -> str:
        """For a person."""
        return ", ".join(str(value) or "empty" for value in self.values)


Dimension = Range | Choices


@dataclasses.dataclass(frozen=True)
class Search:
    """A checked search.

    Attributes:
      base: the study of the base alone, with the seeds of the study that ends the search.
      fields: of the study file, without those of the search.
      settings: of the base on its corpus, nested.
      start: the base's values of the settings that are searched.
      space: those settings, and what they may be.
      trials: how many there are to be.
      startup: so many trials are drawn at random before what came before counts.
      seed: of the trials' runs; none of the study's, so that a run that only had a lucky seed is
        found out.
    """

    base: Study
    fields: Mapping[str, Any]
    settings: Mapping[str, Any]
    start: Settings
    space: tuple[Dimension, ...]
    trials: int
    startup: int
    seed: int

    @property
    def corpus(self) -> str:
        """The one that is searched on."""
        return self.base.corpora[0]

    @property
    def measure(self) -> str:
        """Which of dev's scores counts: `evaluation.primary` of the base."""
        return self.base.cells[0].config.evaluation.primary

    @property
    def measure_words(self) -> str:
        """The same for a person."""
        return title(self.measure, self.base.cells[0].config.evaluation.excluded_label)

    def config(self, settings: Settings) -> Config:
        """Of a trial's run.

        Raises:
          UserError: these values cannot stand together.
        """
        made, _ = combined(self.settings, {**completed(self.settings, settings), "seed": self.seed})
        return Config.from_mapping(made, varied=True)

    def to_json(self) -> dict[str, Any]:
        """What tells a search from others, as `search.config.json` has it; the number of trials may
        grow.
        """
        return {
            "corpus": self.corpus,
            "measure": self.measure,
            "seed": self.seed,
            "startup": self.startup,
            "space": {each.setting: each.to_json() for each in self.space},
        }


def completed(base: Mapping[str, Any], settings: Settings) -> Settings:
    """Settings of a trial with what goes with them: of another encoder than the base's neither the
    revision nor the sha256 is known.

    Args:
      base: its settings, nested.
      settings: that are searched, by dotted name.
    """
    path = base["encoder"]["path"]
    if settings.get("encoder.path", path) == path:
        return settings
    usual = EncoderConfig()
    return {
        "encoder.revision": usual.revision,
        "encoder.sha256": usual.sha256,
        **settings,
    }


def shown_value(value: Any) -> str:
    """A setting's value, short."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)
