"""EmoryNLP emotion detection with the recipe of the paper.

    python launch/train.py --config=configs/emorynlp.py --workdir=runs/emorynlp

The corpus is downloaded, or read from --config.data.dir. The paper reports, with an implementation that chooses
the epoch on test, weighted F1 40.24. Not yet run here at full size; one epoch with MiniLM is in BUILD_NOTES.md.
"""

from ml_collections import ConfigDict

from configs.base import build


def get_config(argument: str | None = None) -> ConfigDict:
    """See configs/base.py for the argument."""
    return build(argument, {"data.corpus": "emorynlp"})
