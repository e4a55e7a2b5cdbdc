"""The training command in several processes: the same run as in one, and its ends."""

import json
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from tests.stubs.cluster import Together, training

LONG = {
    "stage_one.epochs": 12,
    "stage_one.soup": 2,
    "stage_one.soup_of": "best",
    "stage_two.epochs": 2,
    "run.save_every": 7,  # so that runs go on in the middle of an epoch too
}


@pytest.fixture(scope="module")
def settings(toy, tmp_path_factory):
    """A longer run than `toy`, so that something can come between."""
    return {
        **toy,
        **LONG,
        "data.cache_dir": str(tmp_path_factory.mktemp("cache")),
    }


def rows(workdir: Path):
    """All that was recorded but speeds."""
    lines = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in row.items() if k != "examples_per_second"} for row in lines]


def results(workdir: Path):
    return json.loads((workdir / "results.json").read_text())


def files(workdir: Path):
    """What a run leaves, but for checkpoints, where each process has other files."""
    return sorted(
        path.relative_to(workdir).as_posix()
        for path in workdir.rglob("*")
        if path.is_file() and not {"checkpoints", "tensorboard"} & set(path.parts)
    )


def elsewhere(workdir: Path) -> dict[int, list[str]]:
    """Arguments of process 1, as on a machine whose disks no other sees."""
    return {1: [f"--workdir={workdir.parent / 'elsewhere'}"]}


def finish(settings, workdir, logs, *, processes, devices):
    with Together(
        training(settings, workdir),
        logs,
        processes=processes,
        devices=devices,
        only=elsewhere(workdir),
    ) as run:
        assert run.statuses() == [0] * processes, run.text(0)
        assert not (workdir.parent / "elsewhere").exists()
        return [run.text(number) for number in range(processes)]


@pytest.fixture(scope="module")
def alone(settings, tmp_path_factory):
    """The folder of the same run by one process with two devices."""
    folder = tmp_path_factory.mktemp("alone")
    finish(settings, folder / "run", folder / "logs", processes=1, devices=2)
    return folder / "run"


def check_same(workdir: Path, alone: Path):
    assert rows(workdir) == rows(alone)
    assert results(workdir) == results(alone)
    assert files(workdir) == files(alone)


@pytest.mark.slow
def test_stopped_in_two_processes_and_ended_in_one_it_is_the_same_run(settings, alone, tmp_path):
    with Together(
        training(settings, tmp_path / "run"),
        tmp_path / "two",
        processes=2,
        only=elsewhere(tmp_path / "run"),
    ) as run:
        run.wait_for("epoch 2  dev")
        run.running[1].send_signal(signal.SIGTERM)
        assert run.statuses() == [143, 143]
        assert "stopped by SIGTERM before it was done; the state is saved." in run.text(0)
        assert "stage one" not in run.text(1)
    (text,) = finish(settings, tmp_path / "run", tmp_path / "one", processes=1, devices=2)
    assert "going on from step" in text
    check_same(tmp_path / "run", alone)


@pytest.mark.slow
def test_what_one_process_lacks_ends_both_with_its_name(settings, tmp_path):
    missing = {1: ["--config.data.train=/nowhere/chats.jsonl"]}
    with Together(
        training(settings, tmp_path / "run"), tmp_path / "logs", processes=2, only=missing
    ) as run:
        assert run.statuses() == [2, 2]
        assert run.text(0).count("error: ") == 1
        assert "error: process 1 (" in run.text(0)
        assert "/nowhere/chats.jsonl, which does not exist" in run.text(0)
        assert "error" not in run.text(1)
    assert not (tmp_path / "run").exists() or not list((tmp_path / "run").glob("[!.]*"))


def other_corpus(settings, folder):
    lines = Path(settings["data.train"]).read_text().splitlines()
    folder.mkdir()
    (folder / "train.jsonl").write_text("\n".join(lines[:-1]) + "\n")
    return {1: [f"--config.data.train={folder / 'train.jsonl'}"]}


def other_encoder(settings, folder):
    from tests.stubs.toys import make_encoder_folder

    return {1: [f"--config.encoder.path={make_encoder_folder(folder, seed=7)}"]}


@pytest.mark.parametrize(
    ("other", "message"),
    [
        pytest.param(
            lambda *_: {1: ["--config.seed=3"]},
            "the setting seed: process 0 has 0, process 1 3",
            marks=pytest.mark.slow,
        ),
        pytest.param(other_corpus, "the corpus' train: process 0 has", marks=pytest.mark.long),
        pytest.param(other_encoder, "weights: process 0 has", marks=pytest.mark.long),
    ],
)
def test_processes_that_were_given_different_things_do_not_begin(
    settings, tmp_path, other, message
):
    only = other(settings, tmp_path / "other")
    with Together(
        training(settings, tmp_path / "run"), tmp_path / "logs", processes=2, only=only
    ) as run:
        assert run.statuses() == [2, 2]
        assert "error: the processes of this run were not given the same" in run.text(0)
        assert message in run.text(0)
    assert not (tmp_path / "run" / "checkpoints").exists()


