"""Processes share cells: each is one's alone, and nobody's for long once its process is dead."""

import errno
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from eacl_jax.errors import UserError
from eacl_jax.studies import cells
from eacl_jax.studies.claims import Claims, file_time
from tests.stubs.root import ROOT
from tests.stubs.studies import Train, make_study

NAME = "talk/v0/seed-0"


def age(folder, seconds, **changes):
    """Makes the claim look older, and another's."""
    (file,) = folder.glob(f"{NAME}/*")
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))
    os.utime(file, (file_time(folder) - seconds,) * 2)


def test_a_cell_is_one_process_alone(tmp_path):
    claims = Claims(tmp_path)
    claim = claims.take(NAME)
    assert claims.take(NAME) is None
    assert claims.take("talk/v0/seed-1") is not None
    assert claims.claimant(NAME).process == os.getpid()
    assert f"process {os.getpid()} on " in claims.claimant(NAME).words
    claim.give_back()
    claim.give_back()
    assert claims.claimant(NAME) is None
    again = claims.take(NAME)
    assert sorted(path.name for path in (tmp_path / NAME).iterdir()) == ["1.free", "2"]
    again.close()
    assert not claims.has(NAME)


@pytest.mark.parametrize("round_", range(5))
def test_of_many_one_wins(tmp_path, round_):
    claims, start = Claims(tmp_path, expiry=60), threading.Barrier(8)
    claims.take(NAME)
    age(tmp_path, 61, machine="another")

    def take(_):
        start.wait()
        return claims.take(NAME)

    with ThreadPoolExecutor(8) as pool:
        won = [claim for claim in pool.map(take, range(8)) if claim is not None]
    assert len(won) == 1
    assert won[0].check()


def test_a_claim_of_another_machine_lasts_until_it_expires(tmp_path):
    claims = Claims(tmp_path, expiry=60)
    claims.take(NAME)
    age(tmp_path, 55, machine="another", host="lab3", process=1)
    assert claims.take(NAME) is None
    assert claims.claimant(NAME).host == "lab3"
    age(tmp_path, 65)
    assert claims.claimant(NAME) is None
    assert claims.take(NAME) is not None


def test_a_claim_from_before_the_clock_was_set_back_expires(tmp_path):
    claims = Claims(tmp_path, expiry=60)
    claims.take(NAME)
    age(tmp_path, -55, machine="another", host="lab3", process=1)
    assert claims.claimant(NAME).host == "lab3"
    age(tmp_path, -86400)
    assert claims.claimant(NAME) is None


@pytest.mark.parametrize("seconds", [5, 65])
def test_a_claim_that_was_not_written_yet_lasts_as_long(tmp_path, seconds):
    claims = Claims(tmp_path, expiry=60)
    (tmp_path / NAME).mkdir(parents=True)
    (tmp_path / NAME / "1").touch()
    os.utime(tmp_path / NAME / "1", (file_time(tmp_path) - seconds,) * 2)
    assert (claims.take(NAME) is None) is (seconds == 5)


def test_a_dead_process_of_this_machine_loses_its_claim_at_once(tmp_path):
    claims = Claims(tmp_path, expiry=60)
    claims.take(NAME)
    # Alive, however old: it may be stopped for a while, and still has its run's folder.
    age(tmp_path, 1000)
    assert claims.take(NAME) is None
    # Its number is another process' now.
    age(tmp_path, 0, started=1)
    second = claims.take(NAME)
    assert second is not None
    second.give_back()

    dead = subprocess.Popen(["true"])
    while cells_state(dead.pid) != "Z":
        time.sleep(0.01)
    claims.take("x/y/seed-1")
    (file,) = (tmp_path / "x/y/seed-1").iterdir()
    file.write_text(json.dumps({**json.loads(file.read_text()), "process": dead.pid}))
    assert claims.take("x/y/seed-1") is not None
    dead.wait()


def cells_state(process):
    with open(f"/proc/{process}/stat", encoding="utf-8") as file:
        return file.read().rpartition(")")[2].split()[0]


def test_who_was_taken_over_learns_it_once(tmp_path):
    lost = []
    claims = Claims(tmp_path, expiry=0.3)
    claim = claims.take(NAME, on_lost=lambda: lost.append(1))
    time.sleep(0.4)
    assert (claim.check(), lost) == (True, [])
    (tmp_path / NAME / "2").touch()  # as another machine would
    deadline = time.monotonic() + 5
    while not claim.lost and time.monotonic() < deadline:
        time.sleep(0.01)
    assert (claim.check(), claim.lost, lost) == (False, True, [1])
    claim.close()
    assert (tmp_path / NAME / "2").exists()


