"""A whole run in its folder: stage one, stage two, one look at test, and what is left for people
and programs.

The folder: `config.json`, `data.json`, `checkpoints/`, `metrics.jsonl`, `tensorboard/`, `model/`,
with LoRA `adapter/`, `report/`, `profile/` where it was asked for, with teachers
`teachers.safetensors` (what they answered), `outputs.safetensors` (what was answered), `cost.json`
and `results.json`, which is written last: where it is, the run is complete.
"""

import contextlib
import hashlib
import io
import json
import shutil
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
from rich.console import Console

from eacl_jax import corpora, encoders
from eacl_jax.config import Config, Stage
from eacl_jax.corpora.others import load_others
from eacl_jax.dialogue import SPLITS, counted
from eacl_jax.errors import UserError
from eacl_jax.features.modality import described
from eacl_jax.files import local, stores, whole
from eacl_jax.recognizer.results import Results
from eacl_jax.training import processes, run_folder, teachers
from eacl_jax.training.answers import outputs_of
from eacl_jax.training.cost import Clock, trained_parameters, write_cost
from eacl_jax.training.experiment import Experiment, Loaded, prepare
from eacl_jax.training.loop import NonFiniteLossError, StopRequest
from eacl_jax.training.mirror import Mirror, mirrored
from eacl_jax.training.modalities import leave_out
from eacl_jax.training.outputs import write_outputs
from eacl_jax.training.products import PRODUCTS, Finished, write_products
from eacl_jax.training.recording import MetricsLog, say
from eacl_jax.training.results import print_results
from eacl_jax.training.stage import StageContext, Watch
from eacl_jax.training.stage_one import run_stage_one
from eacl_jax.training.stage_two import run_stage_two
from eacl_jax.training.training_sets import TrainingSet


def train(
    config: Config,
    workdir: str | Path,
    *,
    resume: bool = True,
    profile: int = 0,
    stop: StopRequest | None = None,
    console: Console | None = None,
    loaded: Loaded | None = None,
    keep: Collection[str] = PRODUCTS,
    watch: Watch | None = None,
) -> Results:
    """Runs both stages, or goes on with what is in the folder. A program may call it from any
    thread, as often as it likes.

    With several processes (`jax.distributed.initialize`) all must call it alike: they train
    together, the first writes and speaks. Only the first uses the folder.

    Args:
      config: of the run.
      workdir: the run's folder, made if absent; or an address, as `gs://bucket/run`.
      resume: go on with a run of the same configuration that is there; with False such a folder is
        refused.
      profile: how many steps of stage one to trace into the folder's `profile/`; see
        `profiling.Profiler`.
      stop: with which the caller may ask the run to stop; without it nothing stops it.
      console: where to say how it goes.
      loaded: by `experiment.load`, shared with other runs of this process; None: read anew.
      keep: which of `PRODUCTS` to write.
      watch: gets each epoch's scores.

    Returns:
      What it gave, as `results.json` holds it.

    Raises:
      UserError: something given cannot be used, the folder holds another run or is in use, a file
        cannot be read or written, or the loss is not finite.
      loop.Interrupted: it was asked to stop; the state has been saved.
    """
    if not processes.is_main():
        console, profile = Console(file=io.StringIO()), 0
    console = Console() if console is None else console
    stop = StopRequest() if stop is None else stop

    def run(folder: Path, mirror: Mirror | None = None) -> Results:
        context = StageContext(folder, console, stop, profile, watch, mirror)
        return _train(config, context, resume, loaded, keep)

    if (address := stores.address_of(workdir, "workdir")) is None:
        return run(local.expand(workdir, "workdir"))
    with mirrored(address, corpora.cache_folder(config.data), stop) as mirror:
        return run(mirror.folder, mirror)


