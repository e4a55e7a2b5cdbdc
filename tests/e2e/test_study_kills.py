"""A study that is killed with -9 at random moments, and one with two processes in one folder: every
run once, and the table of an undisturbed one.
"""

import json
import os
import random
import signal
import subprocess
import sys
import time

import pytest

from tests.stubs.root import ROOT
from tests.stubs.toys import make_corpus_files, make_encoder_folder
from tests.stubs.xla import flags

# STUDY_KILLS=20 for the long form, of 60 runs.
KILLS = int(os.environ.get("STUDY_KILLS", "5"))
VARIANTS, SEEDS = (6, 10) if KILLS >= 20 else (3, 4)

FILE = """
from ml_collections import ConfigDict
from eacl_jax.config import Config

def get_config(argument=None):
    base = ConfigDict(Config().to_dict())
    base.update_from_flattened_dict({settings!r})
    return ConfigDict(dict(
        name="kills", question="Is every run there once?", base=base, seeds=tuple(range({seeds})),
        corpora={{"talk": {{}}}},
        axes={{"temperature": {{f"T {{t}}": {{"loss.temperature": 0.1 * (t + 1)}} for t in range({variants})}}}},
        comparisons=[["T 1", "T 0"]],
    ), convert_dict=False)
"""


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    folder = tmp_path_factory.mktemp("kills")
    settings = {
        "data.corpus": "custom",
        **{f"data.{k}": v for k, v in make_corpus_files(folder / "corpus", dialogues=20).items()},
        "data.cache_dir": str(folder / "cache"),
        "encoder.path": str(make_encoder_folder(folder / "encoder")),
        "prompt.max_tokens": 64,
        "prompt.max_past": 0,
        "stage_one.epochs": 2,
        "stage_one.batch_size": 16,
        "stage_two.epochs": 2,
        "stage_two.batch_size": 16,
        "batch.eval_batch_size": 16,
        "run.save_every": 2,
    }
    study = folder / "kills.py"
    study.write_text(FILE.format(settings=settings, seeds=SEEDS, variants=VARIANTS))
    return study


def start(file, folder, log):
    environment = {**os.environ, "XLA_FLAGS": flags(1), "JAX_DISABLE_MOST_OPTIMIZATIONS": "1"}
    return subprocess.Popen(
        [sys.executable, "launch/study.py", str(file), f"--workdir={folder}"],
        cwd=ROOT,
        env=environment,
        stdout=log.open("a"),
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


def finish(process, log):
    assert process.wait(timeout=1200) == 0, log.read_text()[-3000:]


def table(folder):
    """What the study found, but for what changes from one time to the next."""
    found = json.loads((folder / "study.json").read_text())
    for row in found["rows"]:
        del row["cost"]
    return found


def done_lines(log):
    return [line for line in log.read_text().splitlines() if line.startswith("[") and "/" in line]


@pytest.fixture(scope="module")
def undisturbed(file, tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed")
    log = folder / "log"
    finish(start(file, folder / "study", log), log)
    assert len(done_lines(log)) == VARIANTS * SEEDS
    return table(folder / "study")


@pytest.mark.long
def test_kills_at_random_moments_change_nothing(file, undisturbed, tmp_path):
    log, generator = tmp_path / "log", random.Random(0)
    killed = 0
    for _ in range(KILLS):
        process = start(file, tmp_path / "study", log)
        time.sleep(generator.uniform(5, 25))
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            killed += 1
        process.wait()
    assert killed
    finish(start(file, tmp_path / "study", log), log)
    assert table(tmp_path / "study") == undisturbed
    finished = [line.partition("]")[2].partition("  ")[0] for line in done_lines(log)]
    assert len(finished) == len(set(finished))  # one that was killed before its line shows none
    print(f"{killed} kills, {VARIANTS * SEEDS} runs, {len(finished)} were shown as done")


@pytest.mark.slow
def test_two_processes_in_one_folder_do_every_run_once(file, undisturbed, tmp_path):
    logs = [tmp_path / "one", tmp_path / "two"]
    processes = [start(file, tmp_path / "study", log) for log in logs]
    for process, log in zip(processes, logs, strict=True):
        finish(process, log)
    finished = [done_lines(log) for log in logs]
    assert all(finished)
    assert sum(map(len, finished)) == VARIANTS * SEEDS
    assert table(tmp_path / "study") == undisturbed
