"""Scores a run again, from its `model/` folder and the corpus, by the way that users predict."""

import dataclasses
import logging
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import compress
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from eacl_jax import corpora
from eacl_jax.config import READ_BY, DataConfig, Stage
from eacl_jax.corpora.beside import in_columns_of, with_features, with_path
from eacl_jax.corpora.checks import annotated, check_split
from eacl_jax.corpora.custom import read_custom
from eacl_jax.corpora.levels import read_levels
from eacl_jax.data.prompts import warn_about
from eacl_jax.dialogue import Dialogue, TaskName, Taxonomy
from eacl_jax.errors import UserError
from eacl_jax.features.modality import Modality
from eacl_jax.files import local, stores
from eacl_jax.model.metrics import title
from eacl_jax.model.task import Levels, SeveralLabels, SingleLabel, Task
from eacl_jax.recognizer.locate import OF_MODEL
from eacl_jax.recognizer.recognizer import EmotionRecognizer
from eacl_jax.recognizer.results import SplitScores
from eacl_jax.training import run_folder
from eacl_jax.training.recording import say
from eacl_jax.training.sequence import in_sequence

log = logging.getLogger(__name__)
_DASH = "–"


def evaluate(run: str | Path, split: str, *, data_dir: str = "") -> dict[str, dict[str, Any]]:
    """Scores of both stages' anchors on a split, in percent.

    A warning says so where the split's dialogues are not those that the run had.

    Args:
      run: a finished run's folder, or its address.
      split: "train", "dev" or "test".
      data_dir: where the corpus' files are, if no longer where the run found them; files of
        features too, but for those that are not in it.

    Raises:
      UserError: the folder is not a finished run's, the corpus cannot be read, or `data_dir` is
        given and the corpus is built in.
    """
    run = local.here(run, "run", wanted=OF_MODEL)
    config = run_folder.read_config(run)
    if (
        data_dir
        and config.data.corpus not in (*READ_BY["dir"], "custom")
        and not config.data.features
    ):
        raise UserError(
            f"data_dir: the run's corpus, {config.data.corpus}, comes with the package, and would"
            f" not be read from {data_dir}; leave it out."
        )
    if not (run / "model").is_dir():
        raise UserError(
            f"{run} holds no model/: the run is not finished; train with the same workdir to go on."
        )
    recognizer = EmotionRecognizer.from_pretrained(
        run / "model", batch_size=config.batch.eval_batch_size
    )
    labels, several = recognizer.labels, recognizer.settings.several
    dialogues, levels = _dialogues(
        config.data,
        split,
        data_dir,
        recognizer.taxonomy,
        recognizer.settings.task,
        recognizer.settings.modalities,
    )
    task: Task = (
        SeveralLabels(labels, levels)
        if several
        else SingleLabel(labels, config.evaluation.excluded_label, levels)
    )
    there = run_folder.read_data(run)
    if there is not None and there["corpus"][split] != run_folder.describe_dialogues(
        dialogues, annotators=config.loss.soft_targets
    ):
        log.warning(
            "%s: these are not the dialogues that the run had, so its scores are not comparable"
            " with these.",
            split,
        )
    gold = task.targets(dialogues)
    there_is = [u.annotated for d in dialogues for u in d.utterances]
    examples = list(compress(recognizer.examples(dialogues), there_is))
    warn_about(examples, recognizer.settings.prompt.max_tokens)
    reps = recognizer.represent(examples)
    scores = {}
    for stage in recognizer.anchors:
        answering = recognizer.settings.answering(stage)
        cosines = answering.cosines(reps, recognizer.anchors[stage])
        answers, ranked = answering.decide(cosines), answering.scores(cosines)
        if (chain := recognizer.settings.chain_of(stage)) is not None:
            temperature = recognizer.settings.calibration[stage]
            answers, ranked = in_sequence(chain, dialogues, ranked, temperature)
        scores[stage] = task.measure(gold, answers, ranked)
    return scores


