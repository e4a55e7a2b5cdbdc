"""A folder of sound files to a folder of features."""

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import numpy as np
import pytest

from eacl_jax.errors import UserError
from eacl_jax.features import table
from eacl_jax.features.modality import Modality
from eacl_jax.features.sound import workers
from eacl_jax.features.sound.extract import extract
from eacl_jax.features.sound.extractors import extractor, make
from eacl_jax.features.sound.journal import Journal
from eacl_jax.serving.engine.hearing import Hearing
from tests.stubs.root import ROOT
from tests.stubs.sounds import put, sine, wav

pytest.importorskip("soundfile")
pytest.importorskip("soxr")

VOICE = Modality(9, 1, (0.0,) * 9, (1.0,) * 9, made_by="prosody 1")
ALONE = workers._pool


@pytest.fixture(autouse=True)
def threads(monkeypatch):
    """In place of processes, which take their time to begin."""
    monkeypatch.setattr(workers, "_pool", ThreadPoolExecutor)


def sounds(folder: Path, number: int = 4) -> Path:
    for each in range(number):
        put(folder / f"d{each % 2}" / f"{each}.wav", sine(100 + 20 * each, 0.3))
    return folder


def read(out: Path) -> dict[str, dict[str, list[float]]]:
    return {
        split: {key: value.round(3).tolist()[0] for key, value in rows.items()}
        for split, rows in table.read(out).splits.items()
    }


def facts(out: Path) -> dict:
    return json.loads((out / table.DESCRIPTION).read_text())


def test_features_are_those_of_each_file_by_its_path(tmp_path):
    audio = sounds(tmp_path / "audio")
    done = extract(audio, tmp_path / "out")
    assert (done.utterances, done.made, dict(done.skipped)) == (4, 4, {})
    found = table.read(tmp_path / "out")
    assert (found.made_by, found.columns) == ("prosody 1", extractor("prosody 1").columns)
    assert list(found.splits) == ["all"]
    assert sorted(found.splits["all"]) == ["d0/0", "d0/2", "d1/1", "d1/3"]
    for key, rows in found.splits["all"].items():
        np.testing.assert_array_equal(rows, make("prosody 1", audio / f"{key}.wav"))
    assert sorted(os.listdir(tmp_path)) == ["audio", "out"]


def test_folders_of_splits_are_splits(tmp_path):
    for name in ("train/dia0_utt0", "val/dia0_utt0", "test/x/1"):
        put(tmp_path / "audio" / f"{name}.wav", sine(200, 0.2))
    extract(tmp_path / "audio", tmp_path / "out")
    assert {split: list(rows) for split, rows in read(tmp_path / "out").items()} == {
        "test": ["x/1"],
        "train": ["dia0_utt0"],
        "dev": ["dia0_utt0"],
    }


def test_bad_files_are_listed_and_skipped(tmp_path):
    audio = sounds(tmp_path / "audio")
    (audio / "text.wav").write_text("hello")
    (audio / "empty.mp3").touch()
    (audio / "phone.m4a").write_bytes(b"\0\0\0\x20ftypM4A " + bytes(20))
    (audio / ".hidden.wav").touch()
    put(audio / "long.wav", sine(200, 2.0))
    done = extract(audio, tmp_path / "out", most_seconds=1)
    assert done.utterances == 4
    assert sorted(done.skipped) == ["empty.mp3", "long.wav", "phone.m4a", "text.wav"]
    assert all(problem.startswith(name) for name, problem in done.skipped.items())
    assert facts(tmp_path / "out")["skipped"] == done.skipped
    assert sorted(read(tmp_path / "out")["all"]) == ["d0/0", "d0/2", "d1/1", "d1/3"]


