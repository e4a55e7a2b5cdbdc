"""`eacl prepare`: a model's program for ONNX Runtime and OpenVINO, beside its weights."""

from pathlib import Path
from typing import Annotated

import typer

from eacl_jax.cli import annotated
from eacl_jax.cli.options import (
    AnnotatorColumns,
    DialogueColumn,
    EmotionColumn,
    LabelColumns,
    LabelSeparator,
    Mapped,
    SpeakerColumn,
    TextColumn,
    find_folder,
    given_of,
)
from eacl_jax.errors import UserError
from eacl_jax.files import local, stores
from eacl_jax.recognizer import locate, programs

_OF_COST = (
    "max_loss",
    "mapped",
    "dialogue_column",
    "speaker_column",
    "text_column",
    "emotion_column",
    "label_columns",
    "annotator_columns",
    "label_separator",
)


def _find_on_disk(given: Path) -> Path:
    """The model's folder, on a disk. Raises `UserError` where it is none."""
    # Else the program would go into a copy, and be lost.
    if address := stores.address_of(given, "--model"):
        raise UserError(
            f"--model: {address} is in an object store, and the program is written beside the"
            " model's weights: copy the folder to a disk, and name it there."
        )
    folder = find_folder(given)
    if (folder / locate.LORA[0]).is_file():
        raise UserError(
            f"--model: {folder} holds LoRA's matrices and names its encoder, and a program holds"
            " the whole model: name the folder of the model itself."
        )
    return folder


def prepare(
    context: typer.Context,
    model: Annotated[
        Path,
        typer.Option(
            metavar="FOLDER",
            help="A model's folder, or its run's.",
            callback=_find_on_disk,
            show_default=False,
        ),
    ],
    precision: Annotated[
        programs.Precision,
        typer.Option(
            help=(
                "What to prepare: float32; int8 (ONNX Runtime); bfloat16 (OpenVINO). int8 and"
                " bfloat16 need --input."
            )
        ),
    ] = "float32",
    input_file: Annotated[
        Path | None,
        typer.Option(
            "--input",
            metavar="FILE",
            help=(
                "int8 and bfloat16: annotated dialogues that the model was not trained on, as `eacl"
                " adapt` reads them; a corpus' dev file. They tell what it costs; with int8 every"
                " other one tells how large activations are."
            ),
        ),
    ] = None,
    max_loss: Annotated[
        float,
        typer.Option(help="int8 and bfloat16: points of weighted F1 that it may cost.", min=0),
    ] = 0.3,
    mapped: Mapped = "",
    dialogue_column: DialogueColumn = "",
    speaker_column: SpeakerColumn = "",
    text_column: TextColumn = "",
    emotion_column: EmotionColumn = "",
    label_columns: LabelColumns = "",
    annotator_columns: AnnotatorColumns = "",
    label_separator: LabelSeparator = "",
) -> None:
    """Prepare a model for `--runtime=onnx` and `--runtime=openvino` of predict, evaluate and serve,
    which then start within seconds and without JAX.

    int8 (onnx) and bfloat16 (openvino) answer faster, as far as the processor has instructions for
    it, and not quite the same: what it costs on dialogues of yours is measured, printed, and stands
    in the model's card. Where that is more than --max-loss, nothing is written.
    """
    exact = precision == "float32"
    if exact and (given := given_of(context, _OF_COST)):
        raise UserError(f"{given}: of --precision=int8 or bfloat16 alone; leave this out.")
    if exact == (input_file is not None):
        raise UserError(
            "--input: float32 answers as the model does and needs no dialogues; leave it out."
            if exact
            else f"--input: {precision} needs annotated dialogues, which tell what it costs; name a"
            " file."
        )
    from eacl_jax.cli import compiled, huge_pages, process

    # It starts the program anew, which then says once what there is to say of the file.
    huge_pages.use_huge_pages()
    dialogues, path = [], None
    if input_file is not None:
        path = local.here(input_file, "--input", wanted=())
        dialogues = annotated.read(
            path,
            annotated.columns(dialogue_column, speaker_column, text_column, emotion_column),
            mapped,
            task=annotated.settings_of(str(model)).task,
            label_columns=label_columns,
            annotator_columns=annotator_columns,
            separator=label_separator,
        )
    process.quiet_libraries()
    # They take seconds to import: not before the mistakes above.
    from eacl_jax.recognizer.onnx_runtime import check_installed
    from eacl_jax.recognizer.recognizer import EmotionRecognizer
    from eacl_jax.recognizer.runtime import ONNX, OPENVINO

    check_installed(OPENVINO if precision == "bfloat16" else ONNX)
    from eacl_jax.recognizer import preparing
    from eacl_jax.recognizer.programs import file_of

    compiled.keep_compiled()
    recognizer = EmotionRecognizer.from_pretrained(model)
    if path is None:
        made = preparing.prepare(recognizer, model)
    else:
        annotated.labelled(recognizer, None, path, dialogues, mapped)
        make = preparing.prepare_int8 if precision == "int8" else preparing.prepare_bfloat16
        made = make(recognizer, model, dialogues, max_loss=max_loss)
    typer.echo(f"{file_of(model, precision)}: {made.bytes / 1e6:.1f} MB")
    if made.cost is not None:
        typer.echo(made.in_words())