def print_scores(
    run: str | Path,
    split: str,
    scores: dict[str, dict[str, Any]],
    console: Console,
    *,
    excluded_label: str = "",
) -> None:
    """Prints scores of each stage, F1 of each label beside how often it was answered and annotated,
    and whether the run's results.json says the same.

    Args:
      run, split: that were scored.
      scores: by stage.
      console: where to.
      excluded_label: the one that micro F1 leaves out.
    """
    say(
        console, f"{stores.address_of(run) or run}: {split}, percent"
    )  # not the table's title, which would be broken at its width
    table = Table()
    table.add_column("")
    for stage in scores:
        table.add_column(stage.replace("_", " "), justify="right")
    first = next(iter(scores.values()))
    for name in (key for key, value in first.items() if isinstance(value, float)):
        table.add_row(
            Text(title(name, excluded_label)),
            *(f"{values[name]:.2f}" for values in scores.values()),
        )
    for level, found in first.get("levels", {}).items():
        table.add_section()
        for name in found:
            values = (f"{each['levels'][level][name]:.2f}" for each in scores.values())
            table.add_row(Text(f"{level}: {title(name)}"), *values)
    console.print(table)
    console.print(_labels({stage: SplitScores(**values) for stage, values in scores.items()}))
    try:
        results = run_folder.read_results(local.here(run, "run", wanted=OF_MODEL))
    except UserError as error:
        say(console, f"not compared with {run_folder.RESULTS}: {error}")
        return
    if split in ("dev", "test"):
        same = all(
            scores[stage].get(name) == value
            for stage in scores
            for name, value in getattr(results.of(Stage(stage)), split).to_json().items()
        )
        say(console, f"{'the same as' if same else 'not the same as'} {run_folder.RESULTS}")


def _labels(scores: Mapping[str, SplitScores]) -> Table:
    """F1 of each label by stage, a dash where there is nothing to score, and the counts beside."""
    table = Table()
    table.add_column("")
    table.add_column("annotated", justify="right")
    for stage in scores:
        table.add_column(stage.replace("_", " "), justify="right")
        table.add_column("answered", justify="right")
    first = next(iter(scores.values()))
    for label in first.per_class_f1:
        cells = [_count(first.support, label)]
        for found in scores.values():
            f1 = found.f1(label)
            cells += [_DASH if f1 is None else f"{f1:.2f}", _count(found.answered, label)]
        table.add_row(Text(f"F1 {label}"), *cells)
    return table


def _count(counts: Mapping[str, int] | None, label: str) -> str:
    return "" if counts is None else f"{counts[label]:,}"


def _dialogues(
    data: DataConfig,
    split: str,
    data_dir: str,
    taxonomy: Taxonomy,
    task: TaskName,
    modalities: Mapping[str, Modality],
) -> tuple[Sequence[Dialogue], Levels]:
    """The split's dialogues, and the corpus' levels. Of files of one's own, only that split's is
    looked at.
    """
    if data_dir:
        rows = tuple(with_path(row, partial(_moved, data_dir)) for row in data.features)
        data = dataclasses.replace(data, features=rows)
    if data.corpus != "custom":
        corpus = corpora.load(dataclasses.replace(data, dir=data_dir or data.dir))
        if corpus.taxonomy != taxonomy:
            raise UserError(
                f"the model knows the labels {taxonomy.labels}, the corpus has"
                f" {corpus.taxonomy.labels}."
            )
        dialogues = in_columns_of(corpus.splits[split], corpus.features, modalities, split)
        return dialogues, corpus.levels
    given = getattr(data, split)
    file = local.here(data_dir, "data_dir") / Path(given).name if data_dir else local.here(given)
    if not file.is_file():
        raise UserError(
            f"{file}, the run's {split} file, is not there; name the folder where it is now as"
            " data_dir."
        )
    found = read_custom(file, data, task, taxonomy.labels)
    check_split(split, [file], found)
    for item in found:
        for number, utterance in enumerate(item.dialogue.utterances):
            for label in utterance.labels:
                if label not in taxonomy.labels:
                    raise UserError(
                        f"{item.where(number)}: the emotion {label!r} is not among the model's"
                        f" labels, {', '.join(taxonomy.labels)}; correct the file."
                    )
    found = found[: data.max_dialogues or None]
    if not annotated(found):
        raise UserError(
            f"{file}: none of the first {data.max_dialogues} dialogues, which the run had, has an"
            " emotion."
        )
    splits, kinds = with_features(
        {split: found},
        data.features,
        corpora.cache_folder(data),
        known={name: each.columns for name, each in modalities.items()},
    )
    dialogues = in_columns_of(
        [item.dialogue for item in splits[split]], kinds, modalities, str(file)
    )
    return dialogues, read_levels(data.levels, taxonomy.labels)


def _moved(folder: str, given: str) -> str:
    """A path of features, in the folder if it is there."""
    there = local.here(folder, "data_dir") / Path(given).name
    return str(there) if there.exists() else given
