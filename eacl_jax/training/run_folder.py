"""A run's folder: whose it is, which process is using it, and the JSON that it holds.

`config.json` says how the run was set up, `data.json` what it was given: two runs whose `data.json`
is the same learn from the same texts, labels and weights, wherever the files lie. `results.json` is
written last: where it is, the run is complete.
"""

import contextlib
import dataclasses
import functools
import hashlib
import json
import logging
import os
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout

from eacl_jax.config import Config
from eacl_jax.corpora.beside import with_path
from eacl_jax.data.prompts import Example
from eacl_jax.dialogue import SPLITS, Corpus, Dialogue, Utterance
from eacl_jax.encoders.sources import PACKAGE
from eacl_jax.errors import UserError
from eacl_jax.files import local, stores, whole
from eacl_jax.files.records import read_json
from eacl_jax.recognizer.results import Results

log = logging.getLogger(__name__)

CONFIG, DATA, RESULTS = "config.json", "data.json", "results.json"
_FORMAT = "eacl_jax run 2"
_LOCK, _USER = ".lock", ".lock.user"

# Settings that say where things are or what is printed; a run may go on with others. What is there,
# `data.json` tells.
_MAY_DIFFER = (
    *("run.", "data.dir", "data.cache_dir", "data.train", "data.dev", "data.test"),
    *("encoder.path", "encoder.revision", "encoder.sha256", "distil.teachers"),
)
_PLACES = ("dir", "cache_dir", "train", "dev", "test")

# The library that writes checkpoints looks for its own files by patterns, in which these mean
# something else than themselves.
_PATTERNS = "[]*?\\"


def check(config: Config, workdir: Path, resume: bool) -> None:
    """Refuses a folder that is not this run's, or that no run can use; writes nothing.

    Args:
      config: of the run.
      workdir: its folder; it need not exist.
      resume: whether a run that is there may go on.

    Raises:
      UserError: says why.
    """
    check_path(workdir, f"workdir {workdir.absolute()}", "name another folder")
    try:
        str(workdir).encode()
    except UnicodeEncodeError as error:
        raise UserError(
            f"workdir {workdir!r}: the name is not UTF-8; name another folder."
        ) from error
    if not holds(workdir, CONFIG, "a run"):
        return
    if not resume:
        raise UserError(
            f"workdir {workdir} holds a run, which is not to be resumed; name another folder or"
            " delete this one."
        )
    if different := differences(read_config(workdir), config):
        raise UserError(
            f"workdir {workdir} holds a run of another configuration; name another folder, or"
            " delete this one. They differ in\n  " + "\n  ".join(different)
        )


def holds(workdir: Path, file: str, what: str) -> bool:
    """Whether a folder is a run's or a study's already; not where it is new, or holds hidden files
    alone: locks, and what a killed process left unfinished.

    Args:
      workdir: the folder.
      file: that tells what it is.
      what: "a run", or "a study".

    Raises:
      UserError: it is no folder, cannot be read, or holds other files and not this one.
    """
    try:
        if workdir.is_symlink() and not workdir.exists():
            raise UserError(
                f"workdir {workdir} is a link to {os.readlink(workdir)}, which is not there; make"
                " that folder."
            )
        if workdir.exists() and not workdir.is_dir():
            raise UserError(f"workdir {workdir} is a file; name a folder.")
        if not workdir.is_dir():
            return False
        if (workdir / file).exists():
            return True
        names = [path.name for path in workdir.iterdir() if not path.name.startswith(".")]
    except OSError as error:
        raise UserError(
            f"workdir {error.filename or workdir}: {error.strerror}; mend that or name another"
            " folder."
        ) from error
    if names:
        there = "a run" if CONFIG in names and file != CONFIG else f"files but no {file}"
        raise UserError(
            f"workdir {workdir} holds {there}, so it is not {what}'s folder; name an empty or new"
            " one."
        )
    return False


def check_path(folder: Path, named: str, advice: str) -> None:
    """Raises `UserError` where checkpoints cannot be kept below a folder."""
    if found := sorted(set(str(folder.absolute())) & set(_PATTERNS)):
        raise UserError(
            f"{named}: checkpoints cannot be kept in a folder with {' '.join(found)} in its path;"
            f" {advice}."
        )


def differences(before: Config, now: Config) -> list[str]:
    """A line for each setting that a run may not go on with; where things are, and what is printed,
    may change.
    """
    there, wanted = (_without_paths(_flatten(each.to_dict())) for each in (before, now))
    return [
        f"{k}: there {there[k]!r}, now {v!r}"
        for k, v in wanted.items()
        if there[k] != v and not k.startswith(_MAY_DIFFER)
    ]


