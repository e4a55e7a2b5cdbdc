"""Examples -> Batch: rows of tokens of a few static shapes. numpy only.

A row holds one example (padded) or several (packed); both are one layout, told apart by segment
ids, so nothing downstream knows which it is. The number of examples of a batch never depends on the
layout: the contrastive loss sees the same utterances either way.
"""

import dataclasses
import heapq
import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from jaxtyping import Float, Int, Num

from eacl_jax.data.prompts import Example
from eacl_jax.features.modality import Modality

LENGTH_STEP = 32  # padded rows are as long as the longest example, rounded up to a multiple of this
ROW_STEP = 4  # packed rows beyond those foreseen come in multiples of this, at least
MAX_SEGMENTS = 16  # examples in a packed row at most: the model reads so many columns of each row
PACKED_STEP = 16  # packed rows' lengths are multiples of this
PACKED_COUNTS = (
    4  # numbers of packed rows that are foreseen: each is a compilation of the training step
)
# Trial batches, and the examples of all of them together, about: of up to 512 examples each there
# are as many as may be.
MOST_TRIALS, FEWEST_TRIALS, TRIED = 160, 8, 160 * 512
# Tokens of a row at which attention's work equals the rest's, about, in the sizes that people
# train. It only has to keep long rows from looking free.
ATTENTION_EQUALS_REST = 4096


# What a field of a batch has one of. Sharding and chunking follow from this mark, so that a new
# field is one line.
ROW, EXAMPLE = "row", "example"
_PER_ROW, _PER_EXAMPLE = {"per": ROW}, {"per": EXAMPLE}


class Frames(NamedTuple):
    """Features of one modality.

    Attributes:
      values: float32 [N, T, F], standardized; 0 where there is no frame.
      present: float32 [N, T], 1 for a frame, 0 for padding.
    """

    values: Any
    present: Any


@dataclasses.dataclass(frozen=True)
class Batch:
    """N examples in R rows of L tokens. Each field is marked as one value a row or one an example
    (`MARKS`). JAX knows it as a pytree once `model.batches` is imported.

    Attributes:
      tokens: int32 [R, L] ids; 0 where there is padding (the segment id says so, not the token).
      positions: int32 [R, L], from 0 in each segment.
      segment_ids: int32 [R, L]; 0 is padding, examples count from 1 in each row. Attention never
        crosses segments.
      readout: int32 [N, 2], row and column of the token that stands for each example.
      labels: int32 [N] anchor indices, 0 where there is none; or float32 [N, C], for each label 1
        or the share of the annotators that gave it, where there may be several.
      weights: float32 [N], 1 for an example with a label, 0 for one without and for padding.
      features: by modality that the model reads, `Frames` of the N examples.
      mixed: float32 [N, C], labels mixed with teachers' probabilities, which the cross-entropies
        learn in place of `labels`, 0 for padding; None where there are no teachers.
    """

    tokens: Any = dataclasses.field(metadata=_PER_ROW)
    positions: Any = dataclasses.field(metadata=_PER_ROW)
    segment_ids: Any = dataclasses.field(metadata=_PER_ROW)
    readout: Any = dataclasses.field(metadata=_PER_EXAMPLE)
    labels: Any = dataclasses.field(metadata=_PER_EXAMPLE)
    weights: Any = dataclasses.field(metadata=_PER_EXAMPLE)
    features: Any = dataclasses.field(default_factory=dict, metadata=_PER_EXAMPLE)
    mixed: Any = dataclasses.field(default=None, metadata=_PER_EXAMPLE)


MARKS = {field.name: field.metadata["per"] for field in dataclasses.fields(Batch)}


