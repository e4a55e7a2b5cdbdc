"""Scores a run again, from its `model/` folder and the corpus, by the way that users predict."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from eacl_jax import corpora, metrics
from eacl_jax.errors import UserError
from eacl_jax.recognizer import EmotionRecognizer
from eacl_jax.recording import title
from eacl_jax.run import read_config


def evaluate(run: Path, split: str, *, data_dir: str = "") -> dict[str, dict[str, Any]]:
    """Scores of both stages' anchors on a split, in percent.

    Args:
      run: a finished run's folder.
      split: "train", "dev" or "test".
      data_dir: where the corpus' files are, if no longer where the run found them.

    Raises:
      UserError: the folder is not a finished run's, or the corpus cannot be read.
    """
    config = read_config(run)
    if not (run / "model").is_dir():
        raise UserError(f"{run} holds no model/: the run is not finished; give launch/train.py the same --workdir to go on.")
    corpus = corpora.load(dataclasses.replace(config.data, dir=data_dir or config.data.dir))
    recognizer = EmotionRecognizer.from_pretrained(run / "model", batch_size=config.batch.eval_batch_size)
    if recognizer.taxonomy != corpus.taxonomy:
        raise UserError(f"{run / 'model'} knows the labels {recognizer.taxonomy.labels}, the corpus {corpus.taxonomy.labels}.")
    labels = corpus.taxonomy.labels
    dialogues = corpus.splits[split]
    pairs = [(d, i) for d, dialogue in enumerate(dialogues) for i, u in enumerate(dialogue.utterances) if u.emotion is not None]
    gold = np.array([labels.index(str(dialogues[d].utterances[i].emotion)) for d, i in pairs], np.int64)
    scores = {}
    for stage in recognizer.anchors:
        answers = recognizer.predict(dialogues, stage=stage)
        predicted = np.array([labels.index(answers[d][i].emotion) for d, i in pairs], np.int64)
        confusion = metrics.confusion_matrix(gold, predicted, len(labels))
        scores[stage] = metrics.summarize(confusion, labels, config.evaluation.excluded_label)
    return scores


def print_scores(run: Path, split: str, scores: dict[str, dict[str, Any]], console: Console) -> None:
    """Prints a column a stage, and whether the run's results.json says the same."""
    table = Table(title=f"{run}: {split}, percent")
    table.add_column("")
    for stage in scores:
        table.add_column(stage.replace("_", " "), justify="right")
    first = next(iter(scores.values()))
    for name in (key for key in first if key != "per_class_f1"):
        table.add_row(title(name), *(f"{values[name]:.2f}" for values in scores.values()))
    table.add_section()
    for label in first["per_class_f1"]:
        table.add_row(f"F1 {label}", *(f"{values['per_class_f1'][label]:.2f}" for values in scores.values()))
    console.print(table)
    results = json.loads((run / "results.json").read_text(encoding="utf-8"))
    if split in results["stage_one"]:
        same = all(scores[stage] == results[stage][split] for stage in scores)
        console.print("the same as results.json" if same else "not the same as results.json", highlight=False)