def settings(config: Config) -> dict[str, Any]:
    """All settings by name, but for those that say where things are."""
    places = tuple(name for name in _MAY_DIFFER if name != "run.")
    found = _without_paths(_flatten(config.to_dict()))
    return {k: v for k, v in found.items() if k not in places}


def read_config(workdir: Path) -> Config:
    """The configuration of the run in a folder.

    Raises:
      UserError: there is none, or it cannot be read.
    """
    if not (workdir / CONFIG).exists():
        raise UserError(f"{workdir} holds no {CONFIG}: it is not a run's folder.")
    return read_config_file(workdir / CONFIG)


def read_config_file(file: Path) -> Config:
    """The configuration in a run's `config.json`, wherever it lies now.

    Raises:
      UserError: it cannot be read, or is another file.
    """
    workdir = file.parent
    found = read_json(file, "restore it, or delete the folder and train again")
    if "format" in found and (workdir.parent / CONFIG).exists():
        raise UserError(f"{workdir} is a model's folder; name that of its run, {workdir.parent}.")
    if "format" in found:
        raise UserError(f"{workdir} is a model's folder, not a run's; name that of a run.")
    try:
        return Config.from_record(found)
    except UserError as error:
        raise UserError(f"{file} was not written by this version for a run: {error}") from error


def read_results(
    workdir: Path,
    advice: str = (
        "delete it, and train with the same command: that writes it again, from the checkpoints"
    ),
) -> Results:
    """The results of the complete run in a folder.

    Args:
      workdir: the folder.
      advice: what to do where they cannot be read, for the message.

    Raises:
      UserError: there are none, or they cannot be read.
    """
    file = workdir / RESULTS
    if not file.exists():
        raise UserError(f"{file} is not there: the run is not complete.")
    problems: list[str] = []
    results = Results.from_json(read_json(file, advice), problems)
    if results is None or problems:
        raise UserError(
            "\n  ".join([f"{file} does not hold a run's results; {advice}.", *problems])
        )
    return results


def read_data(workdir: Path) -> dict[str, Any] | None:
    """What the run in a folder was given; None where that is not there.

    Raises:
      UserError: it cannot be read, or is something else.
    """
    file, advice = workdir / DATA, "restore it, or delete the folder and train again"
    if not file.exists():
        return None
    found = read_json(file, advice)
    if found.get("format") != _FORMAT:
        raise UserError(f"{file}: 'format' is not {_FORMAT!r}; {advice}.")
    return found


def describe(
    corpus: Corpus,
    encoder: Mapping[str, str],
    *,
    annotators: bool = False,
    others: Sequence[Corpus] = (),
    teachers: Sequence[Mapping[str, str]] = (),
) -> dict[str, Any]:
    """What a run is given, as `data.json` keeps it.

    Args:
      corpus: its dialogues and labels.
      encoder: from `encoders.identify`.
      annotators: whether what each annotator gave is learned from.
      others: whose training dialogues are learned from too.
      teachers: from `teachers.identify`.
    """
    also = {
        each.name: describe_dialogues(each.splits["train"], annotators=annotators)
        | {"labels": list(each.taxonomy.labels), "words": list(each.taxonomy.words)}
        for each in others
    }
    return {
        "format": _FORMAT,
        "corpus": {
            split: describe_dialogues(corpus.splits[split], annotators=annotators)
            for split in SPLITS
        },
        "labels": list(corpus.taxonomy.labels),
        "words": list(corpus.taxonomy.words),
        "encoder": dict(encoder),
        **({"task": corpus.task} if corpus.task != "single" else {}),
        **({"also": also} if also else {}),
        **({"teachers": [dict(each) for each in teachers]} if teachers else {}),
    }


def describe_dialogues(
    dialogues: Sequence[Dialogue], *, annotators: bool = False
) -> dict[str, Any]:
    """How many dialogues and utterances there are, and a hash of all ids, speakers, texts and
    emotions; where an utterance may have several, or with `annotators`, also of what each annotator
    gave. `features`, where there are any: their hash.
    """
    several = any(u.emotions is not None for d in dialogues for u in d.utterances)
    labels = _several_labels if several or annotators else _one_label
    plain = [[d.id, [[u.speaker, u.text, *labels(u)] for u in d.utterances]] for d in dialogues]
    return {
        "dialogues": len(dialogues),
        "utterances": sum(len(d.utterances) for d in dialogues),
        "sha256": hashlib.sha256(json.dumps(plain).encode()).hexdigest(),
        **_features(dialogues),
    }


