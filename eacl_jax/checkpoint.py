"""Checkpoints of a stage: the latest and the best, written in the background, each whole or not there at all."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import grain
import jax
import numpy as np
import orbax.checkpoint as ocp
from orbax.checkpoint.checkpoint_managers import AnyPreservationPolicy, BestN, LatestN

from eacl_jax.errors import UserError
from eacl_jax.optim import path_name


class Checkpoints:
    """One folder of orbax checkpoints, named by step.

    A checkpoint holds a pytree of arrays, the position of the data iterator and a JSON record. The newest is kept, and the
    one that ranks highest (of equal ones the earliest).
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

        def rank(metrics: Any) -> Any:
            return metrics["rank"], -metrics["step"]

        keep_best = BestN(get_metric_fn=rank, n=1, keep_checkpoints_without_metrics=False)
        self._manager = ocp.CheckpointManager(
            folder.absolute(),
            # Named here, so that a fresh process can read what is in a checkpoint before it restores.
            item_handlers={
                "state": ocp.StandardCheckpointHandler(),
                "record": ocp.JsonCheckpointHandler(),
                "data": grain.checkpoint.CheckpointHandler(),
            },
            options=ocp.CheckpointManagerOptions(
                # best_fn makes orbax write the scores to disk, where a resumed run finds them.
                best_fn=rank,
                preservation_policy=AnyPreservationPolicy([LatestN(n=1), keep_best]),
                cleanup_tmp_directories=True,
            ),
        )

    @property
    def latest_step(self) -> int | None:
        """Step of the newest whole checkpoint, or None."""
        return self._manager.latest_step()

    def best_step(self) -> int:
        """Step of the checkpoint with the highest rank, the earliest of equal ones.

        Raises:
          UserError: there is none.
        """
        self._manager.wait_until_finished()
        step = self._manager.best_step()
        if step is None:
            raise UserError(f"{self._folder}: no checkpoint with a score in it; delete the run's folder and train again.")
        return step

    def save(
        self, step: int, tree: Any, record: dict[str, Any], *, data: grain.DatasetIterator, rank: Sequence[float] | None = None
    ) -> None:
        """Begins to write; returns when the arrays have left the devices.

        Args:
          step: names the checkpoint.
          tree: pytree of arrays.
          record: JSON values.
          data: iterator whose position is kept.
          rank: what "best" goes by, compared element by element; None where nothing was scored.
        """
        self._manager.save(
            step,
            args=ocp.args.Composite(
                state=ocp.args.StandardSave(tree), record=ocp.args.JsonSave(record), data=grain.checkpoint.CheckpointSave(data)
            ),
            metrics=None if rank is None else {"rank": list(rank), "step": step},
        )

    def restore(self, step: int, template: Any, *, data: grain.DatasetIterator | None = None) -> tuple[Any, dict[str, Any]]:
        """Reads a checkpoint.

        Args:
          step: which.
          template: pytree of arrays, whose shapes, types and shardings the result has.
          data: iterator to be set to the saved position, if given.

        Returns:
          The tree and the JSON record.

        Raises:
          UserError: the checkpoint holds other arrays than the template asks for, or cannot be read.
        """
        place = self._folder / str(step)
        # orbax passes over some mismatches in silence and is wordy about others: every array is checked by name first.
        wanted = _shapes(template)
        found = _shapes(self._manager.item_metadata(step)["state"])
        wrong = [
            f"{name}: expected {shape}, found {found.get(name, 'nothing')}"
            for name, shape in wanted.items()
            if found.get(name) != shape
        ]
        wrong += [f"{name}: not expected, found {shape}" for name, shape in found.items() if name not in wanted]
        if wrong:
            raise UserError(f"{place}: the checkpoint does not fit this configuration:\n  " + "\n  ".join(wrong))
        abstract = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding), template)
        items: dict[str, Any] = {"state": ocp.args.StandardRestore(abstract), "record": ocp.args.JsonRestore()}
        if data is not None:
            items["data"] = grain.checkpoint.CheckpointRestore(data)
        try:
            restored = self._manager.restore(step, args=ocp.args.Composite(**items))
        except (ValueError, KeyError, OSError) as error:
            raise UserError(
                f"{place}: the checkpoint cannot be read, delete this folder to go on from the one before: {error}"
            ) from error
        return restored.state, dict(restored.record)

    def close(self) -> None:
        """Waits for what is being written."""
        self._manager.wait_until_finished()
        self._manager.close()


def _shapes(tree: Any) -> dict[str, str]:
    leaves = jax.tree_util.tree_flatten_with_path(tree)[0]
    return {path_name(path): f"{np.dtype(leaf.dtype)}{list(leaf.shape)}" for path, leaf in leaves}
