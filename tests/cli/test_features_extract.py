"""`eacl features extract`."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from eacl_jax.features import table
from eacl_jax.features.sound import workers
from tests.stubs.sounds import put, sine

pytest.importorskip("soundfile")
pytest.importorskip("soxr")


@pytest.fixture(autouse=True)
def threads(monkeypatch):
    """In place of processes, which take their time to begin."""
    monkeypatch.setattr(workers, "_pool", ThreadPoolExecutor)


def test_it_says_what_it_made_and_what_it_skipped(eacl, tmp_path):
    put(tmp_path / "audio" / "1" / "0.wav", sine(200, 0.2))
    (tmp_path / "audio" / "1" / "1.wav").write_text("hello")
    given = (f"--audio={tmp_path / 'audio'}", f"--out={tmp_path / 'out'}", "--jobs=1")
    done = eacl("features", "extract", *given)
    assert done.status == 0
    assert done.output.decode() == (
        f"{tmp_path / 'out'}: 'prosody 1' of 1 utterance (1 made, 1 file skipped)\n"
    )
    (line,) = done.errors.splitlines()
    assert line.startswith("skipped: 1/1.wav is text")
    assert list(table.read(tmp_path / "out").splits["all"]) == ["1/0"]
    # Again: nothing is made.
    assert b"(0 made, 1 file skipped)" in eacl("features", "extract", *given).output


def test_of_many_bad_files_some_are_listed(eacl, tmp_path):
    put(tmp_path / "audio" / "good.wav", sine(200, 0.2))
    for number in range(23):
        (tmp_path / "audio" / f"{number}.wav").touch()
    done = eacl("features", "extract", f"--audio={tmp_path / 'audio'}", f"--out={tmp_path / 'o'}")
    assert done.status == 0
    assert len(done.errors.splitlines()) == 21
    assert done.errors.splitlines()[-1] == f"... and 3 more: see {tmp_path / 'o'}/features.json"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (("--layer=3", "--parts=5"), "--layer, --parts: only with --encoder"),
        (("--encoder=here", "--what=egemaps"), "--what: not with --encoder"),
    ],
)
def test_options_that_nothing_reads_are_refused(eacl, tmp_path, given, message):
    done = eacl("features", "extract", "--audio=a", f"--out={tmp_path / 'out'}", *given)
    assert (done.status, message in done.errors) == (2, True)


@pytest.mark.parametrize(
    ("audio", "out", "message"),
    [
        ("audio", "out", "none of the 1 sound files can be used"),
        ("no", "out", "no is no folder"),
        ("gs://bucket/audio", "out", "--audio"),
        ("audio", "s3://bucket/out", "--out"),
    ],
)
def test_mistakes_are_one_line(eacl, tmp_path, audio, out, message):
    (tmp_path / "audio").mkdir()
    (tmp_path / "audio" / "a.wav").touch()
    paths = [given if ":" in given else str(tmp_path / given) for given in (audio, out)]
    done = eacl("features", "extract", f"--audio={paths[0]}", f"--out={paths[1]}")
    assert done.status == 2
    (line,) = done.errors.splitlines()
    assert line.startswith("error: ")
    assert message in line


def test_help(eacl):
    done = eacl("features", "--help")
    assert (done.status, done.errors) == (0, "")
    assert b" extract " in done.output
    assert b"--longest" in eacl("features", "extract", "--help").output
