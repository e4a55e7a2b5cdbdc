"""Fixtures that every test may use."""

import os
import signal
import tempfile
from pathlib import Path

from tests.stubs.xla import flags

# Before JAX starts: eight simulated devices for the tests of meshes, and no accelerator that the
# numbers could depend on.
os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {flags(8)}"
os.environ.setdefault("JAX_PLATFORMS", "cpu")
# Tiny models spend their time in the compiler. For all tests and the processes they start alike: the
# numbers of runs are compared, whatever came between.
os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")
# Tests import ONNX Runtime before the library has told it to send no events.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
# A command called in a test would begin anew to get huge pages, and the tests with it.
os.environ.setdefault("GLIBC_TUNABLES", "glibc.malloc.hugetlb=0")

# The same small models are compiled over and over, by tests and by the runs that they start: once
# is enough for all processes of a test run, which inherit this.
if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
    _COMPILED = tempfile.TemporaryDirectory(prefix="eacl_jax_compiled_")
    os.environ["JAX_COMPILATION_CACHE_DIR"] = _COMPILED.name
    os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
    os.environ["JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES"] = "-1"

# In the background of a script SIGINT is ignored, and commands that tests start would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

import pytest

from tests.stubs.root import ROOT


def pytest_itemcollected(item: pytest.Item) -> None:
    """`slow_after(n)`: of each list of parameters the first n are tried by `make test`, and the
    others are slow.
    """
    mark = item.get_closest_marker("slow_after")
    if isinstance(item, pytest.Function) and mark is not None:
        (first,) = mark.args
        if any(place >= first for place in item.callspec.indices.values()):
            item.add_marker(pytest.mark.slow)


@pytest.fixture
def one_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """For tests whose runs need no more: what a run computes on eight is tested elsewhere."""
    from eacl_jax.model.mesh import make_mesh
    from eacl_jax.training import experiment

    monkeypatch.setattr(experiment, "make_mesh", lambda: make_mesh(1))


@pytest.fixture(scope="session")
def shared() -> Path:
    """Folder of golden numbers and public corpora, which are not part of the project."""
    folder = Path(os.environ.get("EACL_SHARED", ROOT.parent / "shared"))
    if not folder.is_dir():
        pytest.skip(
            f"no folder {folder.name!r} beside the project and EACL_SHARED is not set: golden"
            " numbers and corpora are not here"
        )
    return folder
