"""How much of a dialogue is worth reading, and whether what comes later helps.

    python launch/study.py configs/studies/context.py --workdir=runs/context
    python launch/study.py configs/studies/context.py:corpus=meld,data=FOLDER,seeds=3 \\
      --workdir=runs/context-meld

All within the same budget of tokens, config.prompt.max_tokens.
"""

from typing import Any

from ml_collections import ConfigDict

from configs.studies.base import study

CONTEXTS: dict[str, dict[str, Any]] = {
    "2 before": {"prompt.max_past": 2},
    "none": {"prompt.max_past": 0},
    "4 before": {"prompt.max_past": 4},
    "8 before": {"prompt.max_past": 8},
    "2 before, 1 after": {"prompt.max_past": 2, "prompt.max_future": 1},
    "2 before, 2 after": {"prompt.max_past": 2, "prompt.max_future": 2},
    "4 before, 4 after": {"prompt.max_past": 4, "prompt.max_future": 4},
}


def get_config(argument: str | None = None) -> ConfigDict:
    """See configs/studies/base.py for the argument."""
    return study(
        argument,
        name="context",
        question="How much of a dialogue is worth reading, and does what comes later help?",
        axes={"context": CONTEXTS},
        comparisons=[[name, "2 before"] for name in CONTEXTS if name != "2 before"],
    )
