"""Examples -> batches: seeded shuffle, batch, prefetch; its position is a small state that a checkpoint holds.

Every process draws the same global batches and places only its own rows on its devices (`mesh.put`): with rows packed, how
many there are depends on all the batch's examples, so that is the one way in which all processes agree on shapes without
talking.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import grain
import numpy as np
from jaxtyping import Int

from eacl_jax.batching import Batch, collate, plan
from eacl_jax.config import BatchConfig
from eacl_jax.prompts import Example


def steps_per_epoch(examples: int, size: int) -> int:
    """Batches of an epoch; the last one may hold fewer than `size` examples."""
    return -(-examples // size)


def training_batches(
    examples: int, size: int, seed: int, make: Callable[[Int[np.ndarray, " n"]], Any]
) -> grain.DatasetIterator:
    """An endless iterator of `make(indices)`, shuffled anew each epoch; batches do not cross epochs.

    Args:
      examples: how many there are.
      size: indices a batch; the last of an epoch may have fewer.
      seed: decides the order.
      make: from an int64 [n] array of indices to what is yielded; called in a background thread.

    Returns:
      A grain iterator: `get_state()` and `set_state()` hold its position.
    """
    dataset = grain.MapDataset.range(examples).seed(seed).shuffle().batch(size, drop_remainder=False).map(make).repeat()
    return iter(dataset.to_iter_dataset(grain.ReadOptions(num_threads=1, prefetch_buffer_size=4)))


def batch_maker(
    examples: Sequence[Example], size: int, config: BatchConfig, *, max_tokens: int, row_multiple: int
) -> Callable[[Int[np.ndarray, " n"]], tuple[Batch, Int[np.ndarray, " n"]]]:
    """`make` for `training_batches`: indices -> (Batch of `size` examples, the indices)."""

    # As many rows as an average batch fills: the last, short batch of an epoch then needs no compilation of its own.
    average = size * float(np.mean([len(e.tokens) for e in examples])) / max_tokens

    def make(indices: Int[np.ndarray, " n"]) -> tuple[Batch, Int[np.ndarray, " n"]]:
        chosen = [examples[int(i)] for i in indices]
        layout = plan(
            [len(e.tokens) for e in chosen],
            size,
            layout=config.layout,
            max_tokens=max_tokens,
            row_multiple=row_multiple,
            least_rows=math.ceil(average),
        )
        return collate(chosen, size, layout), indices

    return make


def evaluation_batches(
    examples: Sequence[Example], size: int, *, max_tokens: int, row_multiple: int
) -> Iterator[tuple[Batch, Int[np.ndarray, " n"]]]:
    """Padded batches in order of length, so that rows of a batch are about equally long; yields (Batch, indices)."""
    order = np.argsort([len(e.tokens) for e in examples], kind="stable")
    config = BatchConfig(layout="padded", eval_batch_size=size)
    make = batch_maker(examples, size, config, max_tokens=max_tokens, row_multiple=row_multiple)
    for start in range(0, len(order), size):
        yield make(order[start : start + size])
