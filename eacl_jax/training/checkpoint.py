"""Checkpoints of a stage: the latest and the best, written in the background, each whole or not
there at all.
"""

import contextlib
import errno
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import grain
import jax
import numpy as np
import orbax.checkpoint as ocp
from orbax.checkpoint.checkpoint_managers import AnyPreservationPolicy, BestN, LatestN

from eacl_jax.errors import UserError
from eacl_jax.files.local import disk_problem
from eacl_jax.files.records import read_json
from eacl_jax.model.mesh import put
from eacl_jax.model.names import path_name
from eacl_jax.training import processes
from eacl_jax.training.layer_layout import (
    check_fits,
    named,
    relaid,
    shape_of,
    shapes,
    shapes_of,
)

ASIDE = ".aside"
_POSITION, _BELONGS = "position", "belongs"


class Checkpoints:
    """One folder of orbax checkpoints, named by step.

    A checkpoint holds a pytree of arrays and a JSON record, with the position of the data iterator
    in it. The newest is kept, and the one that ranks highest (of equal ones the earliest).

    Several processes make, save and restore together, but only the first uses the folder: what it
    reads it sends to the others. So whatever their number, one finds what another number of them
    saved, and they need no disk in common.
    """

    def __init__(
        self,
        folder: Path,
        *,
        anew: Path | None = None,
        aside: bool = False,
        belongs: Mapping[str, Any] | None = None,
    ) -> None:
        """Args:
        folder: made when something is saved.
        anew: what to delete to do without what is there, for error messages; None: `folder`.
        aside: move what is no longer kept to `ASIDE` in the folder, at one moment; else it is
          deleted.
        belongs: JSON values by name: to what, beside its arrays, a checkpoint belongs. One that
          was saved with others is refused.

        Raises:
          UserError: what is there cannot be read.
        """
        self._folder, self._anew = folder, anew or folder
        self._belongs = dict(belongs or {})
        self._aside = ASIDE if aside else None
        self._manager: _Manager
        processes.by_main("checkpoints", self._open)
        # What was read back once, or is there to be restored from, need not be looked at again.
        self._proven = self.latest_step is not None

    def _open(self) -> None:
        folder, several = self._folder, processes.count() > 1
        with self._telling():
            for step in self._steps():
                with contextlib.suppress(OSError):  # an empty folder is no checkpoint
                    (folder / str(step)).rmdir()
            for step in self._steps():
                if (scores := folder / str(step) / "metrics" / "metrics").exists():
                    read_json(scores, self._advice(step))
            if several:  # orbax makes none where not all processes take part
                folder.mkdir(parents=True, exist_ok=True)

        def rank(metrics: Any) -> Any:
            return metrics["rank"], -metrics["step"]

        keep_best = BestN(get_metric_fn=rank, n=1, keep_checkpoints_without_metrics=False)
        with self._telling():
            self._manager = _Manager(
                folder.absolute(),
                # Named here, so that a fresh process can read what is in a checkpoint before it
                # restores.
                item_handlers={
                    "state": ocp.StandardCheckpointHandler(),
                    "record": ocp.JsonCheckpointHandler(),
                },
                options=ocp.CheckpointManagerOptions(
                    # best_fn makes orbax write the scores to disk, where a resumed run finds them.
                    best_fn=rank,
                    preservation_policy=AnyPreservationPolicy([LatestN(n=1), keep_best]),
                    cleanup_tmp_directories=True,
                    create=not several,
                    todelete_subdir=self._aside,
                    multiprocessing_options=ocp.options.MultiprocessingOptions(
                        active_processes={0} if several else None
                    ),
                ),
            )

    @property
    def latest_step(self) -> int | None:
        """Step of the newest whole checkpoint, or None."""
        return processes.by_main("latest checkpoint", lambda: self._manager.latest_step())

    def best_step(self) -> int:
        """Step of the checkpoint with the highest rank, the earliest of equal ones.

        Raises:
          UserError: there is none.
        """

        def find() -> int:
            self._manager.wait_until_finished()
            with self._telling():
                step = self._manager.best_step()
            if step is None:
                raise UserError(
                    f"{self._folder}: no checkpoint with a score in it; delete {self._anew} to"
                    " train anew."
                )
            return step

        return processes.by_main("best checkpoint", find)

    def save(
        self,
        step: int,
        tree: Any,
        record: dict[str, Any],
        *,
        data: grain.DatasetIterator,
        rank: Sequence[float] | None = None,
    ) -> None:
        """Begins to write; returns when the arrays have left the devices. The first is waited for,
        and read back.

        Args:
          step: names the checkpoint.
          tree: pytree of arrays, the same in all processes.
          record: JSON values.
          data: iterator whose position is kept.
          rank: what "best" goes by, compared element by element; None where nothing was scored.

        Raises:
          UserError: the first does not hold what was saved.
        """

        def write() -> None:
            # Of arrays on devices of several processes orbax would have each write a part.
            whole = jax.tree.map(_of_one_device if processes.count() == 1 else np.asarray, tree)
            self._manager.save(
                step,
                args=ocp.args.Composite(
                    state=ocp.args.StandardSave(whole),
                    record=ocp.args.JsonSave(
                        {**record, **self._mark(), _POSITION: data.get_state()}
                    ),
                ),
                metrics=None if rank is None else {"rank": list(rank), "step": step},
            )
            if not self._proven:
                self._prove(step, tree)

        processes.by_main("checkpoint saved", write)
        self._proven = True

    def restore(
        self, step: int, template: Any, *, data: grain.DatasetIterator | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Reads a checkpoint.

        Args:
          step: which.
          template: pytree of arrays, whose shapes, types and shardings the result has.
          data: iterator to be set to the saved position, if given.

        Returns:
          The tree and the JSON record.

        Raises:
          UserError: the checkpoint belongs to something else, holds other arrays than the template
            asks for, or cannot be read.
        """
        several = processes.count() > 1
        wanted = _empty(template) if several else template
        found = wanted

        def read() -> dict[str, Any]:
            nonlocal found
            found, record = self._read(step, wanted)
            return record

        record = processes.by_main("checkpoint", read)
        if data is not None:
            with self._telling(step):
                data.set_state(record[_POSITION])
        record.pop(_POSITION, None)
        if several:
            found = jax.tree.map(
                lambda array, like: (
                    put(processes.of_main(array), like.sharding)
                    if isinstance(like, jax.Array)
                    else processes.of_main(array)
                ),
                found,
                template,
            )
        return found, record

    def _read(self, step: int, template: Any) -> tuple[Any, dict[str, Any]]:
        """The tree and the record of a checkpoint, with the data's position in it."""
        folder = self._folder / str(step)
        record_alone = ocp.args.Composite(record=ocp.args.JsonRestore())
        with self._telling(step):
            record = dict(self._manager.restore(step, args=record_alone).record)
        self._check_belongs(step, record.pop(_BELONGS, {}))
        with self._telling(step):
            # orbax passes over some mismatches in silence and is wordy about others: every array is
            # checked by name first.
            there = self._manager.item_metadata(step)["state"]
            wanted, found = named(template), named(there)
            if not found:
                raise ValueError("it does not say what it holds")
        other_layout = wanted.keys() != found.keys()
        if other_layout:
            found = relaid(shapes(found), wanted, stack=shape_of, rows=shapes_of)
        check_fits(folder, shapes(wanted), shapes(found))
        if other_layout:
            with self._telling(step):
                return self._relaid(step, there, template), record
        abstract = jax.tree.map(
            lambda x: (
                jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding)
                if isinstance(x, jax.Array)
                else x
            ),
            template,
        )
        state_alone = ocp.args.Composite(state=ocp.args.StandardRestore(abstract))
        with self._telling(step):
            return self._manager.restore(step, args=state_alone).state, record

    def _relaid(self, step: int, there: Any, template: Any) -> Any:
        """What a checkpoint holds whose layers are laid out otherwise, as the template has them."""
        read = self._manager.restore(
            step, args=ocp.args.Composite(state=ocp.args.StandardRestore(_empty(there)))
        ).state
        leaves, tree = jax.tree_util.tree_flatten_with_path(template)
        found = relaid(
            named(read), {path_name(path) for path, _ in leaves}, stack=np.stack, rows=list
        )
        return jax.tree.unflatten(tree, [_like(found[path_name(path)], x) for path, x in leaves])

    def _mark(self) -> dict[str, Any]:
        return {_BELONGS: self._belongs} if self._belongs else {}

    def _check_belongs(self, step: int, there: Mapping[str, Any]) -> None:
        names = sorted(there.keys() | self._belongs.keys())
        if different := [
            f"{name} there {there.get(name)!r}, now {self._belongs.get(name)!r}"
            for name in names
            if there.get(name) != self._belongs.get(name)
        ]:
            raise UserError(
                f"{self._folder / str(step)}: the checkpoint belongs to something else:"
                f" {'; '.join(different)}. Give the same again, or delete {self._anew} to train"
                " anew."
            )

    def _prove(self, step: int, tree: Any) -> None:
        """Reads a checkpoint into the host's memory and compares it with what was saved."""
        try:
            self._manager.wait_until_finished()
            read = self._manager.restore(
                step, args=ocp.args.Composite(state=ocp.args.StandardRestore(_empty(tree)))
            ).state
            same = all(map(_equal, jax.tree.leaves(read), jax.tree.leaves(tree)))
            reason = "it holds something else"
        except Exception as error:  # whatever the libraries that write and read it raise
            if disk_problem(error, self._folder):
                raise
            same, reason = False, _first_line(error)
        if not same:
            raise UserError(
                f"{self._folder / str(step)}: the first checkpoint does not hold what was saved"
                f" ({reason}); nothing that is trained would last. Name another workdir, on another"
                " disk perhaps."
            )

    @contextlib.contextmanager
    def _telling(self, step: int | None = None) -> Iterator[None]:
        """Tells what is wrong with what is on the disk, whatever the libraries that read it
        raise.
        """
        try:
            yield
        except (UserError, MemoryError):
            raise
        except Exception as error:
            if "RESOURCE_EXHAUSTED" in str(error) or "out of memory" in str(error).lower():
                raise
            where = self._folder if step is None else self._folder / str(step)
            problem = disk_problem(error, where)
            if problem and os.strerror(errno.ENOENT) not in problem:  # a missing file is damage
                raise UserError(
                    f"the checkpoints cannot be used: {problem} and run the same command again."
                ) from error
            raise UserError(
                f"{where}: the checkpoint is damaged; {self._advice(step)} ({_first_line(error)})."
            ) from error

    def _advice(self, step: int | None) -> str:
        steps = self._steps()
        older = [other for other in steps if step is not None and other < step]
        if older and step == max(steps):
            return f"delete {self._folder / str(step)} to go on from step {max(older)}"
        return f"delete {self._anew} to train anew from there"

    def _steps(self) -> list[int]:
        if not self._folder.is_dir():
            return []
        return [
            int(path.name)
            for path in self._folder.iterdir()
            if path.name.isascii() and path.name.isdigit() and path.is_dir()
        ]

    def close(self) -> None:
        """Waits for what is being written."""
        if processes.is_main():
            self._manager.wait_until_finished()
            self._manager.close()


