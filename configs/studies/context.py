"""How much of a dialogue is worth reading, and whether what comes later helps.

    python launch/study.py configs/studies/context.py --workdir=runs/context
    python launch/study.py configs/studies/context.py:corpus=meld,data=FOLDER,seeds=3 \\
      --workdir=runs/context-meld

All within a budget of 256 tokens on every corpus, which hardly anything exceeds: within the
quickstart's 64, eight utterances before would read what two do. On smalltalk prompts then have 91
tokens in the mean with eight before, 122 with four before and four after, and 40 and 54 within 64;
over all variants the study reads 1.7 times as many tokens as within 64, on MELD 1.1 times as many
as within 128, which is about what it costs in time.
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
        settings={"prompt.max_tokens": 256},
        comparisons=[[name, "2 before"] for name in CONTEXTS if name != "2 before"],
    )
