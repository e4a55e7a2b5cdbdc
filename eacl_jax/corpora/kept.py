"""Whether annotations are a model's answers that stand beside them."""

import math
from collections.abc import Mapping
from typing import Any

from eacl_jax.corpora.forms import ANSWERED, POSSIBLE, PROBABILITY
from eacl_jax.corpora.found import Kept
from eacl_jax.corpora.labels import clean_label


def kept_of(fields: Mapping[str, Any], emotion: str | None) -> Kept:
    """What an emotion is to the answer that stands beside it.

    Args:
      fields: of an utterance, or the cells of a row by their columns' names.
      emotion: of the same; None where it has several, or none.
    """
    given = fields.get("probabilities")
    pairs = (
        given.items()
        if isinstance(given, Mapping)
        else ((found[1], fields[name]) for name in fields if (found := PROBABILITY.fullmatch(name)))
    )
    probabilities = {clean_label(str(label)): _probability(value) for label, value in pairs}
    # Others than answers have a field of this name, too.
    if not probabilities and not (ANSWERED - {POSSIBLE}) & fields.keys():
        return Kept.NO_ANSWER
    known = [each for each in probabilities.values() if each is not None]
    if emotion is None or not known or len(known) < len(probabilities):
        return Kept.UNKNOWN
    return Kept.SAME if probabilities.get(emotion) == max(known) else Kept.CORRECTED


def _probability(value: Any) -> float | None:
    """Of a cell; None where it cannot be read. Spreadsheets of many countries write a comma."""
    if isinstance(value, str) and "." not in value:
        value = value.replace(",", ".")
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None