@pytest.mark.parametrize(
    ("first", "number", "who", "then"),
    [
        pytest.param((2, 1), signal.SIGTERM, 0, (2, 1), marks=pytest.mark.long),
        pytest.param((2, 1), signal.SIGINT, 1, (1, 2), marks=pytest.mark.long),
        pytest.param((1, 2), signal.SIGTERM, 0, (2, 1), marks=pytest.mark.long),
        pytest.param((2, 1), signal.SIGKILL, 0, (2, 1), marks=pytest.mark.long),
        pytest.param((2, 1), signal.SIGKILL, 1, (1, 2), marks=pytest.mark.slow),
    ],
)
def test_however_it_is_stopped_any_number_of_processes_goes_on(
    settings, alone, tmp_path, first, number, who, then
):
    processes, devices = first
    with Together(
        training(settings, tmp_path / "run"),
        tmp_path / "first",
        processes=processes,
        devices=devices,
    ) as run:
        run.wait_for("epoch 3  dev")
        run.running[who].send_signal(number)
        statuses = run.statuses()
        if number == signal.SIGKILL:
            assert statuses[who] == -number
            assert all(status != 0 for status in statuses)
            assert who == 0 or "process 1 " in run.text(0)
        else:
            assert set(statuses) <= {128 + number, 143}
            assert statuses[who] == 128 + number
    finish(settings, tmp_path / "run", tmp_path / "then", processes=then[0], devices=then[1])
    check_same(tmp_path / "run", alone)


@pytest.mark.long
def test_four_processes_are_one_with_four_devices(settings, tmp_path):
    finish(settings, tmp_path / "one", tmp_path / "one-logs", processes=1, devices=4)
    finish(settings, tmp_path / "four", tmp_path / "four-logs", processes=4, devices=1)
    assert files(tmp_path / "four") == files(tmp_path / "one")
    # Four numbers are added up in another order, and what that changes grows with the steps.
    together, alone = (rows(tmp_path / name) for name in ("four", "one"))
    assert len(together) == len(alone)
    for row, expected in zip(together[:20], alone[:20], strict=True):
        assert row == pytest.approx(expected, rel=1e-5, abs=1e-5)
    scores = [results(tmp_path / name)["stage_two"]["test"] for name in ("four", "one")]
    assert scores[0]["weighted_f1"] == pytest.approx(scores[1]["weighted_f1"], abs=1e-5)


@pytest.mark.long
def test_chunks_of_rows_are_the_same_in_two_processes(settings, tmp_path):
    chunked = {**settings, "stage_one.chunks": 2}
    finish(chunked, tmp_path / "one", tmp_path / "one-logs", processes=1, devices=2)
    finish(chunked, tmp_path / "two", tmp_path / "two-logs", processes=2, devices=1)
    check_same(tmp_path / "two", tmp_path / "one")


@pytest.mark.long
def test_teachers_teach_two_processes_what_they_teach_one(settings, alone, tmp_path):
    taught = {
        **settings,
        "stage_one.epochs": 2,
        "distil.teachers": [str(alone / "model")],
        "distil.weight": 0.5,
    }
    finish(taught, tmp_path / "one", tmp_path / "one-logs", processes=1, devices=2)
    output = finish(taught, tmp_path / "two", tmp_path / "two-logs", processes=2, devices=1)
    assert ["asked for the training utterances" in each for each in output] == [True, False]
    one, two = tmp_path / "one", tmp_path / "two"
    # Sums are added up in another order by other numbers of devices.
    answered = [load_file(each / "teachers.safetensors")["probabilities"] for each in (one, two)]
    np.testing.assert_allclose(*answered, atol=1e-5)
    for here, there in zip(rows(two), rows(one), strict=True):
        assert here == pytest.approx(there, rel=1e-4, abs=1e-6)
    assert files(two) == files(one)


@pytest.mark.slow
def test_a_loss_that_is_not_finite_ends_both_with_the_batch_on_disk(settings, tmp_path):
    wild = {**settings, "stage_one.encoder_lr": 1e30, "stage_one.head_lr": 1e30}
    with Together(training(wild, tmp_path / "run"), tmp_path / "logs", processes=2) as run:
        assert run.statuses() == [2, 2]
        assert run.text(0).count("error: ") == 1
        assert "error: the loss is not finite at step" in run.text(0)
        assert "error" not in run.text(1)
    assert (tmp_path / "run" / "non_finite_batch.json").exists()


