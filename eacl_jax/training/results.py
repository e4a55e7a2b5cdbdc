"""What a run gives: scores and calibration of both stages, as `results.json` has them, and as a table."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table
from rich.text import Text

from eacl_jax.model.calibration import expected_calibration_error, fit_temperature, probabilities
from eacl_jax.model.metrics import title
from eacl_jax.model.scores import host_scores
from eacl_jax.training.experiment import Experiment
from eacl_jax.training.stage import HEADLINE, StageResult, score


def calibrate(experiment: Experiment, reps: Mapping[str, np.ndarray], anchors: np.ndarray) -> dict[str, Any]:
    """The temperature that fits dev, and by split the expected calibration error in percent with it and without."""
    scores = {
        split: host_scores(reps[split], anchors, temperature=experiment.config.loss.temperature) for split in ("dev", "test")
    }
    temperature = fit_temperature(scores["dev"], experiment.gold("dev"))

    def errors(temperature: float) -> dict[str, float]:
        return {
            split: expected_calibration_error(probabilities(scores[split], temperature), experiment.gold(split))
            for split in scores
        }

    return {
        "temperature": temperature,
        "expected_calibration_error": errors(temperature),
        "expected_calibration_error_uncalibrated": errors(1.0),
    }


def summarize(
    experiment: Experiment,
    stages: Mapping[str, StageResult],
    predicted: Mapping[str, Mapping[str, np.ndarray]],
    calibration: Mapping[str, Any],
) -> dict[str, Any]:
    """`results.json`: scores in percent and calibration of each stage's chosen epoch, and scores of always answering the
    training split's most frequent label.
    """
    labels = experiment.corpus.taxonomy.labels
    frequent = int(np.bincount(experiment.gold("train"), minlength=len(labels)).argmax())
    results: dict[str, Any] = {"corpus": experiment.corpus.name, "seed": experiment.config.seed}
    for name, stage in stages.items():
        scores = {split: score(experiment, split, answers) for split, answers in predicted[name].items()}
        results[name] = {"best_epoch": stage.best_epoch, **scores, "calibration": calibration[name]}
    baseline = {split: score(experiment, split, np.full_like(experiment.gold(split), frequent)) for split in ("dev", "test")}
    results["always_most_frequent"] = {"label": labels[frequent], **baseline}
    return results


def print_results(results: Mapping[str, Any], console: Console) -> None:
    """Prints the headline scores as a table."""
    names = (["micro_f1"] if "micro_f1" in results["stage_one"]["dev"] else []) + list(HEADLINE)
    table = Table(title=Text(f"{results['corpus']}, seed {results['seed']}: scores in percent"))
    for column in ("", "split", *(title(name) for name in names)):
        table.add_column(column, justify="left" if column in ("", "split") else "right")
    rows = [
        (f"stage {word} (epoch {results[key]['best_epoch']})", key)
        for word, key in (("one", "stage_one"), ("two", "stage_two"))
    ]
    rows.append((f"always {results['always_most_frequent']['label']}", "always_most_frequent"))
    for name, key in rows:
        for split in ("dev", "test"):
            scores = [f"{results[key][split][score]:.2f}" for score in names]
            table.add_row(Text(name if split == "dev" else ""), split, *scores, end_section=split == "test")
    console.print(table)
