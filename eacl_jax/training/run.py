"""A whole run in its folder: stage one, stage two, one look at test, and what is left for people and programs.

The folder: `config.json`, `data.json`, `checkpoints/`, `metrics.jsonl`, `tensorboard/`, `model/`, `report/`, `profile/` where
it was asked for, and `results.json`, which is written last: where it is, the run is complete.
"""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
from rich.console import Console
from rich.table import Table
from rich.text import Text

from eacl_jax import corpora, encoders, reports
from eacl_jax.config import Config
from eacl_jax.dialogue import SPLITS
from eacl_jax.errors import UserError
from eacl_jax.files import local, whole
from eacl_jax.model.calibration import expected_calibration_error, fit_temperature, probabilities
from eacl_jax.model.metrics import title
from eacl_jax.model.scores import host_scores
from eacl_jax.recognizer.facts import Facts
from eacl_jax.recognizer.recognizer import EmotionRecognizer
from eacl_jax.training import run_folder
from eacl_jax.training.experiment import Experiment, prepare
from eacl_jax.training.loop import NonFiniteLossError, StopRequest
from eacl_jax.training.recording import MetricsLog, say
from eacl_jax.training.stage import HEADLINE, StageContext, StageResult, predictions, score
from eacl_jax.training.stage_one import run_stage_one
from eacl_jax.training.stage_two import run_stage_two


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
      UserError: something given cannot be used, the folder holds another run or is in use, a file cannot be read or written,
        or the loss is not finite.
      training.Interrupted: SIGTERM or SIGINT; the state has been saved.
    """
    console = Console() if console is None else console
    workdir = local.expand(workdir, "--workdir")
    run_folder.check(config, workdir, resume)
    if (results := _complete(config, workdir, console)) is not None:
        return results
    with run_folder.locked(workdir):
        # Until the lock was there, another process may have gone on.
        run_folder.check(config, workdir, resume)
        if (results := _complete(config, workdir, console)) is not None:
            return results
        experiment = prepare(config)
        try:
            _begin(experiment, workdir)
            with StopRequest().installed() as stop:
                return _run(experiment, StageContext(workdir, console, stop, profile))
        except UserError:
            raise
        except NonFiniteLossError as error:
            raise UserError(_describe_non_finite(error, experiment, workdir)) from error
        except Exception as error:
            if not (problem := local.disk_problem(error, workdir)):
                raise
            raise UserError(f"{problem} and run the same command again to go on.") from error


def _complete(config: Config, workdir: Path, console: Console) -> dict[str, Any] | None:
    """The results of the complete run in the folder, printed, if it was given what is given now; None where there is none.

    Raises:
      UserError: it was given something else, or what is given now cannot be read.
    """
    if not (workdir / run_folder.RESULTS).exists():
        return None
    results = run_folder.read_results(workdir)
    try:
        given = run_folder.describe(corpora.load(config.data), encoders.identify(config.encoder))
    except UserError as error:
        raise UserError(
            f"{workdir} holds a complete run, but whether it was given the same data and encoder cannot be known: {error} "
            f"(What it gave is in {workdir / run_folder.RESULTS}.)"
        ) from error
    run_folder.check_data(workdir, given)
    say(console, f"{workdir} holds a complete run of this configuration on the same data; its results:")
    print_results(results, console)
    if gone := [str(workdir / name) for name in ("model", "report") if not (workdir / name).is_dir()]:
        say(
            console,
            f"{' and '.join(gone)}: no longer there. Delete {workdir / run_folder.RESULTS} and run the same command: "
            "that writes all of it again, from the checkpoints.",
        )
    return results


def _run(experiment: Experiment, context: StageContext) -> dict[str, Any]:
    console, workdir = context.console, context.workdir
    _announce(experiment, context)
    first = run_stage_one(experiment, context)
    reps = {split: experiment.encoding.represent(first.params, experiment.examples[split]) for split in SPLITS}
    second = run_stage_two(experiment, context, first, reps)

    predicted = {
        name: {split: predictions(experiment.task, reps[split], stage.anchors) for split in ("dev", "test")}
        for name, stage in (("stage_one", first), ("stage_two", second))
    }
    stages = {"stage_one": first, "stage_two": second}
    calibration = {name: calibrate(experiment, reps, stage.anchors) for name, stage in stages.items()}
    results = summarize(experiment, stages, predicted, calibration)
    # The encoder is read again, for label words to come.
    if encoders.identify(experiment.config.encoder) != experiment.encoder_identity:
        raise UserError(
            f"the files of the encoder {experiment.config.encoder.path} changed while the run went on; "
            "put the former ones back and run the same command again."
        )
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
    whole.write_json(workdir / run_folder.RESULTS, results)
    print_results(results, console)
    say(console, f"report   {page}\nmodel    {workdir / 'model'}")
    return results


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
    say(
        context.console,
        f"corpus   {experiment.corpus.name}: {counts} utterances, labels {', '.join(experiment.corpus.taxonomy.labels)}\n"
        f"encoder  {experiment.config.encoder.path}: {parameters / 1e6:.1f} M parameters with heads, {trained}\n"
        f"devices  {jax.device_count()} x {jax.devices()[0].device_kind}\n"
        f"folder   {context.workdir}",
    )


def _begin(experiment: Experiment, workdir: Path) -> None:
    """Makes sure that a run that is there was given the same, and that there is room for checkpoints; writes what is given."""
    given = run_folder.describe(experiment.corpus, experiment.encoder_identity) | {"tokens": experiment.fingerprint}
    run_folder.check_data(workdir, given)
    # Three copies of parameters with both moments: the latest, the best, and the one being written.
    needed = 3 * 3 * sum(x.nbytes for x in jax.tree.leaves(experiment.params))
    free = shutil.disk_usage(workdir).free
    if not (workdir / "checkpoints").exists() and free < needed:
        raise UserError(
            f"--workdir {workdir}: {free / 1e9:.2f} GB are free on its disk, "
            f"and the run's checkpoints need up to {needed / 1e9:.2f} GB."
        )
    run_folder.write_inputs(workdir, experiment.config, given)


def _describe_non_finite(error: NonFiniteLossError, experiment: Experiment, workdir: Path) -> str:
    examples = [experiment.examples["train"][int(i)] for i in error.indices]
    batch = {
        "step": error.step,
        "metrics": {name: repr(value) for name, value in error.metrics.items()},
        "examples": [{"dialogue": e.dialogue, "utterance": e.utterance} for e in examples],
    }
    advice = (
        "Nothing had been learned yet, so it is not the learning rates: look at these utterances, loss.temperature and "
        "encoder.dtype"
        if error.step == 1
        else "Lower the learning rates or look at these utterances"
    )
    file = workdir / "non_finite_batch.json"
    whole.write_json(file, batch)
    return (
        f"the loss is not finite at step {error.step} ({batch['metrics']}); "
        f"the {len(examples)} utterances of its batch are in {file}. "
        f"{advice}; the checkpoints before that step are untouched."
    )
