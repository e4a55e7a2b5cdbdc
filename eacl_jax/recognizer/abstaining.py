"""A coverage that is asked for -> how probable a label must be."""

import math

import numpy as np

from eacl_jax.config import Stage
from eacl_jax.errors import UserError
from eacl_jax.model.abstention import COVERAGES
from eacl_jax.recognizer.folder import Settings

NOT_OF_OTHERS = (
    "coverage: how probable the right label is was not measured with labels of one's own; leave"
    " one of both out."
)
NOT_AS_IT_GOES = (
    "coverage: this model answers a conversation by what came before, and how probable the right"
    " label is was measured on whole dialogues; ask for these."
)


def least_probability(settings: Settings, coverage: float, stage: str = Stage.TWO) -> float:
    """The probability from which on a label is possible, so that an utterance's right label is
    among the possible ones with that coverage.

    Args:
      settings: of the recognizer.
      coverage: 0.5 to 0.99, in whole percent.
      stage: whose anchors answer.

    Raises:
      UserError: it is another number; or what dev showed is not known of this recognizer.
    """
    asked = 100 * coverage if isinstance(coverage, (float, np.floating)) else math.nan
    percent = next((each for each in COVERAGES if abs(asked - each) < 1e-6), None)
    if percent is None:
        raise UserError(
            f"coverage must be from {COVERAGES[0] / 100} to {COVERAGES[-1] / 100}, in whole percent"
            f" (0.9: the label of nine utterances of ten), got {coverage!r:.40}."
        )
    if settings.several:
        raise UserError(
            "coverage: this model answers several labels an utterance, and each has a probability"
            " of its own; coverage is of models of one label an utterance."
        )
    if stage != Stage.TWO:
        raise UserError("coverage: it is known of stage two's answers alone; leave the stage out.")
    if settings.sets is None:
        raise UserError(
            "coverage: how probable the right label is was not measured with these labels and"
            " anchors; calibrate the model on annotated dialogues (`calibrate`), or ask one that a"
            " run has left."
        )
    return settings.sets.threshold(percent)
