"""Whether it helps to learn from other corpora at the same time, each in labels of its own.

    python launch/study.py configs/studies/together.py:corpus=meld+emorynlp,data=FOLDER,seeds=3 \\
      --workdir=runs/together

Each corpus of the argument stands beside each other one, and smalltalk beside all; of the others'
training dialogues those that hold utterances of its dev or test are left out.
"""

from typing import Any

from ml_collections import ConfigDict

from configs.studies.base import read_argument, study
from eacl_jax.errors import UserError


def get_config(argument: str | None = None) -> ConfigDict:
    """See configs/studies/base.py for the argument."""
    given = read_argument(argument, corpus="meld+emorynlp")
    names = dict.fromkeys([*given["corpus"].split("+"), "smalltalk"])
    if len(names) == 1:
        raise UserError(
            "config argument: beside smalltalk stands nothing else; name another corpus, as"
            " corpus=meld,data=FOLDER."
        )
    also = tuple(
        f"{name}={given['data']}" if name != "smalltalk" and given["data"] else name
        for name in names
    )
    variants: dict[str, dict[str, Any]] = {
        "alone": {},
        "with others, square roots": {"data.also": also},
        "with others, in full": {"data.also": also, "data.also_power": 1.0},
    }
    return study(
        argument,
        named_corpora=True,
        name="together",
        question="Does it help to learn from other corpora at the same time?",
        corpus="meld+emorynlp",
        axes={"corpora": variants},
        comparisons=[[name, "alone"] for name in variants if name != "alone"],
    )