def _train(
    config: Config,
    context: StageContext,
    resume: bool,
    loaded: Loaded | None,
    keep: Collection[str],
) -> Results:
    workdir = context.workdir
    with contextlib.ExitStack() as stack:

        def enter() -> dict[str, Any] | None:
            """The results of a complete run; where there is none, the folder is locked."""
            if context.mirror is not None:
                context.mirror.open()
            run_folder.check(config, workdir, resume)
            if (results := _complete(config, context, keep, loaded)) is None:
                stack.enter_context(run_folder.locked(workdir))
                # Until the lock was there, another process may have gone on.
                run_folder.check(config, workdir, resume)
                results = _complete(config, context, keep, loaded)
            return None if results is None else results.to_json()

        if (complete := processes.by_main("complete", enter)) is not None:
            return _results(complete)
        clock = Clock(resumed=(workdir / "checkpoints").is_dir())
        experiment = processes.all_ready("prepared", lambda: prepare(config, loaded=loaded))
        try:
            _begin(experiment, workdir)
            # Not before: what cannot begin must not stop a run that has the address.
            if context.mirror is not None:
                processes.by_main("claimed", context.mirror.claim)
            with context.stop.heeding():
                return _run(experiment, context, keep, clock)
        except UserError:
            raise
        except NonFiniteLossError as error:
            found, sets = error, experiment.training_sets
            examples = [(each.corpus.name, e) for each in sets for e in each.examples]

            def write() -> str:
                batch = [examples[int(i)] for i in found.indices]
                return run_folder.write_non_finite_batch(workdir, found.step, found.metrics, batch)

            raise processes.CommonError(processes.by_main("not finite", write)) from error
        except Exception as error:
            _tell_of_disk(error, workdir)
            raise


def _tell_of_disk(error: Exception, workdir: Path) -> None:
    """Raises `UserError` where the error is of a full disk, or the like."""
    if problem := local.disk_problem(error, workdir):
        raise UserError(f"{problem} and run the same command again to go on.") from error


def _results(found: Mapping[str, Any]) -> Results:
    results = Results.from_json(found, [])
    assert results is not None
    return results


def _complete(
    config: Config, context: StageContext, keep: Collection[str], loaded: Loaded | None
) -> Results | None:
    """The results of the complete run in the folder, printed, if it was given what is given now;
    None where there is none. A line says what of `keep` is no longer there.

    Args:
      config: of the run.
      context: of its folder.
      keep: what it is to leave.
      loaded: what is given now; None: what the configuration names.

    Raises:
      UserError: it was given something else, or what is given now cannot be read.
    """
    workdir, console = context.workdir, context.console
    if not (workdir / run_folder.RESULTS).exists():
        return None
    results = run_folder.read_results(workdir)
    try:
        corpus = loaded.corpus if loaded else corpora.load(config.data)
        others = loaded.others if loaded else load_others(config.data, corpus)
        given = run_folder.describe(
            corpus,
            loaded.identity if loaded else encoders.identify(config.encoder),
            annotators=config.loss.soft_targets,
            others=[other.corpus for other in others],
            teachers=teachers.identify(config.distil.teachers),
        )
    except UserError as error:
        raise UserError(
            f"{workdir} holds a complete run, but whether it was given the same data and encoder"
            f" cannot be known: {error} (What it gave is in {workdir / run_folder.RESULTS}.)"
        ) from error
    run_folder.check_data(workdir, given)
    say(
        console,
        f"{context.named(workdir)} holds a complete run of this configuration on the same data; its"
        " results:",
    )
    print_results(results, console)
    adapted = bool(config.encoder.lora_rank and not config.encoder.random_weights)
    there = {"model": "model" in keep, "adapter": adapted and "model" in keep}
    there["report"] = "report" in keep
    if gone := [
        context.named(workdir / name)
        for name, wanted in there.items()
        if wanted and not (workdir / name).is_dir()
    ]:
        say(
            console,
            f"{' and '.join(gone)}: no longer there. Delete"
            f" {context.named(workdir / run_folder.RESULTS)} and run the same command: that writes"
            " all of it again, from the checkpoints.",
        )
    return results