def round_up(value: int, step: int) -> int:
    """The smallest multiple of `step` that is at least `value`."""
    return -(-value // step) * step


def assign_rows(lengths: Sequence[int], row_length: int) -> list[list[int]]:
    """Lays examples into as few rows as best-fit decreasing finds: each example, longest first,
    into the first row of those that it leaves the least room in.

    Args:
      lengths: tokens of each example, none longer than `row_length`.
      row_length: tokens of a row.

    Returns:
      For each row the indices of its examples.
    """
    rows: list[list[int]] = []
    # By room: the rows with so much of it that may hold another example, first rows first. Bit n of
    # `rooms` says whether there are any with room n.
    by_room: list[list[int]] = [[] for _ in range(row_length + 1)]
    rooms = 0
    sizes = [int(length) for length in lengths]
    for index in sorted(range(len(sizes)), key=lambda i: (-sizes[i], i)):
        enough = rooms >> sizes[index]
        if enough:
            room = sizes[index] + (enough & -enough).bit_length() - 1
            row = heapq.heappop(by_room[room])
            if not by_room[room]:
                rooms ^= 1 << room
        else:
            room, row = row_length, len(rows)
            rows.append([])
        rows[row].append(index)
        left = room - sizes[index]
        if left >= 0 and len(rows[row]) < MAX_SEGMENTS:
            heapq.heappush(by_room[left], row)
            rooms |= 1 << left
    return rows


@dataclasses.dataclass(frozen=True)
class Shapes:
    """The static shapes of packed batches.

    Attributes:
      length: tokens of a row.
      counts: numbers of rows, ascending; a batch takes the smallest that holds it.
    """

    length: int
    counts: tuple[int, ...] = ()


def choose_shapes(
    lengths: Sequence[int], size: int, *, max_tokens: int, row_multiple: int = 1
) -> Shapes:
    """The shapes that leave the least work for random batches of these examples.

    A row may be longer than any example: how well lengths add up to it decides how much is padding
    (two examples of 183 tokens waste 28% of two rows of 256 and 8% of one of 400). Each length of
    row is tried on the same random batches, on which alone the result depends; of large ones, which
    differ less from each other, there are fewer: about `TRIED` examples at each length.

    Args:
      lengths: tokens of every example, none longer than `max_tokens`.
      size: examples a batch.
      max_tokens: rows of up to twice this are tried.
      row_multiple: numbers of rows are multiples of this.
    """
    longest, generator = max(lengths), np.random.default_rng(0)
    tried = min(size, len(lengths))
    batches = [
        generator.choice(np.asarray(lengths), tried, replace=False).tolist()
        for _ in range(min(MOST_TRIALS, max(FEWEST_TRIALS, TRIED // tried)))
    ]
    best: tuple[float, int, Int[np.ndarray, " trials"]] | None = None
    for length in range(
        round_up(longest, PACKED_STEP), 2 * round_up(max_tokens, PACKED_STEP) + 1, PACKED_STEP
    ):
        needed = np.sort([len(assign_rows(batch, length)) for batch in batches])
        counts = _few_counts(needed, 1)
        rows = float(np.mean(np.asarray(counts)[np.searchsorted(counts, needed)]))
        work = rows * length * (1 + length / ATTENTION_EQUALS_REST)
        if best is None or work < best[0]:
            best = work, length, needed
    assert best is not None
    # The length does not depend on the devices: the same examples share a row, and draw the same
    # dropout, on any number.
    return Shapes(best[1], _few_counts(best[2], row_multiple))


def _few_counts(needed: Int[np.ndarray, " trials"], multiple: int) -> tuple[int, ...]:
    """At most PACKED_COUNTS numbers of rows, multiples of `multiple`, that round up the least in
    sum; the last is a little above what was needed, so that hardly a batch needs more.
    """
    most = round_up(math.ceil(needed[-1] * 1.04), multiple)
    values = np.unique([round_up(int(count), multiple) for count in needed])
    values = values[values < most]
    choices = itertools.combinations(values, min(PACKED_COUNTS - 1, len(values)))
    ladders = [np.array([*lower, most]) for lower in choices]
    sums = [ladder[np.searchsorted(ladder, needed)].sum() for ladder in ladders]
    return tuple(int(count) for count in ladders[int(np.argmin(sums))])


@dataclasses.dataclass(frozen=True)
class Layout:
    """Which examples share a row, and the static shape they are laid into."""

    rows: list[list[int]]
    shape: tuple[int, int]


def plan(
    lengths: Sequence[int],
    size: int,
    *,
    layout: Literal["padded", "packed"],
    max_tokens: int,
    row_multiple: int = 1,
    shapes: Shapes | None = None,
) -> Layout:
    """Decides the rows of one batch from its examples' lengths.

    Args:
      lengths: tokens of each example, at most `size` of them.
      size: examples of a full batch; rows are made for all of them when padded.
      layout: "padded" or "packed".
      max_tokens: the upper limit of a padded row's length.
      row_multiple: the number of rows is a multiple of this (devices that share the rows).
      shapes: of packed batches; None: rows of `max_tokens`, as many as it takes.

    Raises:
      ValueError: an example is longer than a row may be.
    """
    longest = max_tokens if layout == "padded" or shapes is None else shapes.length
    if (tokens := max(lengths, default=0)) > longest:
        raise ValueError(f"an example of {tokens} tokens does not fit into rows of {longest}")
    if layout == "padded":
        width = min(round_up(int(max(lengths, default=1)), LENGTH_STEP), max_tokens)
        return Layout([[i] for i in range(len(lengths))], (round_up(size, row_multiple), width))
    shapes = Shapes(max_tokens) if shapes is None else shapes
    rows = assign_rows(lengths, shapes.length)
    most = shapes.counts[-1] if shapes.counts else 0
    # Steps of a quarter: the rare batch beyond what was foreseen costs a compilation, and the next
    # one like it none.
    unforeseen = most + round_up(len(rows) - most, round_up(max(ROW_STEP, most // 4), row_multiple))
    return Layout(
        rows,
        (next((count for count in shapes.counts if count >= len(rows)), unforeseen), shapes.length),
    )


def collate(
    examples: Sequence[Example],
    size: int,
    layout: Layout,
    *,
    rows: range | None = None,
    targets: Num[np.ndarray, "n ..."] | None = None,
    mixed: Float[np.ndarray, "n C"] | None = None,
    modalities: Mapping[str, Modality] | None = None,
) -> Batch:
    """Fills a batch of exactly `size` examples, the missing ones with weight 0.

    An example without a label has weight 0, too, so that no objective learns from it; passes that
    only read examples never look at weights.

    Args:
      examples: at most `size`.
      size: N.
      layout: from `plan` of these examples' lengths.
      rows: those whose tokens are filled in; None: all. Others stay 0, in memory that is never
        touched. What there is one of an example is always whole.
      targets: what `Batch.labels` holds of the examples; None: their labels.
      mixed: what `Batch.mixed` holds of them.
      modalities: whose features the batch has.

    Raises:
      ValueError: there are more examples than `size`, the layout is of another number of them, or
        `targets` or `mixed` are, or a target is an index below 0.
    """
    _check(examples, size, layout, targets=targets, mixed=mixed)
    if targets is None:
        indices = np.array([example.label for example in examples], np.int32)
        targets, weighs = np.maximum(indices, 0), indices >= 0
    else:
        weighs = np.ones(len(examples), bool)
    tokens, positions, segment_ids = (np.zeros(layout.shape, np.int32) for _ in range(3))
    readout = np.zeros((size, 2), np.int32)
    weights = _filled_up(weighs.astype(np.float32), size)
    labels = _filled_up(targets, size)
    for row, members in enumerate(layout.rows):
        column, filled = 0, rows is None or row in rows
        for segment, index in enumerate(members, start=1):
            example = examples[index]
            span = slice(column, column + len(example.tokens))
            if filled:
                tokens[row, span] = example.tokens
                positions[row, span] = np.arange(len(example.tokens))
                segment_ids[row, span] = segment
            readout[index] = row, column + example.readout
            column = span.stop
    features = {
        name: _frames(name, modality, examples, size)
        for name, modality in (modalities or {}).items()
    }
    learnt = None if mixed is None else _filled_up(mixed, size)
    return Batch(tokens, positions, segment_ids, readout, labels, weights, features, learnt)


def _check(
    examples: Sequence[Example],
    size: int,
    layout: Layout,
    **of_each: Num[np.ndarray, "n ..."] | None,
) -> None:
    """Raises `ValueError` unless there is room, and one of `of_each`, for each example."""
    count = len(examples)
    if count > size:
        raise ValueError(f"a batch of {size} cannot hold {count} examples")
    if (laid := sum(map(len, layout.rows))) != count:
        raise ValueError(f"the layout is of {laid} examples, not of these {count}")
    for name, values in of_each.items():
        if values is None:
            continue
        if len(values) != count:
            raise ValueError(f"{name} has {len(values)} rows for {count} examples")
        if values.ndim == 1 and np.any(values < 0):
            raise ValueError(f"{name} must be indices of labels, got {values.min()}")


def _filled_up(values: Num[np.ndarray, "n ..."], size: int) -> Num[np.ndarray, "N ..."]:
    """With zeros for the examples that are missing."""
    filled = np.zeros((size, *values.shape[1:]), values.dtype)
    filled[: len(values)] = values
    return filled


def _frames(name: str, modality: Modality, examples: Sequence[Example], size: int) -> Frames:
    values = np.zeros((size, modality.frames, modality.width), np.float32)
    present = np.zeros((size, modality.frames), np.float32)
    for index, example in enumerate(examples):
        if (rows := example.features.get(name)) is not None:
            values[index, : len(rows)] = rows
            present[index, : len(rows)] = 1.0
    return Frames(values, present)
