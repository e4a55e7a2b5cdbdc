"""How the labels' anchors are made: from words, from the training utterances, or from nothing.

    python launch/study.py configs/studies/anchors.py --workdir=runs/anchors
    python launch/study.py configs/studies/anchors.py:corpus=meld,data=FOLDER,seeds=3 \\
      --workdir=runs/anchors-meld
"""

from typing import Any

from ml_collections import ConfigDict

from configs.studies.ablation import RECIPES
from configs.studies.base import study

SOURCES: dict[str, dict[str, Any]] = {
    "words": {},
    "live words": {"anchors.source": "live"},
    "learned": {"anchors.source": "learned"},
    "random": {"anchors.source": "random"},
    "centroids": {"anchors.source": "centroids"},
    "2 clusters a label": {"anchors.source": "clusters", "anchors.clusters": 2},
    "3 clusters a label": {"anchors.source": "clusters", "anchors.clusters": 3},
    "prototypes": {"anchors.source": "prototypes"},
}
BASELINES = {name: RECIPES[name] for name in ("no anchors", "cross-entropy alone")}


def get_config(argument: str | None = None) -> ConfigDict:
    """See configs/studies/base.py for the argument."""
    variants = SOURCES | BASELINES
    return study(
        argument,
        name="anchors",
        question="Does it matter what the labels' anchors are made of?",
        axes={"anchors": variants},
        comparisons=[[name, "words"] for name in variants if name != "words"],
    )
