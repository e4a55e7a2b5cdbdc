"""Options that several subcommands have."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from eacl_jax.data.inputs import read_labels
from eacl_jax.errors import UserError
from eacl_jax.files import local, stores
from eacl_jax.recognizer import locate

if TYPE_CHECKING:
    from eacl_jax.features.modality import Modality
    from eacl_jax.features.sound.heard import Sounds as Heard


def find_model(given: str) -> str:
    """The model's folder, or its id on the hub; what is wrong with a folder is reported before
    anything slow is imported.

    Raises:
      UserError: it is a folder here, and no model's.
    """
    folder = locate.find_local(given) if given else None
    return str(folder) if folder and not stores.address_of(given) else given


def find_models(given: list[str] | None) -> list[str] | None:
    """`find_model` of each."""
    return [find_model(each) for each in given] if given else None


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
            " label means; a label alone stands for itself: thanks=grateful, anger. '|' stands"
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
            " the utterance is context only: other=. For a model of several labels, neutral=[] says"
            " that it has none of them."
        ),
        show_default=False,
    ),
]
Runtime = Annotated[
    Literal["jax", "onnx", "openvino"],
    typer.Option(
        help=(
            "What computes: jax; or, on processors, onnx (ONNX Runtime) or openvino, which start"
            " within seconds where `eacl prepare` was run."
        )
    ),
]
Precision = Annotated[
    Literal["float32", "bfloat16", "int8"],
    typer.Option(
        help=(
            "Of products by ONNX Runtime (float32, int8) or OpenVINO (float32, bfloat16); all but"
            " float32 have to be prepared."
        )
    ),
]
Revision = Annotated[str, typer.Option(help="Branch, tag or commit of a hub id.")]
NAMING = "--{part}-column"
"""How a user names a column of a table: the options below, for messages."""

_COLUMN = "CSV: the column that says {}, where its name does not tell."
DialogueColumn = Annotated[
    str,
    typer.Option(
        metavar="NAME",
        help=f"{_COLUMN.format('which dialogue a row is of')} none: each row stands by itself.",
    ),
]
SpeakerColumn = Annotated[
    str,
    typer.Option(
        metavar="NAME", help=f"{_COLUMN.format('who speaks')} none: the table does not say."
    ),
]
TextColumn = Annotated[str, typer.Option(metavar="NAME", help=_COLUMN.format("the text"))]
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
Sounds = Annotated[
    Path | None,
    typer.Option(
        "--sounds",
        metavar="FOLDER",
        help=(
            "For a model that reads features of sound: the folder of the sound files that"
            " utterances name as 'audio', a field of JSON or a column of a table. They are made of"
            " these where an utterance has none. Without it no file is read."
        ),
        show_default=False,
    ),
]
LabelColumns = Annotated[
    str,
    typer.Option(
        "--label-columns",
        metavar="NAME,...",
        help="Tables: the columns of 0 and 1, a label each, where others hold 0 and 1 too.",
        show_default=False,
    ),
]
AnnotatorColumns = Annotated[
    str,
    typer.Option(
        "--annotator-columns",
        metavar="NAME,...",
        help=(
            "Tables: the columns of labels, an annotator each; an empty cell: this one did not have"
            " the utterance. What most of them gave is the label."
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


def find_sounds(given: Path | None) -> Path | None:
    """The folder of `--sounds`. Raises `UserError` where it is none."""
    if given is None:
        return None
    folder = local.expand(given, "--sounds")
    if not folder.is_dir():
        raise UserError(f"--sounds: {given} is no folder; name the one that holds the sound files.")
    return folder


def sounds_of(modalities: "Mapping[str, Modality]", folder: Path | None) -> "Heard | None":
    """The sound that a model's features can be made of; None where none can, or nothing is asked.

    Args:
      modalities: that the model reads.
      folder: of `--sounds`.

    Raises:
      UserError: a folder is given, and none can be made.
    """
    if folder is None and not any(each.made_by for each in modalities.values()):
        return None
    # They take their time, and most models read texts alone.
    from eacl_jax.features.sound.extractors import makers
    from eacl_jax.features.sound.heard import Sounds

    try:
        found = makers(modalities)
    except UserError as error:
        if folder is None:
            return None
        raise UserError(f"--sounds: {error}") from error
    return Sounds(folder or Path(), found)


def parse_labels(given: str) -> dict[str, str]:
    """The word of each label in `LABEL=WORD,LABEL,...`; none in an empty string.

    Raises:
      UserError: a label or word is empty, or a label repeats.
    """
    labels = read_labels(given, "--labels") if given else {}
    if "WORD" in labels.values():
        raise UserError(
            "--labels: WORD stands for what says what the label means: put a word or phrase of your"
            " own there, as in complaint=anger."
        )
    return labels


def given_of(context: typer.Context, names: Sequence[str]) -> str:
    """Those of the parameters that are given, as the user names them."""
    return ", ".join(
        parameter.opts[0]
        for parameter in context.command.params
        if parameter.name in names
        and (source := context.get_parameter_source(parameter.name)) is not None
        and source.name != "DEFAULT"
    )