def test_a_claim_is_touched_while_it_lasts(tmp_path):
    claim = Claims(tmp_path, expiry=0.3).take(NAME)
    first = (tmp_path / NAME / "1").stat().st_mtime
    deadline = time.monotonic() + 5
    while (tmp_path / NAME / "1").stat().st_mtime == first and time.monotonic() < deadline:
        time.sleep(0.01)
    assert (tmp_path / NAME / "1").stat().st_mtime > first
    claim.give_back()


def test_in_a_copy_of_the_folder_its_claims_hold_nothing(tmp_path):
    """The process that they are of lives, and works in the folder that was copied."""
    claim = Claims(tmp_path / "one").take(NAME)
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    copy = Claims(tmp_path / "two")
    assert copy.claimant(NAME) is None
    assert copy.take(NAME) is not None
    assert claim.check()


def test_a_file_system_that_numbers_files_anew_takes_no_claim_away(tmp_path):
    claim = Claims(tmp_path).take(NAME)
    file = tmp_path / NAME / "1"
    shutil.copy(file, tmp_path / "anew")
    os.replace(tmp_path / "anew", file)
    assert claim.check()
    assert Claims(tmp_path).claimant(NAME).process == os.getpid()
    assert Claims(tmp_path).take(NAME) is None


def test_in_a_moved_folder_a_claim_lasts_until_it_is_given_back(tmp_path):
    """Until then its process may write there, in the files that it has open."""
    claim = Claims(tmp_path / "one").take(NAME)
    (tmp_path / "one").rename(tmp_path / "two")
    moved = Claims(tmp_path / "two")
    assert moved.claimant(NAME).process == os.getpid()
    claim.give_back()
    assert moved.claimant(NAME) is None
    assert moved.take(NAME) is not None
    assert not (tmp_path / "one").exists()


@pytest.mark.parametrize("end", ["give_back", "close"])
def test_who_works_where_the_folder_was_is_left_alone(tmp_path, end):
    claim = Claims(tmp_path / "one").take(NAME)
    (tmp_path / "one").rename(tmp_path / "two")
    other = Claims(tmp_path / "one").take(NAME)
    assert not claim.check()
    getattr(claim, end)()
    assert other.check()


def test_nothing_is_claimed_where_the_studys_folder_is_gone(tmp_path):
    assert Claims(tmp_path / "gone" / cells.CLAIMS).take(NAME) is None
    assert not (tmp_path / "gone").exists()


@pytest.mark.parametrize("written", [b"", b'{"host"'])
def test_a_claim_that_tells_nothing_says_how_long_it_counts(tmp_path, written):
    (tmp_path / NAME).mkdir(parents=True)
    (tmp_path / NAME / "1").write_bytes(written)
    words = Claims(tmp_path).claimant(NAME).words
    assert words.endswith(
        "its claim is empty or damaged, and counts no more once it is 60 seconds old"
    )


@pytest.mark.parametrize("taken", [0, 9])
def test_a_full_disk_is_reported_and_leaves_no_claim(tmp_path, monkeypatch, taken):
    """The second time a part of the claim is written before the disk is full."""
    calls = []

    def write(stream, text):
        calls.append(text)
        if taken and len(calls) == 1:
            return real(stream, text[:taken])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    real = os.write
    monkeypatch.setattr(os, "write", write)
    full = f"{tmp_path}: no space left on the disk; free some, and run the same command again."
    with pytest.raises(UserError) as error:
        Claims(tmp_path).take(NAME)
    assert str(error.value) == full
    with pytest.raises(UserError) as error:
        file_time(tmp_path)
    assert str(error.value) == full
    monkeypatch.undo()
    assert Claims(tmp_path).take(NAME) is not None


@pytest.mark.slow
@pytest.mark.parametrize(
    ("workers", "kills", "seed"), [(2, 20, 1), pytest.param(4, 20, 2, marks=pytest.mark.long)]
)
def test_killed_at_random_moments_every_cell_is_run_once(tmp_path, workers, kills, seed):
    """The stand-in fails where a run is completed twice, and notes where two are in one folder."""
    subprocess.run(
        [sys.executable, "-m", "tests.stubs.study_workers", str(tmp_path / "study")]
        + [str(each) for each in (workers, kills, seed)],
        cwd=ROOT,
        check=True,
        timeout=120,
    )
    study = make_study(variants=4, seeds=3)
    alone = tmp_path / "alone"
    for cell in study.cells:
        folder = cells.folder_of(tmp_path / "study", cell)
        assert not (folder / "overlap").exists()
        assert not (folder / cells.FAILED).exists()
        assert cells.is_tidy(folder)
        undisturbed = cells.folder_of(alone, cell)
        train_alone(cell, undisturbed)
        for name in ("results.json", "config.json"):
            assert (folder / name).read_bytes() == (undisturbed / name).read_bytes()
    assert not list((tmp_path / "study" / cells.CLAIMS).glob("*/*/*"))


def train_alone(cell, folder):
    from rich.console import Console

    Train()(cell.config, folder, console=Console(quiet=True), keep=())
