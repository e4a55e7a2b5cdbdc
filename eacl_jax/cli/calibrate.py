"""`eacl calibrate`: a model whose probabilities fit annotated dialogues."""

import typer

from eacl_jax.cli import annotated
from eacl_jax.cli.adapt import AnnotatedFile, NewModel, begin
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
)
from eacl_jax.config import Stage
from eacl_jax.dialogue import count, utterances_of


def calibrate(
    model: Model,
    input_file: AnnotatedFile,
    output: NewModel,
    labels: Labels = "",
    mapped: Mapped = "",
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
    """Calibrate a model on annotated dialogues, in seconds: its answers stay, their probabilities
    become as high as they are right on these.

    For labels of your own, and for models that were adapted, which then know what
    `eacl predict --coverage` asks for. Give other dialogues than those that the model has learnt
    from or was adapted to, in any form that `eacl adapt` reads; `eacl evaluate` on still others
    says how well it went.
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
    calibrated = begun.recognizer.calibrate(begun.dialogues)
    calibrated.save_pretrained(begun.output)
    number = sum(each.annotated for each in utterances_of(begun.dialogues))
    typer.echo(
        f"{begun.output}: calibrated on {count(number, 'annotated utterance')} in"
        f" {count(len(begun.dialogues), 'dialogue')}"
    )
    if calibrated.settings.several:
        typer.echo("scale and bias of each label's probability were fitted")
    else:
        before, now = (
            each.settings.calibration[Stage.TWO] for each in (begun.recognizer, calibrated)
        )
        how = "less sure" if now > before else "surer"
        typer.echo(f"temperature {before:.3f} before, {now:.3f} now: {how} of its answers")