def _features(dialogues: Sequence[Dialogue]) -> dict[str, str]:
    digest, some = hashlib.sha256(), False
    for dialogue in dialogues:
        for number, utterance in enumerate(dialogue.utterances):
            for name, rows in sorted(utterance.features.items()):
                some = True
                digest.update(f"{dialogue.id}\0{number}\0{name}\0{rows.shape}\0".encode())
                digest.update(np.ascontiguousarray(rows, np.float32).tobytes())
    return {"features": digest.hexdigest()} if some else {}


def _one_label(utterance: Utterance) -> list[Any]:
    return [utterance.emotion]


def _several_labels(utterance: Utterance) -> list[Any]:
    """In an order that does not depend on how they were written."""
    emotions, given = utterance.emotions, utterance.annotations
    return [
        *([] if utterance.emotion is None else [utterance.emotion]),
        None if emotions is None else sorted(emotions),
        None if given is None else [sorted(labels) for labels in given],
    ]


def check_data(workdir: Path, now: Mapping[str, Any]) -> None:
    """Compares what the run in a folder was given with what is given now.

    Args:
      workdir: its folder.
      now: from `describe`; with `tokens` where they are known.

    Raises:
      UserError: lists what differs, or that this cannot be known.
    """
    there = read_data(workdir)
    if there is None:
        began = (workdir / RESULTS).exists() or (workdir / "checkpoints").exists()
        if not began:
            return
        raise UserError(
            f"workdir {workdir} does not say what its run was trained on: {DATA} is missing. Name"
            " another folder, or delete this one and train again."
        )
    if different := data_differences(there, now):
        raise UserError(
            f"workdir {workdir} holds a run that was given something else; give the same, or name"
            " another folder. They differ in\n  " + "\n  ".join(different)
        )


def write_inputs(workdir: Path, config: Config, data: Mapping[str, Any]) -> None:
    """Writes `config.json`, with paths that are right from anywhere, and `data.json`."""
    whole.write_json(workdir / CONFIG, _absolute(config).to_dict())
    whole.write_json(workdir / DATA, data)


def write_non_finite_batch(
    workdir: Path,
    step: int,
    metrics: Mapping[str, float],
    examples: Sequence[tuple[str, Example]],
) -> str:
    """Writes which utterances gave a loss that is not finite, to `non_finite_batch.json`.

    Args:
      workdir: the run's folder.
      step: whose loss it was.
      metrics: of that step.
      examples: of its batch, each with its corpus' name.

    Returns:
      What to tell the user.
    """
    batch = {
        "step": step,
        "metrics": {name: repr(value) for name, value in metrics.items()},
        "examples": [
            {"corpus": corpus, "dialogue": e.dialogue, "utterance": e.utterance}
            for corpus, e in examples
        ],
    }
    advice = (
        "Nothing had been learned yet, so it is not the learning rates: look at these utterances,"
        " loss.temperature and encoder.dtype"
        if step == 1
        else "Lower the learning rates or look at these utterances"
    )
    file = workdir / "non_finite_batch.json"
    whole.write_json(file, batch)
    return (
        f"the loss is not finite at step {step} ({batch['metrics']}); "
        f"the {len(examples)} utterances of its batch are in {file}. "
        f"{advice}; the checkpoints before that step are untouched."
    )


@contextlib.contextmanager
def locked(workdir: Path) -> Iterator[None]:
    """Makes the folder where it is missing, and keeps other processes from training in it
    meanwhile.

    The lock goes with the process, however that ends. A folder that was made, and into which
    nothing was written, goes too.

    Raises:
      UserError: another process is training in it, or nothing can be written there.
    """
    absolute = workdir.absolute()
    try:
        made = [folder for folder in (absolute, *absolute.parents) if not folder.exists()]
        absolute.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"workdir {workdir} cannot be made: {error.strerror}.") from error
    with contextlib.ExitStack() as stack:
        for folder in reversed(made):
            stack.callback(_remove_empty, folder)
        lock = FileLock(absolute / _LOCK, timeout=0)
        try:
            stack.enter_context(lock)
        except Timeout as error:
            raise UserError(
                f"workdir {workdir}: {_user_of(absolute)} is training in this folder; wait for it,"
                " stop it, or name another."
            ) from error
        except NotImplementedError:
            log.warning(
                "%s is on a disk without locks: take care that no other process trains in this"
                " folder.",
                workdir,
            )
        except OSError as error:
            raise UserError(
                f"workdir {workdir} cannot be written: {error.strerror}; name another folder."
            ) from error
        # Deleted before the lock is let go: a process that waits for the lock finds that it has
        # gone.
        for name in (_LOCK, _USER):
            stack.callback((absolute / name).unlink, missing_ok=True)
        since = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime())
        with contextlib.suppress(
            OSError
        ):  # a disk may be full, and what is there deleted to make room
            whole.write_text(
                absolute / _USER, f"process {os.getpid()} on {socket.gethostname()}, since {since},"
            )
        yield


