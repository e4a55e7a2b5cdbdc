"""`eacl adapt`: a model for other labels, from annotated dialogues."""

from pathlib import Path
from typing import Annotated

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
from eacl_jax.dialogue import count
from eacl_jax.files import local, stores, whole


def adapt(
    model: Model,
    input_file: Annotated[
        Path,
        typer.Option(
            "--input",
            metavar="FILE",
            help="Annotated dialogues: JSON lines, CSV, or another file of this field.",
        ),
    ],
    output: Annotated[
        Path, typer.Option(metavar="FOLDER", help="The new model's folder; made, or empty.")
    ],
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
        annotated.columns(dialogue_column, speaker_column, text_column, emotion_column),
        mapped,
        task=settings.task,
        label_columns=label_columns,
        annotator_columns=annotator_columns,
        separator=label_separator,
        modalities=settings.modalities,
        features=features or (),
        sounds=find_sounds(sounds),
    )
    process.quiet_libraries()
    # It takes seconds to import: not before the mistakes above.
    from eacl_jax.recognizer.recognizer import EmotionRecognizer

    compiled.keep_compiled()
    recognizer = EmotionRecognizer.from_pretrained(model, revision=revision)
    adapted = annotated.labelled(recognizer, words, path, dialogues, mapped).adapt(
        dialogues, seed=seed
    )
    adapted.save_pretrained(new)
    typer.echo(f"{new}: adapted to {count(len(dialogues), 'dialogue')}\n{adapted.adaptation}")