@pytest.mark.long
def test_a_folder_of_another_run_ends_both_with_one_line(settings, alone, tmp_path):
    shutil.copytree(alone, tmp_path / "run")
    other = {**settings, "seed": 1}
    with Together(training(other, tmp_path / "run"), tmp_path / "logs", processes=2) as run:
        assert run.statuses() == [2, 2]
        assert run.text(0).count("error: ") == 1
        assert "holds a run of another configuration" in run.text(0)
        assert "error" not in run.text(1)


# Begins the command with something else in place of a function; `first` says whether this is
# process 0.
CHANGED = """
import os, runpy, signal, sys, time
from eacl_jax import reports
from eacl_jax.recognizer.recognizer import EmotionRecognizer
from eacl_jax.training.checkpoint import Checkpoints
from eacl_jax.training.stage import StageRun
first = any(each.endswith(",2,0") for each in sys.argv)
def change(where, name, do):
    original, calls = getattr(where, name), []
    def changed(*args, **more):
        calls.append(name)
        return do(original, len(calls), *args, **more)
    setattr(where, name, changed)
{}
sys.argv[0] = "launch/train.py"
runpy.run_path("launch/train.py", run_name="__main__")
"""
SLOW = """
def slowly(original, call, *args, **more):
    if first and call in (1, 2):
        time.sleep(20)
    return original(*args, **more)
change(Checkpoints, "save", slowly)
change(reports, "write_report", slowly)
change(EmotionRecognizer, "save_pretrained", slowly)
time.sleep(0 if first else 20)
"""
FULL = """
def full(original, call, *args, **more):
    raise OSError(28, "No space left", "model")
change(EmotionRecognizer, "save_pretrained", full)
"""
KILLED = """
def killed(original, call, *args, **more):
    if first and call == {call}:
        {before}
        os.kill(os.getpid(), signal.SIGKILL)
    return original(*args, **more)
change({where}, "{name}", killed)
"""


def run_changed(change, settings, tmp_path):
    """The run in two processes, changed."""
    file = tmp_path / "changed.py"
    file.write_text(CHANGED.format(change))
    arguments = training(settings, tmp_path / "run")
    return Together(arguments, tmp_path / "logs", processes=2, script=(str(file),))


@pytest.mark.long
def test_others_wait_for_a_process_that_is_slow_or_late(settings, alone, tmp_path):
    with run_changed(SLOW, settings, tmp_path) as run:
        assert run.statuses() == [0, 0], run.text(0)
    check_same(tmp_path / "run", alone)


@pytest.mark.long
@pytest.mark.parametrize(
    ("where", "name", "call", "before"),
    [
        # Orbax still writes when it has returned.
        ("Checkpoints", "save", 5, "original(*args, **more)"),
        ("StageRun", "epoch", 3, "pass"),
        ("EmotionRecognizer", "save_pretrained", 1, "pass"),
    ],
)
def test_killed_where_it_writes_it_goes_on(settings, alone, tmp_path, where, name, call, before):
    change = KILLED.format(where=where, name=name, call=call, before=before)
    with run_changed(change, settings, tmp_path) as run:
        first, second = run.statuses()
        assert first == -signal.SIGKILL, run.text(0)
        assert second != 0
    finish(settings, tmp_path / "run", tmp_path / "then", processes=2, devices=1)
    check_same(tmp_path / "run", alone)


@pytest.mark.long
def test_a_full_disk_at_the_export_ends_all_and_nothing_is_lost(settings, alone, tmp_path):
    with run_changed(FULL, settings, tmp_path) as run:
        assert run.statuses() == [2, 2], run.text(0)
        assert run.text(0).count("error: ") == 1
        assert "no space left on the disk; free some and run the same command" in run.text(0)
    finish(settings, tmp_path / "run", tmp_path / "then", processes=2, devices=1)
    check_same(tmp_path / "run", alone)


@pytest.mark.long
def test_a_last_batch_of_one_example(settings, tmp_path):
    lines = Path(settings["data.train"]).read_text().splitlines()
    count = sum(
        u.get("emotion") is not None for line in lines for u in json.loads(line)["utterances"]
    )
    size = next(size for size in range(8, count) if count % size == 1)
    last = {**settings, "stage_one.batch_size": size, "stage_two.batch_size": size}
    finish(last, tmp_path / "one", tmp_path / "one-logs", processes=1, devices=2)
    finish(last, tmp_path / "two", tmp_path / "two-logs", processes=2, devices=1)
    check_same(tmp_path / "two", tmp_path / "one")
