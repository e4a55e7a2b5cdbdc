"""`eacl evaluate`: how good a model is, on its run's corpus or on a file that is named."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

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
    Precision,
    Revision,
    Runtime,
    Sounds,
    SpeakerColumn,
    TextColumn,
    find_model,
    find_models,
    find_sounds,
    given_of,
)
from eacl_jax.config import Stage
from eacl_jax.errors import UserError
from eacl_jax.files import local, stores, whole
from eacl_jax.recognizer.locate import OF_MODEL, is_model

if TYPE_CHECKING:
    from eacl_jax.dialogue import Dialogue

_UTTERANCES = 1024  # predicted at once
# The parameters that mean something with one of both ways alone.
_WITH_RUN = ("split", "data_dir")
_WITH_MODEL = (
    "also_model",
    "labels",
    "mapped",
    "stage",
    "on_long",
    "excluded_label",
    "batch_size",
    "dialogue_column",
    "speaker_column",
    "text_column",
    "emotion_column",
    "label_columns",
    "annotator_columns",
    "label_separator",
    "features",
    "sounds",
    "runtime",
    "precision",
    "revision",
)


def evaluate(
    context: typer.Context,
    model: Annotated[
        str,
        typer.Option(
            metavar="FOLDER",
            help="A model's folder or its run's, its address (gs://, s3://), or its id on the hub.",
            callback=find_model,
        ),
    ] = "",
    also_model: Annotated[
        list[str] | None,
        typer.Option(
            "--also-model",
            metavar="FOLDER",
            help=(
                "With --model: one more of the same labels, as often as there are; the mean of"
                " their probabilities answers."
            ),
            callback=find_models,
            show_default=False,
        ),
    ] = None,
    input_file: Annotated[
        Path | None,
        typer.Option(
            "--input",
            metavar="FILE",
            help="With --model: annotated dialogues, as `eacl adapt` reads them.",
        ),
    ] = None,
    run_folder: Annotated[
        Path | None, typer.Option("--run", metavar="FOLDER", help="A finished run's folder.")
    ] = None,
    split: Annotated[
        Literal["train", "dev", "test"], typer.Option(help="With --run: which split.")
    ] = "test",
    data_dir: Annotated[
        str,
        typer.Option(
            "--data-dir",
            "--data_dir",
            metavar="FOLDER",
            help="With --run: where the corpus' files are, if no longer where the run found them.",
        ),
    ] = "",
    labels: Labels = "",
    mapped: Mapped = "",
    stage: Annotated[
        Stage,
        typer.Option(help="With --model: whose anchors answer; stage two's are the adapted ones."),
    ] = Stage.TWO,
    on_long: Annotated[
        Literal["cut", "refuse", "pool"],
        typer.Option(
            help=(
                "With --model: what to do with a text longer than the model reads; pool reads it in"
                " parts."
            )
        ),
    ] = "cut",
    excluded_label: Annotated[
        str,
        typer.Option(
            metavar="LABEL", help="With --model: report micro F1 over all labels but this."
        ),
    ] = "",
    json_file: Annotated[
        Path | None,
        typer.Option("--json", metavar="FILE", help="A file for all the numbers."),
    ] = None,
    batch_size: Annotated[
        int,
        typer.Option(min=1, max=65536, help="With --model: utterances encoded at once, about."),
    ] = 64,
    dialogue_column: DialogueColumn = "",
    speaker_column: SpeakerColumn = "",
    text_column: TextColumn = "",
    emotion_column: EmotionColumn = "",
    label_columns: LabelColumns = "",
    annotator_columns: AnnotatorColumns = "",
    label_separator: LabelSeparator = "",
    features: Features = None,
    sounds: Sounds = None,
    runtime: Runtime = "jax",
    precision: Precision = "float32",
    revision: Revision = "main",
) -> None:
    """Score a model: --model and --input on annotated dialogues of your own, or --run on its corpus
    again.

    Scores, a line a label, which labels are taken for which, and how far the probabilities can be
    trusted. The annotations are only compared with: nothing is learnt from them. Do not score a
    model on what it was trained or adapted on.

    A model of several labels an utterance is compared with "emotions": ["joy", "surprise"], as
    `eacl adapt` reads them.
    """
    if (run_folder is None) == (input_file is None) or bool(model) != (input_file is not None):
        raise UserError(
            "give --model MODEL --input FILE, to score a model on a file, or --run RUN, to score a"
            " run again."
        )
    if run_folder is not None:
        if given := given_of(context, _WITH_MODEL):
            raise UserError(
                f"{given}: with --run one run is scored again as it was scored; leave this out, or"
                " give --model and --input."
            )
        _evaluate_run(run_folder, split, data_dir, json_file)
        return
    if given := given_of(context, _WITH_RUN):
        raise UserError(
            f"{given}: of --run; with --model all of --input is scored; leave this out."
        )
    assert input_file is not None
    words = annotated.parse_labels(labels)
    path = local.here(input_file, "--input", wanted=())
    named = stores.address_of(input_file) or str(input_file)
    report = _report(json_file)
    if report and os.path.realpath(report) == os.path.realpath(path):
        raise UserError(f"--json: {report} is the input; name another file.")
    models = [model, *(also_model or ())]
    from eacl_jax.cli import compiled, huge_pages, process

    # It starts the program anew, which then says once what there is to say of the file.
    huge_pages.use_huge_pages()
    settings = [annotated.settings_of(one, revision) for one in models]
    modalities = {name: each for one in reversed(settings) for name, each in one.modalities.items()}
    dialogues = annotated.read(
        path,
        annotated.columns(dialogue_column, speaker_column, text_column, emotion_column),
        mapped,
        task=settings[0].task,
        label_columns=label_columns,
        annotator_columns=annotator_columns,
        separator=label_separator,
        modalities=modalities,
        features=features or (),
        sounds=find_sounds(sounds),
    )
    process.quiet_libraries()
    from rich.console import Console
    from rich.progress import track

    from eacl_jax.cli.scores import print_scores
    from eacl_jax.data.beside import warn_of_features
    from eacl_jax.recognizer.ensemble import Ensemble
    from eacl_jax.recognizer.recognizer import EmotionRecognizer
    from eacl_jax.recognizer.scoring import Tally

    if runtime == "jax":
        compiled.keep_compiled()
    recognizer, *others = (
        EmotionRecognizer.from_pretrained(
            one, runtime=runtime, precision=precision, revision=revision, batch_size=batch_size
        )
        for one in models
    )
    recognizer = annotated.labelled(recognizer, words, path, dialogues, mapped)
    others = [each.with_labels(words) if words else each for each in others]
    ensemble = Ensemble([recognizer, *others])
    if excluded_label and excluded_label not in recognizer.labels:
        raise UserError(
            f"--excluded-label: {excluded_label!r} is not among the labels"
            f" {', '.join(recognizer.labels)}."
        )
    several = recognizer.settings.several
    if excluded_label and several:
        raise UserError(
            "--excluded-label: this model may answer several labels an utterance, whose micro F1 is"
            " over all of them; leave it out."
        )
    warn_of_features(dialogues, modalities)
    members = (recognizer, *others)
    texts = [utterance.text for each in dialogues for utterance in each.utterances]
    # By the first that knows how texts of training were broken into pieces.
    any(each.warn_of_language(texts).texts for each in members)
    learnt_from = {}
    for name, each in zip(models, members, strict=True):
        known = each.learnt.warn_of(
            dialogues,
            "scores",
            f" {name}" * bool(others),
            stage,
            reads_text=each.settings.reads_text,
        )
        # Where a model does not know all that it has learnt from, no number is the whole truth.
        learnt_from[name] = known._asdict() if each.learnt.whole else None
    tally, console = Tally(recognizer.labels, several=several), Console(stderr=True)
    chunks = list(_chunks(dialogues))
    for some in track(
        chunks,
        f"predicting {path.name}",
        console=console,
        transient=True,
        disable=not console.is_terminal,
    ):
        tally.add(some, ensemble.answers(some, stage=stage, on_long=on_long))
    facts = recognizer.facts
    same_labels = facts is not None and facts.labels == recognizer.labels
    levels = facts.levels if facts is not None and same_labels else None
    # Those of one model are of its probabilities, and of its stage two.
    sets = None if others or stage != Stage.TWO else recognizer.settings.sets
    scores = tally.scores(excluded_label, levels, sets)
    if report:
        more = {"also_models": also_model} if also_model else {}
        found = {"model": model, **more, "input": named, "stage": stage, "learnt_from": learnt_from}
        found |= scores.to_json()
        whole.write_json(report, found)
    by_logits = recognizer.settings.head == "predictor" and not several
    print_scores(named, scores, Console(), on_long=on_long, by_logits=by_logits)


def _report(given: Path | None) -> Path | None:
    """The file of `--json`. Raises `UserError` where it cannot be written."""
    if given is None:
        return None
    file = local.expand(given, "--json")
    whole.check_file(file, "--json")
    return file


def _evaluate_run(run: Path, split: str, data_dir: str, json_file: Path | None) -> None:
    folder = local.here(run, "--run", wanted=OF_MODEL)
    if not folder.is_dir():
        raise UserError(f"--run: {run} is no folder; name that of a finished run.")
    report = _report(json_file)
    from eacl_jax.cli import compiled, huge_pages, process

    huge_pages.use_huge_pages()
    process.quiet_libraries()
    from rich.console import Console

    from eacl_jax.training import evaluation, run_folder

    if is_model(folder) and not (folder.parent / run_folder.CONFIG).is_file():
        raise UserError(
            f"--run: {run} is a model's folder, and no run's; to score the model on annotated"
            f" dialogues of your own, give --model {run} --input FILE."
        )
    config = run_folder.read_config(folder)
    compiled.keep_compiled(config.data)
    excluded = config.evaluation.excluded_label
    scores = evaluation.evaluate(run, split, data_dir=data_dir)
    if report:
        named = stores.address_of(run) or str(run)
        left_out = {"excluded_label": excluded} if excluded else {}
        whole.write_json(report, {"run": named, "split": split, **left_out, **scores})
    evaluation.print_scores(run, split, scores, Console(), excluded_label=excluded)


def _chunks(dialogues: "Sequence[Dialogue]") -> "Iterator[list[Dialogue]]":
    """Dialogues with some utterances together, in their order."""
    chunk: list[Dialogue] = []
    utterances = 0
    for dialogue in dialogues:
        chunk.append(dialogue)
        utterances += len(dialogue.utterances)
        if utterances >= _UTTERANCES:
            yield chunk
            chunk, utterances = [], 0
    if chunk:
        yield chunk
