"""Whether the recipe tells similar emotions apart better, which is the paper's claim.

    python launch/study.py configs/studies/similar.py --workdir=runs/similar
    python launch/study.py configs/studies/similar.py:corpus=meld+emorynlp,data=FOLDER,seeds=3 \\
      --workdir=runs/similar-meld

Pairs are the paper's, as far as a corpus has their labels. Variants are compared by F1 of the pairs
alone, where only their two labels can be answered. Beside it: how often each is taken for the
other, the angle between their anchors, and how far apart their utterances lie (silhouette), before
training and after.
"""

from ml_collections import ConfigDict

from configs.studies.ablation import RECIPES
from configs.studies.base import study

VARIANTS = ("paper", "no angle", "no anchors", "cross-entropy alone")


def get_config(argument: str | None = None) -> ConfigDict:
    """See configs/studies/base.py for the argument."""
    return study(
        argument,
        name="similar",
        question="Does the recipe tell similar emotions apart better than its parts do?",
        axes={"recipe": {name: RECIPES[name] for name in VARIANTS}},
        comparisons=[[name, "paper"] for name in VARIANTS[1:]],
        measures=("similar_pairs_f1", "weighted_f1", "macro_f1"),
        before=True,
    )