class _Manager(ocp.CheckpointManager):
    """Leaves it to the loop to ask whether a stop is due: only the numbers of one row of questions
    mean something to the service that answers them.
    """

    def reached_preemption(self, step: int) -> bool:
        """No."""
        return False


def _of_one_device(x: Any) -> Any:
    """An array as one device has it, where all have the same: of several copies orbax would have
    each write a slice, by a program that is compiled to cut it.
    """
    return x.addressable_data(0) if isinstance(x, jax.Array) and x.is_fully_replicated else x


def _empty(tree: Any) -> Any:
    """Arrays in the host's memory like those of a tree."""
    return jax.tree.map(lambda x: np.empty(x.shape, x.dtype), tree)


def _like(array: np.ndarray, leaf: Any) -> Any:
    """The array where a leaf is."""
    return put(array, leaf.sharding) if isinstance(leaf, jax.Array) else array


def _equal(one: Any, other: Any) -> bool:
    return np.array_equal(np.asarray(one), np.asarray(other), equal_nan=True)


def _first_line(error: BaseException) -> str:
    """What the first of an error's causes says."""
    while error.__cause__ or error.__context__:
        error = error.__cause__ or error.__context__  # type: ignore[assignment]
    return f"{type(error).__name__}: {next(iter(str(error).strip().splitlines()), '')[:200]}"
