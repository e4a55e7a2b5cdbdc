"""Options that several subcommands have."""

from pathlib import Path
from typing import Annotated

import typer

from eacl_jax.data.inputs import read_labels
from eacl_jax.files import stores
from eacl_jax.recognizer import locate


def find_model(given: str) -> str:
    """The model's folder, or its id on the hub; what is wrong with a folder is reported before
    anything slow is imported.

    Raises:
      UserError: it is a folder here, and no model's.
    """
    folder = locate.find_local(given) if given else None
    return str(folder) if folder and not stores.address_of(given) else given


def find_folder(given: Path) -> Path:
    """The model's folder. Raises `UserError` where it is none."""
    return locate.find_folder(given, "main")


_MODEL = typer.Option(
    "--model",
    metavar="FOLDER",
    help="A model's folder or its run's, its address (gs://, s3://), or its id on the hub.",
    callback=find_model,
    show_default=False,
)
Model = Annotated[str, _MODEL]
Labels = Annotated[
    str,
    typer.Option(
        "--labels",
        metavar="LABEL=WORD,...",
        help=(
            "Answer with these labels instead of the model's. WORD, a word or phrase, says what the"
            " label means; a label alone stands for itself: gratitude=grateful,anger. '|' stands"
            " between several words of one label."
        ),
        show_default=False,
    ),
]
Mapped = Annotated[
    str,
    typer.Option(
        "--map",
        metavar="EMOTION=LABEL,...",
        help=(
            "Take emotions of the file for these labels: happiness=joy. With nothing after the sign"
            " the utterance is context only: other=."
        ),
        show_default=False,
    ),
]
Revision = Annotated[str, typer.Option(help="Branch, tag or commit of a hub id.")]
NAMING = "--{part}-column"
"""How a user names a column of a table: the options below, for messages."""

_COLUMN = "CSV: the column that says {}, where its name does not tell."
DialogueColumn = Annotated[
    str, typer.Option(metavar="NAME", help=_COLUMN.format("which dialogue a row is of"))
]
SpeakerColumn = Annotated[str, typer.Option(metavar="NAME", help=_COLUMN.format("who speaks"))]
TextColumn = Annotated[str, typer.Option(metavar="NAME", help=_COLUMN.format("what is said"))]
EmotionColumn = Annotated[str, typer.Option(metavar="NAME", help=_COLUMN.format("the label"))]


Features = Annotated[
    list[str] | None,
    typer.Option(
        "--features",
        metavar="NAME=PATH",
        help=(
            "For a model that reads features beside the text: a file or folder of those that it"
            " calls NAME, by DIALOGUE/UTTERANCE; once for each NAME. Without it they are read from"
            " the input: columns NAME.COLUMN of a table, 'features' of JSON."
        ),
        show_default=False,
    ),
]
LabelSeparator = Annotated[
    str,
    typer.Option(
        "--label-separator",
        metavar="SIGN",
        help=(
            "CSV, for a model of several labels an utterance: what stands between the labels of a"
            " cell, where that is not plain."
        ),
        show_default=False,
    ),
]


def parse_labels(given: str) -> dict[str, str]:
    """The word of each label in `LABEL=WORD,LABEL,...`; none in an empty string.

    Raises:
      UserError: a label or word is empty, or a label repeats.
    """
    return read_labels(given, "--labels") if given else {}