def _run(
    experiment: Experiment, context: StageContext, keep: Collection[str], clock: Clock
) -> Results:
    workdir = context.workdir
    _announce(experiment, context)
    experiment = teachers.taught(experiment, context)
    first = run_stage_one(experiment, context)
    reps = {
        split: experiment.encoding.represent(first.params, experiment.examples[split])
        for split in SPLITS
    }
    second = run_stage_two(experiment, context, first, reps)
    without = leave_out(experiment, first.params)
    # The rest needs no other process: the arrays are whole in each.

    def leave() -> dict[str, Any]:
        try:
            finished = Finished.of(experiment, {Stage.ONE: first, Stage.TWO: second}, reps, without)
            return _leave(experiment, context, finished, keep, clock).to_json()
        except UserError:
            raise
        except Exception as error:
            _tell_of_disk(error, workdir)
            raise

    return _results(processes.by_main("results", leave))


def _leave(
    experiment: Experiment,
    context: StageContext,
    finished: Finished,
    keep: Collection[str],
    clock: Clock,
) -> Results:
    """Writes what is left for people and programs."""
    console, workdir, results = context.console, context.workdir, finished.results
    answers = outputs_of(experiment, finished.reps["test"], finished.anchors, finished.answered)
    write_outputs(workdir, answers)
    _check_encoder(experiment)
    lines = write_products(experiment, context, finished, keep)
    write_cost(workdir, clock.cost(experiment, MetricsLog(workdir / "metrics.jsonl").rows()))
    whole.write_json(workdir / run_folder.RESULTS, results.to_json())
    if context.mirror is not None:
        context.mirror.flush()
    print_results(results, console)
    if lines:
        say(console, "\n".join(lines))
    return results


def _check_encoder(experiment: Experiment) -> None:
    """Raises `UserError` where the encoder's files are others than at the start: they are read
    again, for label words to come.
    """
    if encoders.identify(experiment.config.encoder) != experiment.encoder_identity:
        raise UserError(
            f"the files of the encoder {experiment.config.encoder.path} changed while the run went"
            " on; put the former ones back and run the same command again."
        )


def _announce(experiment: Experiment, context: StageContext) -> None:
    counts = ", ".join(f"{len(experiment.examples[split])} {split}" for split in SPLITS)
    parameters = sum(x.size for x in jax.tree.leaves(experiment.params))
    encoder, settings = experiment.config.encoder, experiment.config.stage_one
    frozen, rank = encoder.frozen_layers, encoder.lora_rank
    limits = [
        f"embeddings and the lowest {frozen} layers frozen" if frozen else "",
        (
            f"unfrozen by {settings.unfreeze_layers} layers an epoch from the top"
            if settings.unfreeze_layers
            else ""
        ),
        "rates by stage_one.rates" if settings.rates else "",
        f"LoRA of rank {rank} beside the encoder's maps" if rank else "",
    ]
    trained = ", ".join(filter(None, limits)) or "all trained"
    say(
        context.console,
        f"corpus   {experiment.corpus.name}: {counts} utterances, labels"
        f" {', '.join(experiment.corpus.taxonomy.labels)}\n{_also(experiment)}"
        f"{described(experiment.modalities)}encoder "
        f" {experiment.config.encoder.path}: {parameters / 1e6:.1f} M parameters with heads,"
        f" {trained}\ndevices  {_devices(experiment)}\nfolder  "
        f" {context.named(context.workdir)}",
    )


