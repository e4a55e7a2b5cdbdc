"""Examples -> batches: seeded shuffle, batch, prefetch; its position is a small state that a
checkpoint holds.

Every process draws the same global batches, and fills in and puts on its devices only its rows
(`mesh.put`): with rows packed, how many there are depends on all the batch's examples, so that is
the one way in which all processes agree on shapes without talking.
"""

import itertools
import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float, Int, Num

from eacl_jax.config import BatchConfig
from eacl_jax.data.batching import (
    MAX_SEGMENTS,
    PACKED_STEP,
    Batch,
    Layout,
    assign_rows,
    choose_shapes,
    collate,
    plan,
    round_up,
)
from eacl_jax.data.prompts import Example
from eacl_jax.features.modality import Modality

if TYPE_CHECKING:
    import grain

# Examples of an evaluation that rows are chosen for together. Another number makes other rows, and
# other last digits.
_PACKED_TOGETHER = 512
# Of batches for caches: tokens of a row, at least, so that short examples find others to share it.
_SHORTEST_ROWS = 128


def steps_per_epoch(examples: int, size: int) -> int:
    """Batches of an epoch; the last one may hold fewer than `size` examples."""
    return -(-examples // size)


def endless_batches(
    examples: int,
    size: int,
    seed: int,
    make: Callable[[Int[np.ndarray, " n"]], Any],
    *,
    probabilities: Float[np.ndarray, " N"] | None = None,
) -> "grain.MapDataset":
    """Endless batches of `make(indices)`, shuffled anew each epoch; batches do not cross epochs.

    Args:
      examples: how many there are.
      size: indices a batch; the last of an epoch may have fewer.
      seed: decides the order.
      make: from an int64 [n] array of indices to what is yielded; called in a background thread.
      probabilities: with which each example is drawn, with replacement, as many as an epoch has;
        None: each is drawn once an epoch.

    Returns:
      What `iterate` goes through.
    """
    import grain  # takes its time, and predicting does without

    indices = grain.MapDataset.range(examples).seed(seed)
    if probabilities is None:
        indices = indices.shuffle()
    else:
        ends = np.cumsum(probabilities)
        indices = indices.random_map(
            lambda _, generator: int(np.searchsorted(ends, generator.random() * ends[-1], "right"))
        )
    return indices.batch(size, drop_remainder=False).map(make).repeat()


def by_turns(
    datasets: Sequence["grain.MapDataset"], order: Sequence[tuple[int, int]]
) -> "grain.MapDataset":
    """Endless batches of several datasets, each from its first on.

    Args:
      datasets: of endless batches.
      order: (dataset, number of its batch) for each step of an epoch; in the next epoch each
        dataset goes on where it was.
    """
    import grain

    if len(datasets) == 1:
        return datasets[0]
    counts = Counter(which for which, _ in order)

    def batch(step: int) -> Any:
        epoch, turn = divmod(step, len(order))
        which, number = order[turn]
        return datasets[which][epoch * counts[which] + number]

    return grain.MapDataset.range(2**40).map(batch)


def iterate(dataset: "grain.MapDataset") -> "grain.DatasetIterator":
    """A grain iterator, made ahead in a background thread: `get_state()` and `set_state()` hold its
    position.
    """
    import grain

    return iter(dataset.to_iter_dataset(grain.ReadOptions(num_threads=1, prefetch_buffer_size=4)))


def batch_maker(
    examples: Sequence[Example],
    size: int,
    config: BatchConfig,
    *,
    max_tokens: int,
    row_multiple: int,
    local_rows: Callable[[int], range] | None = None,
    targets: Num[np.ndarray, "N ..."] | None = None,
    mixed: Float[np.ndarray, "N C"] | None = None,
    modalities: Mapping[str, Modality] | None = None,
) -> Callable[[Int[np.ndarray, " n"]], tuple[Batch, Int[np.ndarray, " n"]]]:
    """`make` for `endless_batches`: indices -> (Batch of `size` examples, the indices).

    Args:
      examples: all that there are.
      size: examples a batch.
      config: the layout.
      max_tokens: longest example.
      row_multiple: numbers of rows are multiples of this.
      local_rows: of so many rows, those that this process needs, see `collate`; None: all.
      targets: of all examples, see `collate`; None: their labels.
      mixed: likewise; None: there are none.
      modalities: see `collate`.
    """

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
        rows = None if local_rows is None else local_rows(layout.shape[0])
        batch = collate(
            chosen,
            size,
            layout,
            rows=rows,
            targets=None if targets is None else targets[indices],
            mixed=None if mixed is None else mixed[indices],
            modalities=modalities,
        )
        return batch, indices

    return make


def evaluation_shapes(
    size: int, *, max_tokens: int, row_multiple: int = 1, cached: int | None = None
) -> tuple[tuple[int, int], ...]:
    """The few shapes [R, L] that `evaluation_batches` makes, whatever the examples: each is a
    compilation of the encoder.

    Rows are a quarter longer than the token budget: on prompts of conversations, whose longest come
    near the budget, best fit then uses 98% of the slots (at the budget itself 75% to 99%). For a
    few utterances at once, one conversation's or its last, there are shorter rows.

    A processor's caches want small batches of short rows, where attention's work is small: with
    `cached`, rows are as long as the budget.

    Args:
      size: examples encoded at once, about, in the largest shape.
      max_tokens: longest example.
      row_multiple: numbers of rows are multiples of this (devices that share the rows).
      cached: tokens of a batch at most, but for one row a device; None: `size` alone says.

    Returns:
      Ascending in size: `row_multiple` rows of 32, 64, ... tokens, then twice as many full rows
        each time.
    """
    length = round_up(
        max_tokens * 5 // 4 if cached is None else max(max_tokens, _SHORTEST_ROWS), PACKED_STEP
    )
    short = [(row_multiple, 32 << step) for step in range(32) if 32 << step < length]
    # An example fills a third of such a row, about.
    rows = size / 3 if cached is None else min(size / 3, cached / length)
    doublings = math.floor(math.log2(max(rows / row_multiple, 1)))
    return (*short, *((row_multiple << step, length) for step in range(doublings + 1)))


def evaluation_batches(
    examples: Sequence[Example],
    shapes: Sequence[tuple[int, int]],
    modalities: Mapping[str, Modality] | None = None,
) -> Iterator[tuple[Batch, Int[np.ndarray, " n"]]]:
    """Packed batches, for passes whose examples may come in any order; yields (Batch, indices).

    Args:
      examples: what is to be passed through once.
      shapes: from `evaluation_shapes`.
      modalities: see `collate`.
    """
    lengths = [len(e.tokens) for e in examples]
    rows, ladder = _rows(lengths, shapes)
    start = 0
    while start < len(rows):
        count, length = next(
            (shape for shape in ladder if shape[0] >= len(rows) - start), ladder[-1]
        )
        members = rows[start : start + count]
        start += len(members)
        indices = np.array([i for row in members for i in row])
        ends = np.cumsum([0, *map(len, members)])
        local = [list(range(first, last)) for first, last in itertools.pairwise(ends)]
        yield (
            collate(
                [examples[i] for i in indices],
                count * MAX_SEGMENTS,
                Layout(local, (count, length)),
                modalities=modalities,
            ),
            indices,
        )


def _rows(
    lengths: Sequence[int], shapes: Sequence[tuple[int, int]]
) -> tuple[list[list[int]], list[tuple[int, int]]]:
    """The examples of each row, and the shapes that there are for rows of this length."""
    least, full = shapes[0][0], shapes[-1][1]
    for count, length in shapes:
        if count == least and max(lengths) <= length < full and sum(lengths) <= count * length:
            rows = assign_rows(lengths, length)
            if len(rows) <= count:
                return rows, [(count, length)]
    rows = []
    for start in range(0, len(lengths), _PACKED_TOGETHER):
        block = range(start, min(start + _PACKED_TOGETHER, len(lengths)))
        rows += [[block[i] for i in row] for row in assign_rows([lengths[i] for i in block], full)]
    return rows, [shape for shape in shapes if shape[1] == full]
