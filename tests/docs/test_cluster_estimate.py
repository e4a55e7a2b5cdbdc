"""The guide's numbers about pods are those that are computed, and the computing is right."""

import re

import pytest

from benchmarks import cluster_estimate as estimate
from tests.stubs.root import ROOT

NAMED = {cluster.name: cluster for cluster in estimate.CLUSTERS}


def test_the_guide_shows_what_is_printed():
    guide = (ROOT / "docs" / "how-to" / "clusters.md").read_text(encoding="utf-8")
    tables = re.findall(r"(?:^\|.*\n)+", guide, re.MULTILINE)
    assert estimate.memory_table() + "\n" in tables
    assert estimate.time_table() + "\n" in tables


def test_a_row_costs_what_the_benchmark_counts():
    """Projections, feed-forward network and attention of 24 layers, forward once, backward twice:
    `model_flops` of benchmarks/speed.
    """
    layer = 2 * (4 * 1024 * 1024 + 2 * 1024 * 4096) + 4 * 1024 * 256
    assert estimate.row_flops() == 3 * 24 * 256 * layer


def test_a_step_on_one_device():
    """64 rows of 256 tokens, 302 million weights of layers, and attention's 4%."""
    assert 64 * estimate.row_flops() == pytest.approx(64 * 256 * 6 * 302e6 * 1.04, rel=0.01)
    seconds = estimate.step_seconds(NAMED["1 H100"], 64)
    assert seconds == pytest.approx(64 * estimate.row_flops() / 247e12, rel=0.01)


def test_rows_that_are_left_over_take_a_step_of_their_own():
    pod = NAMED["v5e-256"]
    one = estimate.compute_seconds(pod, 1)
    assert estimate.compute_seconds(pod, 256) == one
    assert estimate.compute_seconds(pod, 257) == 2 * one


def test_adding_up_gradients():
    """1.42 GB: twice over a v5e's 200 GB/s; in a node of eight H100 7/8 of it twice over 450 GB/s,
    and between eight nodes 7/8 of an eighth twice over 50 GB/s.
    """
    assert estimate.all_reduce_seconds(NAMED["1 v5e"]) == 0
    assert estimate.all_reduce_seconds(NAMED["v5e-256"]) == pytest.approx(2 * 1.42 / 200, rel=0.01)
    expected = 2 * 7 / 8 * 1.42 / 450 + 2 * 7 / 8 * 1.42 / 8 / 50
    assert estimate.all_reduce_seconds(NAMED["64 H100"]) == pytest.approx(expected, rel=0.01)


@pytest.mark.parametrize("name", ["v5e-256", "64 H100"])
def test_the_batch_from_which_computing_prevails(name):
    cluster = NAMED[name]
    batch = estimate.computing_batch(cluster)
    for size, enough in ((batch, True), (batch - cluster.devices, False)):
        share = estimate.compute_seconds(cluster, size) / estimate.step_seconds(cluster, size)
        assert (share >= 0.9) == enough


def test_an_epoch():
    """157 batches of 64; two of 8,192, the second for the most part padding."""
    pod = NAMED["64 H100"]
    for batch, steps in ((64, 157), (8192, 2)):
        expected = steps * estimate.step_seconds(pod, batch)
        assert estimate.epoch_seconds(pod, batch) == pytest.approx(expected)
