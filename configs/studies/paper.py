"""The paper's recipe, whole, with its encoder: by the paper's text, and by its public code.

    python launch/study.py configs/studies/paper.py:data=FOLDER --workdir=runs/paper
    python launch/study.py configs/studies/paper.py:data=FOLDER,encoder=PATH \\
      --workdir=runs/paper-base

For a GPU. "as its code" turns on all switches of config.compat, among them the choice of stage
one's epoch on test: its scores are not comparable with others'.
"""

import dataclasses

from ml_collections import ConfigDict

from configs.studies.base import study
from eacl_jax.config import CompatConfig


def get_config(argument: str | None = None) -> ConfigDict:
    """See configs/studies/base.py for the argument."""
    compat = {f"compat.{field.name}": True for field in dataclasses.fields(CompatConfig)}
    return study(
        argument,
        name="paper",
        question="What does the paper's recipe give on its corpora, chosen on dev?",
        axes={"choices": {"as the paper": {}, "as its code": compat}},
        comparisons=[["as its code", "as the paper"], ["as the paper @ stage one", "as the paper"]],
        corpus="meld+emorynlp",
        paper=True,
    )
