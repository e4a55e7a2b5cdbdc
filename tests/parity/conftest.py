"""What the comparisons with PyTorch share."""

from collections.abc import Iterator

import jax
import pytest


@pytest.fixture(autouse=True)
def exact_products() -> Iterator[None]:
    """Products of float32 are of float32, whatever the device would make of them."""
    with jax.default_matmul_precision("highest"):
        yield
