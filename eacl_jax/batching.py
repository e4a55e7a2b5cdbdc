"""Examples -> Batch: rows of tokens of a few static shapes. numpy only.

A row holds one example (padded) or several (packed); both are one layout, told apart by segment ids, so nothing downstream
knows which it is. The number of examples of a batch never depends on the layout: the contrastive loss sees the same
utterances either way.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any, Literal

import jax
import numpy as np

from eacl_jax.prompts import Example

LENGTH_STEP = 32  # padded rows are as long as the longest example, rounded up to a multiple of this
ROW_STEP = 4  # the number of packed rows is rounded up to a multiple of this


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Batch:
    """N examples in R rows of L tokens.

    Attributes:
      tokens: int32 [R, L] ids; 0 where there is padding (the segment id says so, not the token).
      positions: int32 [R, L], from 0 in each segment.
      segment_ids: int32 [R, L]; 0 is padding, examples count from 1 in each row. Attention never crosses segments.
      readout: int32 [N, 2], row and column of the token that stands for each example.
      labels: int32 [N] anchor indices, 0 where there is none.
      weights: float32 [N], 1 for an example, 0 for filler.
    """

    tokens: Any
    positions: Any
    segment_ids: Any
    readout: Any
    labels: Any
    weights: Any


def round_up(value: int, step: int) -> int:
    """The smallest multiple of `step` that is at least `value`."""
    return -(-value // step) * step


def assign_rows(lengths: Sequence[int], row_length: int) -> list[list[int]]:
    """Lays examples into as few rows as best-fit decreasing finds.

    Args:
      lengths: tokens of each example, none longer than `row_length`.
      row_length: tokens of a row.

    Returns:
      For each row the indices of its examples.
    """
    rows: list[list[int]] = []
    free: list[int] = []
    for index in sorted(range(len(lengths)), key=lambda i: (-lengths[i], i)):
        fitting = [(room, row) for row, room in enumerate(free) if room >= lengths[index]]
        if fitting:
            row = min(fitting)[1]
        else:
            row = len(rows)
            rows.append([])
            free.append(row_length)
        rows[row].append(index)
        free[row] -= lengths[index]
    return rows


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
    least_rows: int = 0,
) -> Layout:
    """Decides the rows of one batch from its examples' lengths.

    Args:
      lengths: tokens of each example, at most `size` of them.
      size: examples of a full batch; rows are made for all of them when padded.
      layout: "padded" or "packed".
      max_tokens: length of a packed row, and the upper limit of a padded one.
      row_multiple: the number of rows is a multiple of this (devices that share the rows).
      least_rows: packed rows to make at least, so that ordinary and short batches share a shape.
    """
    if layout == "padded":
        width = min(round_up(int(max(lengths, default=1)), LENGTH_STEP), max_tokens)
        return Layout([[i] for i in range(len(lengths))], (round_up(size, row_multiple), width))
    rows = assign_rows(lengths, max_tokens)
    return Layout(rows, (round_up(max(len(rows), least_rows), int(np.lcm(ROW_STEP, row_multiple))), max_tokens))


def collate(examples: Sequence[Example], size: int, layout: Layout) -> Batch:
    """Fills a batch of exactly `size` examples, the missing ones with weight 0.

    Args:
      examples: at most `size`.
      size: N.
      layout: from `plan` of these examples' lengths.
    """
    tokens, positions, segment_ids = (np.zeros(layout.shape, np.int32) for _ in range(3))
    readout = np.zeros((size, 2), np.int32)
    labels, weights = np.zeros(size, np.int32), np.zeros(size, np.float32)
    for row, members in enumerate(layout.rows):
        column = 0
        for segment, index in enumerate(members, start=1):
            example = examples[index]
            span = slice(column, column + len(example.tokens))
            tokens[row, span] = example.tokens
            positions[row, span] = np.arange(len(example.tokens))
            segment_ids[row, span] = segment
            readout[index] = row, column + example.readout
            labels[index] = max(example.label, 0)
            weights[index] = 1.0
            column = span.stop
    return Batch(tokens, positions, segment_ids, readout, labels, weights)
