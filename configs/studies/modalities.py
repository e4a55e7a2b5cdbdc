"""What voice, face or other features add to the text: each alone, and all unions.

    python launch/study.py \\
      configs/studies/modalities.py:corpus=meld,data=FOLDER,prosody=FOLDER --workdir=runs/prosody
    python launch/study.py \\
      configs/studies/modalities.py:corpus=iemocap,data=FOLDER,features=audio:PATH+visual:PATH \\
      --workdir=runs/modalities

Beside what configs/studies/base.py explains, the argument has

  features=NAME:PATH   a file or folder of features (docs/how-to/features.md), or several:
                       NAME:PATH+NAME:PATH
  prosody=FOLDER       short for features=prosody:FOLDER,words
  words                also as words in the text, which needs columns with names

Variants are the text, every union of text and modalities with gates ("text + audio + visual"), and
the text with all of them joined in the other ways. "text" has the same recipe and reads no
features. What always giving the most frequent label scores stands in the table too; alone, each
modality is compared with that.
"""

import itertools
from collections.abc import Sequence
from typing import Any

from ml_collections import ConfigDict

from configs.studies.base import read_argument, study
from eacl_jax.errors import UserError
from eacl_jax.studies.definition import ALWAYS

NAMES: dict[str, Any] = {"features": "", "prosody": "", "words": False}
PEERS = {"concatenated": "concat", "attention": "attention"}


def variants(names: Sequence[str], *, words: bool) -> dict[str, dict[str, Any]]:
    """Settings by variant; the text alone is the first."""
    found: dict[str, dict[str, Any]] = {"text": {"features.fusion": "none"}}
    for size in range(1, len(names) + 1):
        for some in itertools.combinations(names, size):
            found[" + ".join(some)] = {"features.use": some, "features.text": False}
            found[" + ".join(("text", *some))] = {"features.use": some}
    whole = " + ".join(("text", *names))
    peers = {**PEERS, **({"as words": "words"} if words else {})}
    for how, fusion in peers.items():
        found[f"{whole}, {how}"] = {"features.use": tuple(names), "features.fusion": fusion}
    return found


def get_config(argument: str | None = None) -> ConfigDict:
    """See above for the argument."""
    given = read_argument(argument, **NAMES)
    rows = [row.partition(":") for row in given["features"].split("+") if row]
    if given["prosody"]:
        rows.append(("prosody", ":", given["prosody"]))
    if not rows or any(not (name and path) for name, _, path in rows):
        raise UserError(
            "config argument: name the features to study, as features=NAME:PATH (several:"
            f" NAME:PATH+NAME:PATH) or prosody=FOLDER; got {argument or 'nothing'!r}."
        )
    names = [name for name, _, _ in rows]
    if "text" in names or len(set(names)) < len(names):
        raise UserError(
            f"config argument: features need names of their own, none of them text; got"
            f" {', '.join(names)}."
        )
    verb = "does" if len(names) == 1 else "do"
    axis = variants(names, words=given["words"] or bool(given["prosody"]))
    return study(
        argument,
        name="modalities",
        question=f"What {verb} {' and '.join(names)} add to the text?",
        axes={"reads": axis},
        settings={"data.features": tuple(f"{name}={path}" for name, _, path in rows)},
        comparisons=[
            *([name, "text"] for name in axis if name != "text"),
            *([ALWAYS, name] for name in names),
        ],
        always=True,
        more_names=NAMES,
    )
