"""A study's folder, and the folders of its cells.

    study.config.json                   which study it is, and the settings of its cells
    cells/CORPUS/VARIANT/seed-N/        a run's folder; without checkpoints once it is complete
    cells/CORPUS/VARIANT/seed-N/failed.json   why a run failed
    cells/CORPUS/VARIANT/seed-N/transfer/     what the run answered on other corpora
    .claims/                            which process runs which cell

Where a cell's folder holds `results.json`, and the answers on other corpora that the study asks
for, it is complete. Until then it keeps its model.
"""

import contextlib
import dataclasses
import enum
import shutil
import time
import traceback
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from eacl_jax.config import Config
from eacl_jax.errors import UserError
from eacl_jax.files import whole
from eacl_jax.files.records import read_json
from eacl_jax.studies.definition import Cell, Study, Transfer
from eacl_jax.studies.names import slug
from eacl_jax.training import run_folder

STUDY, FAILED = "study.config.json", "failed.json"
CELLS, CLAIMS = "cells", ".claims"
MODEL, TRANSFER = "model", "transfer"
_FORMAT = "eacl_jax study 1"
_LOCK = ".study.lock"
# Of a complete run, what is only needed to go on with it or to look at it as it goes.
_DROPPED = ("checkpoints", "tensorboard", MODEL)


class State(enum.Enum):
    """Of a cell: what its folder says."""

    NEW = "not begun"
    BEGUN = "begun"
    FAILED = "failed"
    COMPLETE = "complete"


@dataclasses.dataclass(frozen=True)
class Failure:
    """Why a cell's run failed; `traceback` is empty for what a user can mend."""

    reason: str
    traceback: str = ""


def name_of(cell: Cell) -> str:
    """A cell's folder below `cells/`: "CORPUS/VARIANT/seed-N"."""
    return f"{slug(cell.corpus)}/{slug(cell.variant)}/seed-{cell.seed}"


def folder_of(workdir: Path, cell: Cell) -> Path:
    """A cell's folder, which is its run's."""
    return workdir / CELLS / name_of(cell)


def transfer_file(folder: Path, transfer: Transfer) -> Path:
    """Where a cell's folder keeps answers on another corpus."""
    return folder / TRANSFER / f"{slug(transfer.target)}.{transfer.examples}.safetensors"


def state_of(workdir: Path, cell: Cell) -> State:
    """What a cell's folder says of it."""
    folder = folder_of(workdir, cell)
    if (folder / run_folder.RESULTS).exists() and all(
        transfer_file(folder, transfer).exists() for transfer in cell.transfers
    ):
        return State.COMPLETE
    if (folder / FAILED).exists():
        return State.FAILED
    return State.BEGUN if (folder / run_folder.CONFIG).exists() else State.NEW


def can_transfer(folder: Path) -> bool:
    """Whether a cell's run is complete, and its model still there."""
    return (folder / run_folder.RESULTS).exists() and (folder / MODEL).exists()


def forget_run(folder: Path) -> None:
    """Before a cell is run (again) that answers other corpora too: all such answers are to be of
    one model. Checkpoints that are there are gone on from.
    """
    (folder / run_folder.RESULTS).unlink(missing_ok=True)
    shutil.rmtree(folder / TRANSFER, ignore_errors=True)


def is_tidy(folder: Path) -> bool:
    """Whether a complete cell's folder holds nothing that `tidy` removes."""
    return not any((folder / name).exists() for name in (*_DROPPED, FAILED))


def tidy(folder: Path) -> None:
    """Removes what a complete cell does not need: checkpoints, TensorBoard's events, the model, an
    earlier failure.
    """
    for name in _DROPPED:
        shutil.rmtree(folder / name, ignore_errors=True)
    (folder / FAILED).unlink(missing_ok=True)


def size_of(folder: Path) -> int:
    """Bytes of all files in a folder; what vanishes meanwhile is left out."""
    total = 0
    for file in folder.rglob("*"):
        with contextlib.suppress(OSError):
            total += file.stat().st_size if file.is_file() else 0
    return total


def write_failure(folder: Path, error: BaseException) -> Failure:
    """Keeps why a cell's run failed, for a person and for the next call."""
    if isinstance(error, UserError):
        failure = Failure(str(error))
    else:
        words = " ".join(str(error).split())
        failure = Failure(
            f"{type(error).__name__}: {words:.500}".rstrip(": "),
            "".join(traceback.format_exception(error)),
        )
    when = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime())
    # The disk may be what failed.
    with contextlib.suppress(OSError, UserError):
        folder.mkdir(parents=True, exist_ok=True)
        whole.write_json(folder / FAILED, {"when": when, **dataclasses.asdict(failure)})
    return failure