def _user_of(folder: Path) -> str:
    try:
        return (folder / _USER).read_text(encoding="utf-8").strip() or "another process"
    except (OSError, ValueError):
        return "another process"


def _remove_empty(folder: Path) -> None:
    with contextlib.suppress(OSError):
        folder.rmdir()


def data_differences(there: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """A line for each difference of two `describe` gave; `tokens` are compared where both have
    them.
    """
    lines = []
    for split in SPLITS:
        before, after = (_group(_group(side, "corpus"), split) for side in (there, now))
        if before != after:
            counts = [
                f"{s.get('dialogues')} dialogues with {s.get('utterances')} utterances"
                for s in (before, after)
            ]
            how = (
                f"there {counts[0]}, now {counts[1]}"
                if counts[0] != counts[1]
                else "features"
                if before.get("sha256") == after.get("sha256")
                else "texts, speakers, emotions or ids"
            )
            lines.append(f"{split}: {how}")
    for name in ("labels", "words"):
        if there.get(name) != now[name]:
            lines.append(f"{name}: there {there.get(name)}, now {now[name]}")
    before, after = _group(there, "also"), _group(now, "also")
    for name in sorted(before.keys() | after.keys()):
        if before.get(name) != after.get(name):
            lines.append(f"training dialogues, labels or words of {name}, learnt from beside")
    tasks = [side.get("task", "single") for side in (there, now)]
    if tasks[0] != tasks[1]:
        lines.append(f"task: there {tasks[0]}, now {tasks[1]}")
    asked, asks = there.get("teachers", []), now.get("teachers", [])
    if len(asked) != len(asks):
        lines.append(f"teachers: there {len(asked)}, now {len(asks)}")
    elif asked != asks:
        lines.append("teachers: other models, or the same in another order")
    before, after = _group(there, "encoder"), _group(now, "encoder")
    for name in sorted(before.keys() | after.keys()):
        if before.get(name) != after.get(name):
            lines.append(
                f"the encoder's {name}: there {before.get(name, 'none')}, now"
                f" {after.get(name, 'none')}"
            )
    if not lines and "tokens" in now and there.get("tokens") != now["tokens"]:
        lines.append(
            "tokens: the same texts become others, by another tokenizer or another version of one"
        )
    return lines


def _group(mapping: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = mapping.get(name)
    return value if isinstance(value, Mapping) else {}


def _absolute(config: Config) -> Config:
    def absolute(name: str, path: str) -> str:
        if not path:
            return ""
        return stores.address_of(path) or str(local.expand(path, name).absolute())

    places: dict[str, Any] = {
        name: absolute(f"config.data.{name}", getattr(config.data, name)) for name in _PLACES
    }
    for name in ("features", "also"):
        places[name] = tuple(
            with_path(row, functools.partial(absolute, f"config.data.{name}[{n}]"))
            for n, row in enumerate(getattr(config.data, name))
        )
    data = dataclasses.replace(config.data, **places)
    path, encoder = config.encoder.path, config.encoder
    if not path.startswith(PACKAGE) and (
        stores.address_of(path) or Path(path).expanduser().is_dir()
    ):
        encoder = dataclasses.replace(encoder, path=absolute("config.encoder.path", path))
    teachers = tuple(
        absolute("config.distil.teachers", each)
        if stores.address_of(each) or Path(each).expanduser().is_dir()
        else each
        for each in config.distil.teachers
    )
    distil = dataclasses.replace(config.distil, teachers=teachers)
    return dataclasses.replace(config, data=data, encoder=encoder, distil=distil)


def _without_paths(flat: dict[str, Any]) -> dict[str, Any]:
    """Features beside the text, and other corpora, by name: where their files are may change."""
    features, also = "data.features", "data.also"
    return {
        **flat,
        features: tuple(with_path(row, lambda _: "") for row in flat[features]),
        also: tuple(row.partition("=")[0].strip() for row in flat[also]),
    }


def _flatten(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        flat |= (
            _flatten(value, f"{prefix}{key}.")
            if isinstance(value, Mapping)
            else {f"{prefix}{key}": value}
        )
    return flat
