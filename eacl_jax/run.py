"""A whole run in its folder: stage one, stage two, one look at test, and what is left for people and programs.

The folder: `config.json`, `data.json`, `checkpoints/`, `metrics.jsonl`, `tensorboard/`, `model/`, `report/`, `profile/` where
it was asked for, and `results.json`, which is written last: where it is, the run is complete.
"""

import errno
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
from rich.console import Console
from rich.table import Table

from eacl_jax import losses, reports
from eacl_jax.calibration import expected_calibration_error, fit_temperature, probabilities
from eacl_jax.config import Config
from eacl_jax.dialogue import SPLITS
from eacl_jax.errors import UserError
from eacl_jax.experiment import Experiment, prepare
from eacl_jax.export.facts import Facts
from eacl_jax.recognizer import EmotionRecognizer
from eacl_jax.recording import MetricsLog, title
from eacl_jax.stages import HEADLINE, StageContext, StageResult, predictions, run_stage_one, run_stage_two, score
from eacl_jax.training import NonFiniteLossError, StopRequest

# Settings that say where things are or what is printed; a run may go on with others.
_MAY_DIFFER = ("run.", "data.dir", "data.cache_dir")


def train(
    config: Config, workdir: Path, *, resume: bool = True, profile: int = 0, console: Console | None = None
) -> dict[str, Any]:
    """Runs both stages, or goes on with what is in the folder.

    Args:
      config: of the run.
      workdir: the run's folder; made if absent.
      resume: go on with a run of the same configuration that is there; with False such a folder is refused.
      profile: how many steps of stage one to trace into the folder's `profile/`; see `profiling.Profiler`.
      console: where to say how it goes.

    Returns:
      What `results.json` holds.

    Raises:
      UserError: something given cannot be used, the folder holds another run, the disk is full, or the loss is not finite.
      training.Interrupted: SIGTERM or SIGINT; the state has been saved.
    """
    console = Console() if console is None else console
    _check_folder(config, workdir, resume)
    if (workdir / "results.json").exists():
        results = json.loads((workdir / "results.json").read_text(encoding="utf-8"))
        console.print(f"{workdir} holds a complete run of this configuration; its results:", highlight=False, soft_wrap=True)
        print_results(results, console)
        return results
    experiment = prepare(config)
    try:
        _open_folder(experiment, workdir)
        with StopRequest().installed() as stop:
            return _run(experiment, StageContext(workdir, console, stop, profile))
    except NonFiniteLossError as error:
        raise UserError(_describe_non_finite(error, experiment, workdir)) from error
    except Exception as error:
        if not _says_disk_is_full(error):
            raise
        raise UserError(f"{workdir}: no space left on the disk; free some and run the same command again to go on.") from error


def _says_disk_is_full(error: BaseException | None) -> bool:
    """Whether an error, or one behind it, is about a full disk: orbax's storage tells that in a ValueError's text."""
    while error is not None:
        if getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT) or os.strerror(errno.ENOSPC) in str(error):
            return True
        error = error.__cause__ or error.__context__
    return False


def _run(experiment: Experiment, context: StageContext) -> dict[str, Any]:
    console, workdir = context.console, context.workdir
    _announce(experiment, context)
    first = run_stage_one(experiment, context)
    reps = {split: experiment.encoding.represent(first.params, experiment.examples[split]) for split in SPLITS}
    second = run_stage_two(experiment, context, first, reps)

    predicted = {
        name: {split: predictions(reps[split], stage.anchors) for split in ("dev", "test")}
        for name, stage in (("stage_one", first), ("stage_two", second))
    }
    stages = {"stage_one": first, "stage_two": second}
    calibration = {name: calibrate(experiment, reps, stage.anchors) for name, stage in stages.items()}
    results = summarize(experiment, stages, predicted, calibration)
    recognizer = EmotionRecognizer.from_training(
        experiment.config,
        experiment.corpus.taxonomy,
        tokenizer=experiment.tokenizer,
        encoder_config=experiment.encoder_config,
        graphdef=experiment.graphdef,
        params=second.params,
        anchors={"stage_one": first.anchors, "stage_two": second.anchors},
        calibration={name: found["temperature"] for name, found in calibration.items()},
        facts=Facts.of_run(experiment, results),
    )
    recognizer.save_pretrained(workdir / "model")
    page = reports.write_report(
        workdir / "report",
        config=experiment.config.to_dict(),
        corpus=experiment.corpus.name,
        labels=experiment.corpus.taxonomy.labels,
        results=results,
        history=MetricsLog(workdir / "metrics.jsonl").rows(),
        gold=experiment.gold("test"),
        predictions={name: by_split["test"] for name, by_split in predicted.items()},
        representations=reps["test"],
        anchors={"stage_one": first.anchors, "stage_two": second.anchors},
    )
    _write_json(workdir / "results.json", results)
    print_results(results, console)
    console.print(f"report   {page}\nmodel    {workdir / 'model'}", highlight=False, soft_wrap=True)
    return results