def read_failure(folder: Path) -> Failure:
    """Why a cell's run failed; a damaged file says so instead."""
    try:
        found = read_json(folder / FAILED)
        return Failure(str(found.get("reason", "")), str(found.get("traceback", "")))
    except UserError as error:
        return Failure(str(error))


def forget_failure(folder: Path) -> None:
    """Before a cell is tried again: a folder with nothing else is not a run's."""
    (folder / FAILED).unlink(missing_ok=True)


def check(study: Study, workdir: Path) -> None:
    """Refuses a folder that is not this study's; writes nothing.

    Raises:
      UserError: it holds another study, the same one with other settings, a study of another
        version, or something else.
    """
    _merged(study, workdir)


def check_there(workdir: Path) -> None:
    """Sees that a folder that is worked in is still the study's.

    Raises:
      UserError: it was moved or deleted.
    """
    try:
        (workdir / STUDY).stat()
    except (FileNotFoundError, NotADirectoryError) as error:
        left = " in place of what was written there since," if workdir.exists() else ""
        raise UserError(
            f"workdir {workdir}: {STUDY} is no longer there, as where a folder is moved or deleted"
            f" while a command works in it. Move the folder back,{left} or run the same command"
            " with its new place as workdir."
        ) from error


def register(study: Study, workdir: Path) -> None:
    """Makes the folder this study's, or adds what is new in the study to it.

    Raises:
      UserError: as `check`; or it cannot be written.
    """
    check(study, workdir)
    try:
        workdir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"workdir {workdir} cannot be made: {error.strerror}.") from error
    with _locked(workdir):
        there, merged = _merged(study, workdir)
        if merged != there:
            whole.write_json(workdir / STUDY, merged)


def _merged(study: Study, workdir: Path) -> tuple[dict[str, Any] | None, dict[str, Any]]:
    """What `study.config.json` holds, and what it is to hold."""
    there = _read(workdir)
    settings: dict[str, dict[str, Any]] = (
        {} if there is None else {c: dict(v) for c, v in there["settings"].items()}
    )
    if there is not None and there["name"] != study.name:
        raise UserError(
            f"workdir {workdir} holds the study {there['name']!r}, and this one is"
            f" {study.name!r}; name another folder."
        )
    different = []
    for cell in study.cells:
        corpus, variant = slug(cell.corpus), slug(cell.variant)
        now = dataclasses.replace(cell.config, seed=0)
        given = study.given.get((cell.corpus, cell.variant), {})
        before = settings.get(corpus, {}).get(variant)
        if before is None:
            settings.setdefault(corpus, {})[variant] = {"config": now.to_dict(), "given": given}
            continue
        lines = run_folder.differences(_config(workdir, before.get("config")), now)
        lines += run_folder.data_differences(before.get("given", {}), given)
        different += [f"{cell.corpus}, {cell.variant}: {line}" for line in lines]
    if different:
        raise UserError(
            f"workdir {workdir} holds this study with other settings or data; name another"
            " folder, or give the variant another name. They differ in\n  "
            + "\n  ".join(dict.fromkeys(different))
        )
    return there, {
        "format": _FORMAT,
        "name": study.name,
        "question": study.question,
        "settings": settings,
    }


def _read(workdir: Path) -> dict[str, Any] | None:
    """What a folder's `study.config.json` holds, None where the folder is new or empty."""
    if not run_folder.holds(workdir, STUDY, "a study"):
        return None
    file = workdir / STUDY
    found = read_json(file, "restore it, or name another folder")
    if found.get("format") != _FORMAT:
        raise UserError(
            f"{file} was written by another version ({found.get('format')!r:.60}, this one writes"
            f" {_FORMAT!r}); name another folder."
        )
    settings = found.get("settings")
    if not isinstance(found.get("name"), str) or not (
        isinstance(settings, Mapping)
        and all(isinstance(of_corpus, Mapping) for of_corpus in settings.values())
        and all(isinstance(each, Mapping) for v in settings.values() for each in v.values())
    ):
        raise UserError(f"{file} is damaged; restore it, or name another folder.")
    return found


def _config(workdir: Path, values: Any) -> Config:
    try:
        return Config.from_record(values)
    except (UserError, TypeError, AttributeError) as error:
        raise UserError(f"{workdir / STUDY} was written by another version: {error}") from error


@contextlib.contextmanager
def _locked(workdir: Path) -> Iterator[None]:
    lock = FileLock(workdir / _LOCK, timeout=30)
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(lock)
        except NotImplementedError:  # a disk without locks
            pass
        except Timeout as error:
            raise UserError(
                f"workdir {workdir}: another process has had {_LOCK} for 30 seconds; delete it if"
                " there is none."
            ) from error
        except OSError as error:
            raise UserError(
                f"workdir {workdir} cannot be written: {error.strerror}; name another folder."
            ) from error
        yield
