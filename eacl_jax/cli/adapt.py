"""`eacl adapt`: a model for other labels, from annotated dialogues."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple, TypeAlias

import typer

from eacl_jax.cli import annotated
from eacl_jax.cli.options import (
    AnnotatorColumns,
    DialogueColumn,
    EmotionColumn,
    Features,
    LabelColumns,
    Labels,
    LabelSeparator,
    Mapped,
    Model,
    Revision,
    Sounds,
    SpeakerColumn,
    TextColumn,
    find_sounds,
)
from eacl_jax.dialogue import Dialogue, count
from eacl_jax.files import local, stores, whole

if TYPE_CHECKING:
    from eacl_jax.recognizer.recognizer import EmotionRecognizer


AnnotatedFile: TypeAlias = Annotated[
    Path,
    typer.Option(
        "--input",
        metavar="FILE",
        help="Annotated dialogues: JSON lines, CSV, or another file of this field.",
    ),
]
NewModel: TypeAlias = Annotated[
    Path, typer.Option(metavar="FOLDER", help="The new model's folder; made, or empty.")
]


def adapt(
    model: Model,
    input_file: AnnotatedFile,
    output: NewModel,
    labels: Labels = "",
    mapped: Mapped = "",
    seed: Annotated[
        int, typer.Option(min=0, help="Decides which dialogues are held out together, to score it.")
    ] = 0,
    dialogue_column: DialogueColumn = "",
    speaker_column: SpeakerColumn = "",
    text_column: TextColumn = "",
    emotion_column: EmotionColumn = "",
    label_columns: LabelColumns = "",
    annotator_columns: AnnotatorColumns = "",
    label_separator: LabelSeparator = "",
    features: Features = None,
    sounds: Sounds = None,
    revision: Revision = "main",
) -> None:
    """Adapt a model to annotated dialogues, in seconds: anchors move where held-out dialogues are
    then answered better, probabilities are calibrated, the encoder stays.

    JSONL: a dialogue a line, {"id": "1", "utterances": [{"speaker": "Ann", "text": "Thank you!",
    "emotion": "gratitude"}]}.

    CSV: an utterance a row. Utterances without an emotion are context for the others. Exports of
    annotation tools and the files of published corpora are read too.

    A model of several labels an utterance takes "emotions": ["joy", "surprise"], empty for none of
    the labels; in CSV joy;surprise in the column of the emotion, or a column of 0 and 1 a label.
    """
    begun = begin(
        model,
        revision,
        input_file,
        output,
        labels=labels,
        mapped=mapped,
        columns=annotated.columns(dialogue_column, speaker_column, text_column, emotion_column),
        label_columns=label_columns,
        annotator_columns=annotator_columns,
        separator=label_separator,
        features=features or (),
        sounds=sounds,
    )
    adapted = begun.recognizer.adapt(begun.dialogues, seed=seed)
    adapted.save_pretrained(begun.output)
    number = count(len(begun.dialogues), "dialogue")
    typer.echo(f"{begun.output}: adapted to {number}\n{adapted.adaptation}")


class Begun(NamedTuple):
    """What makes a new model.

    Attributes:
      recognizer: the old one, with the labels that were asked for.
      dialogues: annotated ones.
      output: a folder or an address, where nothing is yet.
    """

    recognizer: "EmotionRecognizer"
    dialogues: list[Dialogue]
    output: Path | str


def begin(
    model: str,
    revision: str,
    input_file: Path,
    output: Path,
    *,
    labels: str,
    mapped: str,
    columns: Mapping[str, str],
    label_columns: str,
    annotator_columns: str,
    separator: str,
    features: Sequence[str],
    sounds: Path | None,
) -> Begun:
    """Reads what the options of those names say, the cheapest mistakes first."""
    words = annotated.parse_labels(labels)
    path = local.here(input_file, "--input", wanted=())
    new = stores.address_of(output, "--output") or local.expand(output, "--output")
    whole.check_new(new, "--output")
    from eacl_jax.cli import compiled, huge_pages, process

    # It starts the program anew, which then says once what there is to say of the file.
    huge_pages.use_huge_pages()
    settings = annotated.settings_of(model, revision)
    dialogues = annotated.read(
        path,
        columns,
        mapped,
        task=settings.task,
        label_columns=label_columns,
        annotator_columns=annotator_columns,
        separator=separator,
        modalities=settings.modalities,
        features=features,
        sounds=find_sounds(sounds),
    )
    process.quiet_libraries()
    # It takes seconds to import: not before the mistakes above.
    from eacl_jax.recognizer.recognizer import EmotionRecognizer

    compiled.keep_compiled()
    recognizer = EmotionRecognizer.from_pretrained(model, revision=revision)
    return Begun(annotated.labelled(recognizer, words, path, dialogues, mapped), dialogues, new)
