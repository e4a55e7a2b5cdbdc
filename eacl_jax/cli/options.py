"""Options that several subcommands have."""

from typing import Annotated

import typer

from eacl_jax.errors import UserError

Model = Annotated[str, typer.Option("--model", metavar="FOLDER", help="A model's folder, or its id on the hub.")]
Labels = Annotated[
    str,
    typer.Option(
        "--labels",
        metavar="LABEL=WORD,...",
        help="Answer with these labels instead of the model's. WORD, a word or phrase, says what the label means; a label "
        "alone stands for itself: gratitude=grateful,anger.",
        show_default=False,
    ),
]


def parse_labels(given: str) -> dict[str, str]:
    """The word of each label in `LABEL=WORD,LABEL,...`; none in an empty string.

    Raises:
      UserError: a label or word is empty, or a label repeats.
    """
    labels: dict[str, str] = {}
    for item in given.split(",") if given else []:
        label, sign, word = (part.strip() for part in item.partition("="))
        if not label or (sign and not word):
            raise UserError(f"--labels: {item!r} is neither LABEL=WORD nor LABEL; give them as gratitude=grateful,anger.")
        if label in labels:
            raise UserError(f"--labels: {label!r} is there twice.")
        labels[label] = word or label
    return labels
