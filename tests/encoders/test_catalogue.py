"""The list of known encoders: its shapes are PyTorch's, and the command prints it."""

import os
import subprocess
import sys

import pytest

from eacl_jax.encoders import ARCHITECTURES
from eacl_jax.encoders.catalogue import DESCRIBED, KNOWN, Known, known, listed
from tests.stubs.root import ROOT


def test_every_architecture_is_described_and_has_an_example() -> None:
    assert set(DESCRIBED) == set(ARCHITECTURES)
    assert all(checkpoints for _, _, checkpoints in listed())
    assert (
        sum(len(checkpoints) for _, _, checkpoints in listed())
        == len(KNOWN)
        == len({entry.hub_id for entry in KNOWN})
    )


def test_published_sizes() -> None:
    """Their papers' and model cards' numbers, in millions."""
    sizes = {
        "FacebookAI/roberta-large": 355,
        "microsoft/deberta-v3-large": 434,
        "answerdotai/ModernBERT-base": 149,
        "answerdotai/ModernBERT-large": 395,
        "google/electra-small-discriminator": 14,
        "sentence-transformers/all-MiniLM-L6-v2": 22.7,
    }
    for hub_id, millions in sizes.items():
        assert known(hub_id).parameters / 1e6 == pytest.approx(millions, rel=0.04)


@pytest.mark.parametrize("entry", KNOWN, ids=lambda entry: entry.hub_id)
def test_as_many_parameters_as_in_pytorch(entry: Known) -> None:
    torch = pytest.importorskip(
        "torch", reason="PyTorch is not installed: there is nothing to compare with"
    )
    from tests.parity.test_encoder_parity import theirs_without_values

    model = theirs_without_values(entry.config)
    assert isinstance(model, torch.nn.Module)
    theirs = sum(
        p.numel()
        for name, p in model.named_parameters()
        if not name.startswith(("pooler.", "mask_emb"))
    )
    prefix = entry.prefix.length * 24 * 2 * 1024 if entry.prefix else 0
    assert entry.parameters == theirs + prefix


@pytest.mark.slow
def test_command() -> None:
    done = subprocess.run(
        [sys.executable, "launch/encoders.py"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "COLUMNS": "80"},
    )
    for entry in KNOWN:
        assert entry.hub_id in done.stdout
    assert "354.3 M" in done.stdout
