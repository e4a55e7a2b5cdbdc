"""Which emotions are similar, and the measure by which a study may ask about them.

Source: arXiv 2403.20289, whose claim is that anchors tell similar emotions apart.
"""

from collections.abc import Sequence

from eacl_jax.studies.scoring import SUMMARIES

Pairs = tuple[tuple[str, str], ...]

# Of the paper: IEMOCAP's three, MELD's two, EmoryNLP's two.
PAIRS: Pairs = (
    ("happy", "excited"),
    ("angry", "frustrated"),
    ("sad", "frustrated"),
    ("anger", "disgust"),
    ("fear", "surprise"),
    ("joyful", "peaceful"),
    ("mad", "sad"),
)
PAIRS_F1 = "similar_pairs_f1"
"""The mean of the pairs' `similar.Similar.f1`."""
MEASURES = (*SUMMARIES, PAIRS_F1)
"""What a study may compare by."""


def pairs_among(labels: Sequence[str], pairs: Pairs = PAIRS) -> Pairs:
    """The pairs of which both labels are here."""
    return tuple(pair for pair in pairs if set(pair) <= set(labels))