def calibrate(experiment: Experiment, reps: Mapping[str, np.ndarray], anchors: np.ndarray) -> dict[str, Any]:
    """The temperature that fits dev, and by split the expected calibration error in percent with it and without."""
    scores = {
        split: losses.host_scores(reps[split], anchors, temperature=experiment.config.loss.temperature)
        for split in ("dev", "test")
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
    table = Table(title=f"{results['corpus']}, seed {results['seed']}: scores in percent")
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
            table.add_row(name if split == "dev" else "", split, *scores, end_section=split == "test")
    console.print(table)


def _announce(experiment: Experiment, context: StageContext) -> None:
    counts = ", ".join(f"{len(experiment.examples[split])} {split}" for split in SPLITS)
    parameters = sum(x.size for x in jax.tree.leaves(experiment.params))
    frozen, settings = experiment.config.encoder.frozen_layers, experiment.config.stage_one
    limits = [
        f"embeddings and the lowest {frozen} layers frozen" if frozen else "",
        f"unfrozen by {settings.unfreeze_layers} layers an epoch from the top" if settings.unfreeze_layers else "",
        "rates by stage_one.rates" if settings.rates else "",
    ]
    trained = ", ".join(filter(None, limits)) or "all trained"
    context.console.print(
        f"corpus   {experiment.corpus.name}: {counts} utterances, labels {', '.join(experiment.corpus.taxonomy.labels)}\n"
        f"encoder  {experiment.config.encoder.path}: {parameters / 1e6:.1f} M parameters with heads, {trained}\n"
        f"devices  {jax.device_count()} x {jax.devices()[0].device_kind}\n"
        f"folder   {context.workdir}",
        highlight=False,
        soft_wrap=True,
    )


def _check_folder(config: Config, workdir: Path, resume: bool) -> None:
    """Refuses a folder that is not this run's."""
    if workdir.exists() and not workdir.is_dir():
        raise UserError(f"--workdir {workdir} is a file; name a folder.")
    if not workdir.is_dir() or not any(workdir.iterdir()):
        return
    file = workdir / "config.json"
    if not file.exists():
        raise UserError(
            f"--workdir {workdir} holds files but no config.json, so it is not a run's folder; name an empty or new one."
        )
    if not resume:
        raise UserError(f"--workdir {workdir} holds a run and --noresume was given; name another folder or delete this one.")
    there, wanted = _flatten(read_config(workdir).to_dict()), _flatten(config.to_dict())
    different = [
        f"{k}: there {there[k]!r}, now {v!r}" for k, v in wanted.items() if there[k] != v and not k.startswith(_MAY_DIFFER)
    ]
    if different:
        raise UserError(
            f"--workdir {workdir} holds a run of another configuration; name another folder, or delete this one. "
            "They differ in\n  " + "\n  ".join(different)
        )


def read_config(workdir: Path) -> Config:
    """The configuration of the run in a folder.

    Raises:
      UserError: there is none, or it cannot be read.
    """
    file = workdir / "config.json"
    try:
        return Config.from_mapping(json.loads(file.read_text(encoding="utf-8")))
    except FileNotFoundError as error:
        raise UserError(f"{workdir} holds no config.json: it is not a run's folder.") from error
    except json.JSONDecodeError as error:
        raise UserError(f"{file} is not JSON ({error}).") from error


def _open_folder(experiment: Experiment, workdir: Path) -> None:
    """Makes the folder, or makes sure that the data are those it was begun with."""
    data = {
        "fingerprint": experiment.fingerprint,
        "examples": {split: len(experiment.examples[split]) for split in SPLITS},
    }
    file = workdir / "data.json"
    if file.exists() and (there := json.loads(file.read_text(encoding="utf-8"))) != data:
        raise UserError(
            f"{workdir} was begun with other data ({there['examples']} examples, now {data['examples']}, or other texts): "
            "give the same corpus and tokenizer, or another --workdir."
        )
    # Three copies of parameters with both moments: the latest, the best, and the one being written.
    needed = 3 * 3 * sum(x.nbytes for x in jax.tree.leaves(experiment.params))
    parent = next(p for p in (workdir, *workdir.absolute().parents) if p.exists())
    free = shutil.disk_usage(parent).free
    if not (workdir / "checkpoints").exists() and free < needed:
        raise UserError(
            f"--workdir {workdir}: {free / 1e9:.2f} GB are free on its disk, "
            f"and the run's checkpoints need up to {needed / 1e9:.2f} GB."
        )
    try:
        workdir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"--workdir {workdir} cannot be made: {error.strerror}.") from error
    _write_json(workdir / "config.json", experiment.config.to_dict())
    _write_json(file, data)


def _write_json(path: Path, value: Any) -> None:
    """Writes all of it or nothing."""
    part = path.with_suffix(".part")
    with part.open("w", encoding="utf-8") as file:
        json.dump(value, file, indent=2, ensure_ascii=False)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)


def _flatten(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        flat |= _flatten(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return flat


def _describe_non_finite(error: NonFiniteLossError, experiment: Experiment, workdir: Path) -> str:
    examples = [experiment.examples["train"][int(i)] for i in error.indices]
    batch = {
        "step": error.step,
        "metrics": {name: repr(value) for name, value in error.metrics.items()},
        "examples": [{"dialogue": e.dialogue, "utterance": e.utterance} for e in examples],
    }
    file = workdir / "non_finite_batch.json"
    _write_json(file, batch)
    return (
        f"the loss is not finite at step {error.step} ({batch['metrics']}); "
        f"the {len(examples)} utterances of its batch are in {file}. "
        "Lower the learning rates or look at these utterances; the checkpoints before that step are untouched."
    )