def _also(experiment: Experiment) -> str:
    """The other corpora, a line each."""
    first, *counts = experiment.batches_per_epoch

    def line(each: TrainingSet, count: int) -> str:
        left_out = (
            f"; left out: {counted(each.left_out, 'dialogue that holds', 'dialogues that hold')}"
            f" utterances of {experiment.corpus.name}'s dev or test"
            if each.left_out
            else ""
        )
        return (
            f"also     {each.corpus.name}: {len(each.examples)} train utterances, labels"
            f" {', '.join(each.corpus.taxonomy.labels)}; {count} batches an epoch beside"
            f" {first}{left_out}\n"
        )

    return "".join(line(each, count) for each, count in zip(experiment.others, counts, strict=True))


def _devices(experiment: Experiment) -> str:
    mesh, several = experiment.mesh, processes.count()
    of = f" of {several} processes" if several > 1 else ""
    return f"{mesh.size} x {mesh.devices.flat[0].device_kind}{of}"


def _begin(experiment: Experiment, workdir: Path) -> None:
    """Makes sure that a run that is there was given the same, and that there is room for
    checkpoints; writes what is given.
    """
    config, corpus, asked = experiment.config, experiment.corpus, []
    if config.distil.teachers:
        asked = processes.by_main(
            "teachers", lambda: teachers.check(config.distil.teachers, corpus)
        )
    given = run_folder.describe(
        corpus,
        experiment.encoder_identity,
        annotators=config.loss.soft_targets,
        others=[other.corpus for other in experiment.others],
        teachers=asked,
    ) | {"tokens": experiment.fingerprint}
    if processes.count() > 1:
        processes.check_equal(_given(experiment, given))
    processes.by_main("inputs", lambda: _write_given(experiment, workdir, given))


def _given(experiment: Experiment, given: Mapping[str, Any]) -> dict[str, str]:
    """What all processes of a run must have alike: a digest of each, but for the versions."""

    def digest(value: bytes) -> str:
        return hashlib.sha256(value).hexdigest()

    def of_settings(value: Any) -> str:
        return digest(json.dumps(value, sort_keys=True).encode())

    code, weights = hashlib.sha256(), hashlib.sha256()
    package = Path(__file__).resolve().parents[1]
    for file in sorted(package.rglob("*.py")):
        code.update(file.relative_to(package).as_posix().encode() + file.read_bytes())
    for leaf in jax.tree.leaves(experiment.params):
        weights.update(np.asarray(leaf).tobytes())
    return {
        "eacl_jax' code": code.hexdigest(),
        "jax' version": jax.__version__,
        **{
            f"the setting {name}": repr(value)
            for name, value in run_folder.settings(experiment.config).items()
        },
        **{f"the corpus' {split}": of_settings(found) for split, found in given["corpus"].items()},
        "labels and their words": of_settings([given["labels"], given["words"]]),
        "the encoder's files": of_settings(given["encoder"]),
        "tokens": given["tokens"],
        "weights": weights.hexdigest(),
    }


def room(experiment: Experiment) -> int:
    """Bytes that a run's checkpoints need at most."""
    # Three checkpoints, the latest, the best and the one being written: parameters, both moments, a
    # moving average, and epochs whose mean is taken (of LoRA's matrices each, as the mean is of
    # their products).
    settings, lora = experiment.config.stage_one, bool(experiment.config.encoder.lora_rank)
    epochs = 1 if settings.soup and settings.soup_of == "last" and not lora else settings.soup
    count = sum(x.size for x in jax.tree.leaves(experiment.params))
    if lora:  # the base is in none of them
        count = trained_parameters(experiment)
    return 3 * (3 + bool(settings.average) + epochs) * 4 * count


def _write_given(experiment: Experiment, workdir: Path, given: Mapping[str, Any]) -> None:
    run_folder.check_data(workdir, given)
    needed = room(experiment)
    free = shutil.disk_usage(workdir).free
    if not (workdir / "checkpoints").exists() and free < needed:
        raise UserError(
            f"workdir {workdir}: {local.size_words(free)} are free on the disk where it is written,"
            f" and the run's checkpoints need up to {local.size_words(needed)}."
        )
    run_folder.write_inputs(workdir, experiment.config, given)
