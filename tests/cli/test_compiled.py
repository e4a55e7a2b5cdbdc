"""Compiled programs are found again, and nobody else's program is run."""

import json
import os
import stat
import subprocess
import sys

import jax
import pytest

from eacl_jax.cli import compiled
from tests.stubs.root import ROOT
from tests.stubs.toys import make_config

COMPILE = """
import sys
from pathlib import Path
import jax
from eacl_jax.cli import compiled

hits = []
jax.monitoring.register_event_listener(lambda event, **_: hits.append(event) if event.endswith("/cache_hits") else None)
compiled.keep_compiled_in(Path(sys.argv[1]))
print(float(jax.jit(lambda x: (x @ x.T).sum())(jax.numpy.ones((7, 5)))), "hits", len(hits))
"""


@pytest.fixture(scope="module")
def without_jax_cache():
    """An environment in which the user has set nothing of jax's cache, but that short compilations
    count.
    """
    environment = {
        name: value for name, value in os.environ.items() if name != "JAX_COMPILATION_CACHE_DIR"
    }
    return environment | {"JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0", "XLA_FLAGS": ""}


@pytest.mark.slow
def test_a_second_process_finds_what_the_first_compiled(tmp_path, without_jax_cache):
    def process():
        command = [sys.executable, "-c", COMPILE, str(tmp_path)]
        done = subprocess.run(
            command, cwd=ROOT, env=without_jax_cache, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        assert done.stderr == ""
        return done.stdout

    assert process() == "245.0 hits 0\n"
    folder = tmp_path / "compiled"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    kept = [file for file in folder.glob("*-cache") if "lambda" in file.name]
    assert len(kept) == 1
    assert "hits 0" not in process()
    # A process killed while it wrote leaves half a file without its time of use; the next one makes
    # both anew.
    whole = kept[0].read_bytes()
    kept[0].write_bytes(whole[:100])
    (noted,) = folder.glob("*lambda*-atime")
    noted.unlink()
    process()
    assert len(kept[0].read_bytes()) > 100
    assert noted.exists()


@pytest.mark.slow
@pytest.mark.parametrize("script", [pytest.param("train", marks=pytest.mark.slow), "evaluate"])
def test_the_commands_keep_what_they_compile(tmp_path, without_jax_cache, script):
    settings = make_config({"data.cache_dir": str(tmp_path / "cache")})
    (tmp_path / "config.json").write_text(json.dumps(settings.to_dict()))
    # Both stop after that, at a folder that is no run's.
    given = {
        "train": [
            "--config=configs/quickstart.py",
            f"--config.data.cache_dir={tmp_path / 'cache'}",
            f"--workdir={__file__}",
        ],
        "evaluate": [f"--run={tmp_path}"],
    }[script]
    command = [sys.executable, f"launch/{script}.py", *given]
    done = subprocess.run(
        command, cwd=ROOT, env=without_jax_cache, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2, done.stderr
    assert (tmp_path / "cache" / "compiled").is_dir()


@pytest.fixture
def unset():
    """jax's settings of its cache as they are where nobody has set anything; afterwards as
    before.
    """
    names = ("jax_compilation_cache_dir", *compiled._COMPILED)
    before = {name: jax.config.values[name] for name in names}
    jax.config.update("jax_compilation_cache_dir", None)
    yield
    for name, value in before.items():
        jax.config.update(name, value)


def chosen():
    return jax.config.values["jax_compilation_cache_dir"]


@pytest.mark.usefixtures("unset")
def test_a_folder_of_ones_own_is_taken(tmp_path, caplog):
    compiled.keep_compiled_in(tmp_path)
    assert chosen() == str(tmp_path / "compiled")
    assert jax.config.values["jax_compilation_cache_max_size"] == 5 * 10**9
    assert not caplog.records


def writable_by_group(folder, monkeypatch):
    folder.chmod(0o770)


def writable_by_all(folder, monkeypatch):
    folder.chmod(0o702)


def below_one_writable_by_all(folder, monkeypatch):
    folder.parent.chmod(0o777)


def of_another(folder, monkeypatch):
    owner = folder.stat().st_uid
    monkeypatch.setattr(os, "getuid", lambda: owner + 1)


def not_to_be_made(folder, monkeypatch):
    folder.rmdir()
    folder.touch()


@pytest.mark.usefixtures("unset")
@pytest.mark.parametrize(
    "fault",
    [writable_by_group, writable_by_all, below_one_writable_by_all, of_another, not_to_be_made],
)
def test_a_folder_that_others_could_fill_is_not_used(tmp_path, monkeypatch, caplog, fault):
    folder = tmp_path / "cache" / "compiled"
    folder.mkdir(mode=0o700, parents=True)
    fault(folder, monkeypatch)
    compiled.keep_compiled_in(tmp_path / "cache")
    assert chosen() is None
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert str(folder) in caplog.text


@pytest.mark.usefixtures("unset")
def test_the_users_own_choice_stands(tmp_path):
    jax.config.update("jax_compilation_cache_dir", str(tmp_path / "mine"))
    compiled.keep_compiled_in(tmp_path)
    assert chosen() == str(tmp_path / "mine")
    assert not (tmp_path / "compiled").exists()
