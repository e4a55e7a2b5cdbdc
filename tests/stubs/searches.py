"""Searches whose runs are stand-ins, of which the best settings are known."""

import math
from typing import Any

from eacl_jax.config import Config
from eacl_jax.studies.search.definition import Search
from eacl_jax.studies.search.reading import read_search
from tests.stubs.studies import Train, no_corpus

SPACE: dict[str, Any] = {
    "loss.temperature": {"low": 0.01, "high": 1.0, "log": True},
    "stage_two.epochs": {"low": 1, "high": 20},
    "loss.form": {"choices": ["in", "out"]},
}
BEST = 0.03  # of the temperature


def make_values(**changes: Any) -> dict[str, Any]:
    """A study file's fields."""
    return {
        "name": "stub search",
        "question": "Which is best?",
        "base": Config().to_dict(),
        "corpora": {"talk": {"data.max_dialogues": 1}},
        "seeds": (0, 1),
        "search": SPACE,
        "trials": 16,
        "startup": 6,
        **changes,
    }


def make_search(**changes: Any) -> Search:
    """The checked search of these fields."""
    return read_search(make_values(**changes), load=no_corpus, identify=lambda _: {"config": "1"})


class SearchTrain(Train):
    """A run whose scores are highest at a temperature of `BEST` with form "out"."""

    def score(self, config: Config) -> float:
        away = abs(math.log10(config.loss.temperature / BEST))
        return 80 - 20 * away - 0.1 * config.stage_two.epochs - 5 * (config.loss.form == "in")
