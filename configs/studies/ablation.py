"""What each part of the recipe gives: the angle between anchors, anchors from label words, the
contrastive loss, and stage two.

    python launch/study.py configs/studies/ablation.py --workdir=runs/ablation
    python launch/study.py configs/studies/ablation.py:corpus=meld,data=FOLDER,seeds=3 \\
      --workdir=runs/ablation-meld
"""

from typing import Any

from ml_collections import ConfigDict

from configs.studies.base import study

# "no anchors" is the supervised contrastive loss alone: it has no anchors to answer with, so those
# are the labels' mean representations.
RECIPES: dict[str, dict[str, Any]] = {
    "paper": {},
    "no angle": {"loss.angle_weight": 0.0},
    "random anchors": {"anchors.source": "random"},
    "no anchors": {
        "loss.use_anchors": False,
        "loss.ce_weight": 0.0,
        "loss.angle_weight": 0.0,
        "anchors.source": "prototypes",
    },
    "cross-entropy alone": {"loss.ce_weight": 1.0},
}


def get_config(argument: str | None = None) -> ConfigDict:
    """See configs/studies/base.py for the argument."""
    return study(
        argument,
        name="ablation",
        question="What does each part of the recipe give?",
        axes={"recipe": RECIPES},
        comparisons=[
            *([recipe, "paper"] for recipe in RECIPES if recipe != "paper"),
            ["paper @ stage one", "paper"],
        ],
    )
