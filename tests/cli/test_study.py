"""`eacl study`, with stand-ins for the runs."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from eacl_jax.cli import study as command
from eacl_jax.studies import cells
from tests.stubs.root import ROOT
from tests.stubs.studies import LABELS, Train

FIELDS = """question="Does it run?", comparisons=[["v1", "v0"]],
        axes={"x": {"v0": {}, "v1": {"loss.temperature": 1.1}}},"""
# The command in a process of its own, with stand-ins for runs that take a while.
SCRIPT = """
import logging
import os
import sys
sys.path.insert(0, {root!r})
from eacl_jax.cli.distributed import WORKER
from eacl_jax.studies import runner
from tests.stubs.studies import Train
whole = runner.run_study
def run_study(*arguments, **options):
    logging.getLogger("eacl_jax.corpora").warning("odd data")
    logging.getLogger("eacl_jax.corpora.talk").warning("odd data")
    logging.getLogger("eacl_jax.training").warning("odd run")
    pause = 0.1 if WORKER in os.environ else {pause}
    return whole(*arguments, train=Train(steps=4, pause=pause), load=lambda _: {load}, poll=0.05,
                 **options)
runner.run_study = run_study
from eacl_jax.cli.main import main
main("study")
"""


@pytest.fixture
def train():
    """Stands in for runs."""
    return Train()


def test_a_study_is_run(study):
    done = study("--only=v0")
    assert (done.status, done.errors) == (0, "")
    assert "runs: 2 complete, 0 failed.\n" in done.output.decode()
    done = study("--seeds=1")
    assert study.train.calls == [("v0", 0), ("v0", 1), ("v1", 1)]
    assert "[2/2] talk, v1, seed 1  dev weighted F1 12.00" in done.output.decode()


def test_some_variants_are_run(study):
    study("--only=*1", "--only=v0", "--seeds=1")
    assert study.train.calls == [("v0", 1), ("v1", 1)]


def test_where_no_run_can_be_reused_it_is_said(study, tmp_path):
    (tmp_path / "runs").mkdir()
    done = study("--dry-run", f"--reuse={tmp_path / 'runs'}")
    assert done.output.decode().splitlines()[-1] == (
        f"reused: none: no complete run is in {tmp_path / 'runs'}"
    )
    done = study("--only=v0", "--seeds=0", f"--reuse={tmp_path / 'runs'}")
    assert f"reused   none: no complete run is in {tmp_path / 'runs'}" in done.output.decode()


def test_dry_run_lists_and_writes_nothing(study):
    done = study("--dry-run")
    lines = done.output.decode().splitlines()
    assert lines[0] == "small: Does it run?"
    assert lines[1:5] == [f"  talk, v{v}, seed {s}: would be run" for v in (0, 1) for s in (0, 1)]
    assert lines[5] == "4 runs, of which 4 are not complete."
    assert not study.folder.exists()


@pytest.mark.slow
def test_a_failed_run_is_reported(study):
    def fail(config, step):
        if config.seed == 1:
            raise RuntimeError("no memory")

    study.train.step = fail
    done = study("--only=v1")
    text = done.output.decode()
    assert done.status == 2
    assert "runs: 1 complete, 1 failed.\n  talk, v1, seed 1: RuntimeError: no memory\n" in text
    assert str(study.folder / "cells/talk/v1/seed-1") in text
    assert "failed before, would be tried again" in study("--dry-run").output.decode()


def test_stopped_where_no_run_saves_it_says_how_it_goes_on(study):
    def stop(config, step):
        raise KeyboardInterrupt

    study.train.step = stop
    done = study("--only=v1")
    assert (done.status, done.errors) == (128 + signal.SIGINT, "")
    assert "stopped before all was done; what was saved is kept." in done.output.decode()
    assert "To go on from there, run the same command again:\n  " in done.output.decode()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["results.json", "outputs.safetensors"])
def test_a_damaged_run_is_reported(study, name):
    study("--only=v0", "--seeds=0")
    folder = study.folder / "cells/talk/v0/seed-0"
    (folder / name).write_bytes((folder / name).read_bytes()[:60])
    done = study("--only=v0")
    text = done.output.decode()
    assert done.status == 2
    assert "runs: 1 complete, 0 failed, 1 damaged.\n  talk, v0, seed 0: " in text
    assert f"delete {folder} to train it again" in text
    assert "checkpoints" not in text


def test_a_study_that_is_not_there_is_likened_to_those_that_are(eacl, tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    done = eacl("study", "configs/studies/ablaton.py:seeds=2", "--workdir", tmp_path / "study")
    assert done.status == 2
    assert done.errors == (
        "error: the study: there is no file configs/studies/ablaton.py; did you mean"
        " configs/studies/ablation.py?\n"
    )


@pytest.mark.parametrize(
    ("options", "argument", "expected"),
    [
        (["--seeds=0,x"], "", "--seeds: expected whole numbers as 0,1,2; got '0,x'"),
        (["--seeds=5"], "", "the study has no seed 5; it has 0, 1."),
        (["--only=none"], "", "no variant is like 'none'"),
        (["--dry-run", "--only=none"], "", "no variant is like 'none'"),
        (["--only=v0", "--only=none"], "", "no variant is like 'none'"),
        (["--reuse=/none", "--jobs=2"], "", "/none, whose runs are to be reused, is not a folder"),
        (["--reuse=gs://runs"], "", "--reuse"),
        ([], ':{"measures": ["f1"]}', "measures: there is no 'f1'"),
        ([], ':{"axes": {"x": {"a": {"loss.x": 1}}}}', "config.loss.x: unknown key"),
        ([], ':{"corpora": {"m": {"data.corpus": "meld", "data.dir": "/none"}}}', "corpus 'm': "),
    ],
)
def test_mistakes_are_reported_before_anything_runs(study, options, argument, expected):
    done = study(*options, argument=argument)
    assert done.status == 2
    assert done.errors.startswith("error: ")
    assert expected in done.errors
    assert study.train.calls == []
    assert not (study.folder / cells.STUDY).exists()


def test_a_missing_file(eacl, tmp_path):
    done = eacl("study", f"{tmp_path}/none.py", "--workdir=x")
    assert done.status == 2
    assert "none.py" in done.errors


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x = (", "line 1: SyntaxError: '(' was never closed"),
        ("\nimport nowhere", "line 2: ModuleNotFoundError: No module named 'nowhere'"),
        ("def get_config(_=None): raise RuntimeError('none')", "line 1: RuntimeError: none"),
        ("def get_config(_=None):\n    return {}['a']", "line 2: KeyError: 'a'"),
        ("def get_config(_=None): return int('a')", "line 1: ValueError: invalid literal for"),
    ],
)
def test_a_mistake_in_the_file_is_reported_with_its_line(eacl, tmp_path, text, expected):
    file = tmp_path / "study.py"
    file.write_text(text)
    done = eacl("study", str(file), f"--workdir={tmp_path / 'runs'}")
    assert done.status == 2
    assert done.errors.startswith(f"error: {file} cannot be used: {expected}")
    assert done.errors.count("\n") == 1


def test_configurations_that_are_not_there_are_told_of(eacl, tmp_path):
    file = tmp_path / "studies" / "study.py"
    file.parent.mkdir()
    file.write_text("from configs.nowhere import study")
    done = eacl("study", str(file), f"--workdir={tmp_path / 'runs'}")
    assert done.status == 2
    assert "line 1: ModuleNotFoundError: No module named 'configs.nowhere'. The pro" in done.errors
    assert "are in its checkout, not in the installed package" in done.errors


def start(file, workdir, *options, pause=0.1, load="None"):
    """Begins the command in a process of its own; `pause` is seconds of its steps."""
    script = workdir.with_name("command.py")
    script.write_text(SCRIPT.format(root=str(ROOT), pause=pause, load=load))
    return subprocess.Popen(
        [sys.executable, str(script), str(file), f"--workdir={workdir}", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )


def wait_for(path, process, pattern):
    deadline = time.monotonic() + 60
    while not list(path.glob(pattern)):
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.slow
def test_stopped_in_an_import_it_says_how_it_goes_on(study_file, tmp_path):
    """Where the process is ended at once, as while what loads a corpus or an encoder is imported."""
    module = tmp_path / "long_import.py"
    module.write_text(
        "import pathlib, time; pathlib.Path(__file__ + '.begun').touch(); time.sleep(60)"
    )
    running = start(study_file, tmp_path / "study", load="__import__('long_import')")
    wait_for(tmp_path, running, "long_import.py.begun")
    running.send_signal(signal.SIGTERM)
    output = running.communicate(timeout=60)[0]
    assert running.returncode == 128 + signal.SIGTERM, output
    assert (
        "\nstopped before all was done; what was saved is kept. To go on from there, run" in output
    )
    assert "stopped.\n" not in output


@pytest.mark.slow
def test_two_processes_share_the_runs_stop_and_go_on(study_file, tmp_path):
    workdir = tmp_path / "study"
    # A worker takes seconds to begin, in which the first is still to be at its first run; once it
    # has begun, it completes the other variant before the first has taken a step.
    running = start(study_file, workdir, "--jobs=2", pause=5)
    wait_for(workdir, running, "cells/talk/v0/*/checkpoints")
    wait_for(workdir, running, "cells/talk/v1/*/checkpoints/steps")
    running.send_signal(signal.SIGTERM)
    output = running.communicate(timeout=60)[0]
    assert running.returncode == 128 + signal.SIGTERM, output
    assert "run the same command again:\n  python " in output
    assert "--jobs=2" in output
    assert "[worker 1] stopped by SIGTERM" in output
    # What is known before the runs is told by the first process alone.
    assert output.count("WARNING: odd data\n") == output.count("study    small: ") == 1
    assert output.count("WARNING: odd run\n") == 2
    assert len(list(workdir.rglob("results.json"))) < 4  # the worker has stopped too
    assert not list(workdir.glob("cells/*/*/*/.running-*"))

    running = start(study_file, workdir, "--jobs=2")
    output = running.communicate(timeout=120)[0]
    assert running.returncode == 0, output
    assert "runs: 4 complete, 0 failed." in output
    assert "overlap" not in {path.name for path in workdir.rglob("*")}
    results = [json.loads(each.read_text()) for each in workdir.rglob("results.json")]
    assert len(results) == 4
    assert set(results[0]["stage_two"]["dev"]["per_class_f1"]) == set(LABELS)


def test_seeds_are_numbers():
    assert command._parse_seeds("") is None
    assert command._parse_seeds("0,12") == [0, 12]
