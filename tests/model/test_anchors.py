"""Where anchors come from, by hand; and how several a label answer."""

import collections
from typing import NamedTuple

import jax
import numpy as np
import pytest
from scipy.special import logsumexp

from eacl_jax.config import AnchorConfig
from eacl_jax.errors import UserError
from eacl_jax.model import anchors
from eacl_jax.model.anchors import Beginning, Prototypes, source_of
from eacl_jax.model.scores import Answering, label_scores, scores

NAMES = ("joy", "anger", "calm")
WORDS = np.random.default_rng(0).normal(size=(3, 8)).astype(np.float32)
GOLD = np.array([0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 0])


class Doubles:
    """A model whose mapping doubles."""

    def mapping(self, x):
        return 2 * x

    def encode_labels(self, labels):
        return labels.encodings + 1


class Labels(NamedTuple):
    """Of a batch of label words, what they encode to and which label each is of."""

    encodings: np.ndarray
    labels: np.ndarray


def beginning(readouts=None, gold=GOLD, seed=0, labels=None):
    return Beginning(
        labels=labels or Labels(WORDS, np.arange(len(WORDS))),
        encode=lambda labels: labels.encodings,
        readouts=lambda: readouts,
        members=gold[:, None] == np.arange(len(NAMES)),
        names=NAMES,
        width=4,
        seed=seed,
    )


def made(source, start, **settings):
    chosen = source_of(AnchorConfig(source=source, **settings), len(NAMES))
    constants = chosen.constants(start)
    return np.asarray(chosen.anchors(Doubles(), chosen.parameters(start), constants))


def test_words_live_and_learned_begin_as_words():
    np.testing.assert_allclose(made("words", beginning()), 2 * WORDS)
    np.testing.assert_allclose(made("learned", beginning()), 2 * WORDS)
    np.testing.assert_allclose(made("live", beginning()), 2 * (WORDS + 1))


def test_several_words_of_a_label_are_averaged():
    owners = np.array([0, *range(len(WORDS))])
    several = Labels(np.concatenate([3 * WORDS[:1], WORDS]), owners)
    means = np.concatenate([2 * WORDS[:1], WORDS[1:]])
    np.testing.assert_allclose(made("words", beginning(labels=several)), 2 * means, rtol=1e-5)
    np.testing.assert_allclose(made("live", beginning(labels=several)), 2 * (means + 1), rtol=1e-5)


def test_random_ones_are_as_long_as_words_and_depend_on_the_seed():
    drawn = anchors.random_vectors(beginning())
    mean = np.linalg.norm(WORDS, axis=1).mean()
    np.testing.assert_allclose(np.linalg.norm(drawn, axis=1), mean, rtol=1e-5)
    np.testing.assert_array_equal(drawn, anchors.random_vectors(beginning()))
    assert np.abs(drawn - anchors.random_vectors(beginning(seed=1))).max() > 0.1


def test_centroids_are_the_labels_means():
    readouts = np.random.default_rng(1).normal(size=(len(GOLD), 8)).astype(np.float32)
    expected = np.stack([readouts[label == GOLD].mean(axis=0) for label in range(3)])
    np.testing.assert_allclose(made("centroids", beginning(readouts)), 2 * expected, rtol=1e-5)


def test_clusters_are_found_label_by_label():
    """Each label's utterances lie around two far points of its label alone."""
    rng = np.random.default_rng(2)
    points = rng.normal(size=(3, 2, 8)) * 50
    gold = np.repeat(np.arange(3), 40)
    which = np.tile([0, 1], 60)
    readouts = (points[gold, which] + rng.normal(size=(120, 8))).astype(np.float32)
    found = made("clusters", beginning(readouts, gold), clusters=2).reshape(3, 2, 8) / 2
    for label in range(3):
        means = [readouts[(gold == label) & (which == side)].mean(axis=0) for side in (0, 1)]
        order = sorted(range(2), key=lambda i: np.linalg.norm(found[label, i] - means[0]))
        np.testing.assert_allclose(found[label][order], means, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(("source", "least"), [("centroids", 1), ("clusters", 3)])
def test_a_label_with_too_few_utterances_is_named(source, least):
    gold = np.array([0, 0, 0, 1, 1, 1])
    with pytest.raises(UserError, match=rf"{least} at least, .* of 'calm' \(0\)"):
        made(source, beginning(np.zeros((6, 8), np.float32), gold))


def test_prototypes_are_means_of_the_latest():
    """Against a plain queue: batches with padding, a label never seen, more than the queue holds."""
    size, rng = 6, np.random.default_rng(3)
    source = Prototypes(size)
    constants = source.constants(beginning())
    queues = [collections.deque(maxlen=size) for _ in NAMES]

    class Wide(Doubles):
        def mapping(self, x):
            return x[:, :4]

    update = jax.jit(source.memory)
    for _ in range(6):
        reps = rng.normal(size=(5, 4)).astype(np.float32)
        labels = rng.integers(0, 2, 5).astype(np.int32)  # calm never comes
        weights = np.array([1, 1, 1, 1, rng.integers(0, 2)], np.float32)
        for rep, label, weight in zip(reps, labels, weights, strict=True):
            if weight:
                queues[label].append(rep)
        constants = {**constants, **update(constants, reps, labels, weights)}
        found = np.asarray(source.anchors(Wide(), {}, constants))
        for label, queue in enumerate(queues):
            expected = np.mean(queue, axis=0) if queue else WORDS[label, :4]
            np.testing.assert_allclose(found[label], expected, rtol=1e-5, atol=1e-6)
    assert len(queues[0]) == size < int(constants["seen"][0])  # it went around


def test_no_gradient_passes_through_prototypes():
    source = Prototypes(4)
    constants = source.constants(beginning())

    class Scaled(Doubles):
        def __init__(self, factor):
            self.factor = factor

        def mapping(self, x):
            return self.factor * x[:, :4]

    def total(factor):
        return source.anchors(Scaled(factor), {}, constants).sum()

    assert float(total(2.0)) != 0
    assert float(jax.grad(total)(2.0)) == 0


def test_a_labels_score_is_logsumexp_over_its_anchors_less_log_k():
    rng = np.random.default_rng(4)
    reps, of_labels = rng.normal(size=(9, 6)), rng.normal(size=(3 * 4, 6))
    offsets = (0.5, -1.0, 0.0)
    single = np.asarray(scores(reps, of_labels, temperature=0.2), np.float64)
    expected = logsumexp(single.reshape(9, 3, 4), axis=2) - np.log(4)
    answering = Answering(0.2, anchors_per_label=4, offsets=offsets)
    cosines = answering.cosines(reps, of_labels)
    np.testing.assert_allclose(answering.scores(cosines), expected + offsets, rtol=1e-5)
    np.testing.assert_array_equal(answering.decide(cosines), (expected + offsets).argmax(axis=1))
    of_jax = label_scores(reps, of_labels, temperature=0.2, anchors_per_label=4)
    np.testing.assert_allclose(of_jax, expected, rtol=1e-5)
