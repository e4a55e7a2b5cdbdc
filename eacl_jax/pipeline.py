"""Examples -> batches: seeded shuffle, batch, prefetch; its position is a small state that a checkpoint holds.

Every process draws the same global batches and places only its own rows on its devices (`mesh.put`): with rows packed, how
many there are depends on all the batch's examples, so that is the one way in which all processes agree on shapes without
talking.
"""

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import grain
import numpy as np
from jaxtyping import Int

from eacl_jax.batching import Batch, Layout, assign_rows, choose_shapes, collate, plan, round_up
from eacl_jax.config import BatchConfig
from eacl_jax.prompts import Example

_PACKED_TOGETHER = 512
_PLACES_STEP = 32


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

    shapes = None
    if config.layout == "packed":
        lengths = [len(e.tokens) for e in examples]
        shapes = choose_shapes(lengths, size, max_tokens=max_tokens, row_multiple=row_multiple)

    def make(indices: Int[np.ndarray, " n"]) -> tuple[Batch, Int[np.ndarray, " n"]]:
        chosen = [examples[int(i)] for i in indices]
        layout = plan(
            [len(e.tokens) for e in chosen],
            size,
            layout=config.layout,
            max_tokens=max_tokens,
            row_multiple=row_multiple,
            shapes=shapes,
        )
        return collate(chosen, size, layout), indices

    return make


def evaluation_batches(
    examples: Sequence[Example], size: int, *, max_tokens: int, row_multiple: int
) -> Iterator[tuple[Batch, Int[np.ndarray, " n"]]]:
    """Packed batches, all of one shape, for passes whose examples may come in any order; yields (Batch, indices).

    Args:
      examples: what is to be passed through once.
      size: examples a batch holds about; the last batch holds what is left.
      max_tokens: upper limit of an example's length.
      row_multiple: the number of rows is a multiple of this.
    """
    lengths = [len(e.tokens) for e in examples]
    length = choose_shapes(lengths, size, max_tokens=max_tokens).length
    rows: list[list[int]] = []
    for start in range(0, len(examples), _PACKED_TOGETHER):  # best fit takes time that grows with the square
        block = range(start, min(start + _PACKED_TOGETHER, len(examples)))
        rows += [[block[i] for i in row] for row in assign_rows([lengths[i] for i in block], length)]
    count = round_up(min(len(rows), -(-size * sum(lengths) // (len(examples) * length))), row_multiple)
    batches = [rows[start : start + count] for start in range(0, len(rows), count)]
    # As many places for examples in every batch as the fullest one needs.
    most = round_up(max(sum(map(len, batch)) for batch in batches), _PLACES_STEP)
    for batch in batches:
        indices = np.array([i for row in batch for i in row])
        ends = np.cumsum([0, *map(len, batch)])
        local = [list(range(first, last)) for first, last in itertools.pairwise(ends)]
        yield collate([examples[i] for i in indices], most, Layout(local, (count, length))), indices