def test_where_none_can_be_used_nothing_is_written(tmp_path):
    (tmp_path / "audio").mkdir()
    (tmp_path / "audio" / "text.wav").write_text("hello")
    with pytest.raises(UserError, match=r"none of the 1 sound files .*: text\.wav is text"):
        extract(tmp_path / "audio", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_run_that_ended_goes_on_and_gives_the_same(tmp_path, monkeypatch):
    audio = sounds(tmp_path / "audio", 6)
    extract(audio, tmp_path / "whole")
    real = workers.made

    def three(*arguments):
        for number, result in enumerate(real(*arguments)):
            if number == 3:
                raise KeyboardInterrupt
            yield result

    def killed_again(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(workers, "made", three)
    with pytest.raises(KeyboardInterrupt):
        extract(audio, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    journal = tmp_path / "out.part.jsonl"
    assert len(journal.read_text().splitlines()) == 4
    with journal.open("a") as stream:
        stream.write('{"name": "d1/5.wav", "si')  # killed within a line
    with monkeypatch.context() as patch:  # and again, before it has got as far
        patch.setattr(Journal, "_write_done", killed_again)
        with pytest.raises(KeyboardInterrupt):
            extract(audio, tmp_path / "out")
    assert len(journal.read_text().splitlines()) == 5
    asked = []
    monkeypatch.setattr(
        workers, "made", lambda names, *rest: asked.extend(names) or real(names, *rest)
    )
    extract(audio, tmp_path / "out")
    assert len(asked) == 3
    for file in ("all.safetensors", table.DESCRIPTION):
        assert (tmp_path / "out" / file).read_bytes() == (tmp_path / "whole" / file).read_bytes()
    assert not journal.exists()


def test_later_only_what_is_new_changed_or_was_bad_is_made(tmp_path):
    audio = sounds(tmp_path / "audio")
    (audio / "bad.wav").touch()
    extract(audio, tmp_path / "out")
    put(audio / "new.wav", sine(300, 0.2))
    put(audio / "d0" / "0.wav", sine(400, 0.3))
    os.utime(audio / "d0" / "0.wav", ns=(1, 1))
    put(audio / "bad.wav", sine(500, 0.2))
    (audio / "d1" / "1.wav").unlink()
    done = extract(audio, tmp_path / "out")
    assert (done.utterances, done.made) == (5, 3)
    pitches = {key: round(row[3], -1) for key, row in read(tmp_path / "out")["all"].items()}
    assert pitches == {"bad": 500, "d0/0": 400, "d0/2": 140, "d1/3": 160, "new": 300}


def test_rows_of_another_longest_are_not_taken(tmp_path, monkeypatch):
    audio = sounds(tmp_path / "audio")
    put(audio / "long.wav", sine(200, 2.0))
    extract(audio, tmp_path / "out")
    with pytest.raises(UserError, match=r"out holds features of sounds of 600 s .* now 1 s"):
        extract(audio, tmp_path / "out", most_seconds=1)
    assert extract(audio, tmp_path / "out").made == 0
    real = workers.made

    def ends(*arguments):
        yield from real(*arguments)
        raise KeyboardInterrupt

    monkeypatch.setattr(workers, "made", ends)
    with pytest.raises(KeyboardInterrupt):
        extract(audio, tmp_path / "new")
    monkeypatch.setattr(workers, "made", real)
    assert list(extract(audio, tmp_path / "new", most_seconds=1).skipped) == ["long.wav"]
    description = facts(tmp_path / "out")
    del description["made_from"]["most_seconds"]
    (tmp_path / "out" / table.DESCRIPTION).write_text(json.dumps(description))
    with pytest.raises(UserError, match=r"out holds other features \(prosody 1\); name a new"):
        extract(audio, tmp_path / "out")


def test_another_folder_is_not_written_over(tmp_path):
    audio = sounds(tmp_path / "audio")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").touch()
    with pytest.raises(UserError, match=r"mine is there and no folder of features"):
        extract(audio, tmp_path / "mine")
    rows = {"all": {"1/1": np.zeros((1, 2), np.float32)}}
    table.write(table.FeatureTable(rows), tmp_path / "other")
    with pytest.raises(UserError, match=r"other holds other features \(not made of sound\)"):
        extract(audio, tmp_path / "other")


def test_folders_that_cannot_be_used(tmp_path):
    with pytest.raises(UserError, match=r"audio is no folder"):
        extract(tmp_path / "audio", tmp_path / "out")
    audio = sounds(tmp_path / "audio")
    put(audio / "d0" / "0.flac", sine(100))
    with pytest.raises(UserError, match=r"d0/0\.flac and d0/0\.wav would both be .* 'd0/0'"):
        extract(audio, tmp_path / "out")
    (audio / "d0" / "0.flac").unlink()
    put(audio / "train" / "0.wav", sine(100))
    with pytest.raises(UserError, match=r"folders of splits \(train\), and d0/0\.wav does not"):
        extract(audio, tmp_path / "out")
    (tmp_path / "films").mkdir()
    (tmp_path / "films" / "dia0_utt0.mp4").touch()
    with pytest.raises(UserError, match=r"it holds 1 \.mp4\. .*ffmpeg"):
        extract(tmp_path / "films", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_ring_of_links_ends(tmp_path):
    audio = sounds(tmp_path / "audio")
    (audio / "d0" / "again").symlink_to(audio)
    assert extract(audio, tmp_path / "out").utterances == 4


def test_a_file_that_ends_its_process_is_skipped(tmp_path, monkeypatch):
    """The others that were lost with it are not."""
    audio = sounds(tmp_path / "audio")
    one = workers._one

    def killed(name, *rest):
        if name == "d1/3.wav":
            raise BrokenProcessPool
        return one(name, *rest)

    monkeypatch.setattr(workers, "_one", killed)
    done = extract(audio, tmp_path / "out", jobs=2)
    assert list(done.skipped) == ["d1/3.wav"]
    assert "the process that read it ended" in done.skipped["d1/3.wav"]
    assert done.utterances == 3


def test_a_file_is_not_lost_where_a_process_ends_as_it_is_handed_on(tmp_path, monkeypatch):
    audio, asked = sounds(tmp_path / "audio"), []

    class Breaks(ThreadPoolExecutor):
        def submit(self, *given):
            asked.append(given)
            if len(asked) == 4:
                raise BrokenProcessPool
            return super().submit(*given)

    monkeypatch.setattr(workers, "_pool", Breaks)
    done = extract(audio, tmp_path / "out", jobs=2)
    assert len(asked) > 4
    assert (done.utterances, done.skipped) == (4, {})


@pytest.mark.slow
def test_in_processes_it_is_the_same_and_bad_files_say_nothing(tmp_path, monkeypatch, capfd):
    audio = sounds(tmp_path / "audio")
    extract(audio, tmp_path / "one")
    monkeypatch.setattr(workers, "_pool", ALONE)
    # libmpg123 complains of it by itself.
    (audio / "bad.mp3").write_bytes(b"\xff\xfb\x90\x00" + bytes(100))
    extract(audio, tmp_path / "two", jobs=2)
    assert capfd.readouterr() == ("", "")
    assert read(tmp_path / "one") == read(tmp_path / "two")


def test_a_process_that_begins_makes_no_others(tmp_path, monkeypatch):
    audio = sounds(tmp_path / "audio")
    with monkeypatch.context() as beginning:
        beginning.setattr(multiprocessing.current_process(), "_inheriting", True, raising=False)
        with pytest.raises(UserError, match="in a program of your own, put what it does under `if"):
            extract(audio, tmp_path / "out")
        with pytest.raises(UserError, match="in a program of your own"):
            list(workers.made(["d0/0.wav"], audio, "prosody 1", 9.0, 1))
        with pytest.raises(UserError, match="in a program of your own"):
            Hearing({"voice": VOICE}, processes=1, seconds=1, most_seconds=1)

    def ends():
        raise BrokenProcessPool

    monkeypatch.setattr(workers, "_nothing", ends)
    with pytest.raises(UserError, match="in a program of your own"):
        extract(audio, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_a_program_without_a_guard_says_so(tmp_path):
    sounds(tmp_path / "audio", 2)
    (tmp_path / "mine.py").write_text(
        "from pathlib import Path\n"
        "from eacl_jax.features.sound.extract import extract\n"
        "extract(Path('audio'), Path('out'), jobs=2)\n"
    )
    where = {"cwd": tmp_path, "env": {**os.environ, "PYTHONPATH": str(ROOT)}, "timeout": 120}
    done = subprocess.run([sys.executable, "mine.py"], **where, capture_output=True, text=True)
    assert done.returncode == 1
    assert 'put what it does under `if __name__ == "__main__":`.' in done.stderr.splitlines()[-1]


SCRIPT = """
from eacl_jax.cli.main import main
if __name__ == "__main__":
    main()
"""


@pytest.mark.slow
def test_the_command_killed_at_once_goes_on(tmp_path):
    """And its processes end with it."""
    audio = tmp_path / "audio"
    content = wav(sine(200, 10.0))
    for number in range(120):
        (audio / str(number)).mkdir(parents=True)
        (audio / str(number) / "0.wav").write_bytes(content)
    script = tmp_path / "eacl.py"
    script.write_text(SCRIPT)
    command = [sys.executable, str(script), "features", "extract", f"--audio={audio}", "--jobs=2"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    running = subprocess.Popen(
        [*command, f"--out={tmp_path / 'out'}"], env=environment, start_new_session=True
    )
    journal = tmp_path / "out.part.jsonl"
    until = time.monotonic() + 60
    while not (journal.exists() and len(journal.read_bytes().splitlines()) > 20):
        assert time.monotonic() < until
        assert running.poll() is None
        time.sleep(0.02)
    running.send_signal(signal.SIGKILL)
    running.wait()
    until = time.monotonic() + 20
    while True:
        try:
            os.killpg(running.pid, 0)
        except ProcessLookupError:
            break
        assert time.monotonic() < until, "processes are left"
        time.sleep(0.1)
    assert not (tmp_path / "out").exists()
    done = subprocess.run(
        [*command, f"--out={tmp_path / 'out'}"], env=environment, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")
    made = int(done.stdout.split("(")[1].split()[0])
    assert "'prosody 1' of 120 utterances" in done.stdout
    assert made < 105
    assert len(table.read(tmp_path / "out").splits["all"]) == 120


def test_another_folders_sounds_are_not_taken_for_these(tmp_path):
    one, other = tmp_path / "one" / "0.wav", tmp_path / "other" / "0.wav"
    for file, pitch in ((one, 120), (other, 300)):
        put(file, sine(pitch, 0.3))
        os.utime(file, (1e9, 1e9))  # as archives are unpacked
    assert one.stat().st_size == other.stat().st_size
    extract(one.parent, tmp_path / "out")
    with pytest.raises(UserError, match=r"of another folder, .* name a new folder, or remove it"):
        extract(other.parent, tmp_path / "out")
    assert extract(one.parent, tmp_path / "out").made == 0
    assert str(tmp_path) not in (tmp_path / "out" / table.DESCRIPTION).read_text()
