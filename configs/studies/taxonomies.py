"""What other labels cost: each run also answers the other corpora in their labels, from label words
alone and adapted to 5 and 20 examples of each label; "supervised" is trained on the corpus itself.

    python launch/study.py configs/studies/taxonomies.py --workdir=runs/taxonomies
    python launch/study.py configs/studies/taxonomies.py:data=FOLDER,seeds=3 \\
      --workdir=runs/taxonomies-meld

Beside each corpus stands the same with coarser labels, "NAME, coarse": from fine labels to coarse
ones and back are transfers as any other. Without `corpus=` it is smalltalk, and with `data=` MELD
and EmoryNLP too.

Surprise is a separate group in smalltalk, MELD and DailyDialog: it may be pleasant or not, and
MELD's own sentiments count some of its utterances as positive and some as negative. Other labels
have one side; EmoryNLP's powerful is, with joyful and peaceful, on the positive side of the wheel
of emotions that its labels come from.

Fine and coarse runs of one corpus learn from the same dialogues, so that such a transfer meets
other labels, but no other texts or speakers.

Numbers of one seed are in docs/results.md.
"""

from ml_collections import ConfigDict

from configs.studies.base import study
from eacl_jax.studies.targets import transfer_names

_EKMAN = (
    "joy=positive",
    *(f"{label}=negative" for label in ("anger", "disgust", "fear", "sadness")),
    "neutral=neutral",
    "surprise=surprise",
)
COARSE: dict[str, tuple[str, ...]] = {
    "smalltalk": _EKMAN,
    "meld": _EKMAN,
    "emorynlp": (
        *(f"{label}=positive" for label in ("joyful", "peaceful", "powerful")),
        *(f"{label}=negative" for label in ("mad", "sad", "scared")),
        "neutral=neutral",
    ),
    "iemocap": (
        *(f"{label}=positive" for label in ("happy", "excited")),
        *(f"{label}=negative" for label in ("sad", "angry", "frustrated")),
        "neutral=neutral",
    ),
    "dailydialog": ("happiness=positive", *_EKMAN[1:]),
}
EXAMPLES = (0, 5, 20)


def get_config(argument: str | None = None) -> ConfigDict:
    """See configs/studies/base.py for the argument."""
    has_data = any(part.startswith("data=") for part in (argument or "").split(","))
    fields = study(
        argument,
        named_corpora=True,
        name="taxonomies",
        question="How much is lost where labels are other than those of training?",
        axes={"training": {"supervised": {}}},
        corpus="smalltalk+meld+emorynlp" if has_data else "smalltalk",
        transfer=EXAMPLES,
    )
    fields.corpora = {
        name: settings
        for corpus, fine in fields.corpora.items()
        for name, settings in (
            (corpus, fine),
            (f"{corpus}, coarse", {**fine, "data.groups": COARSE[corpus]}),
        )
    }
    fields.comparisons = [
        [name, "supervised"] for name in transfer_names(tuple(fields.corpora), ["-"], EXAMPLES)
    ]
    return fields
