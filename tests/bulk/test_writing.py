"""Every dialogue exactly once in the output, whatever happens on the way."""

import contextlib
import errno
import itertools
import json
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from eacl_jax.bulk import formats, writing
from eacl_jax.bulk.predict import predict
from eacl_jax.errors import UserError
from tests.stubs.bulk import DURABLE, LABELS, Kernel, Killed, Stub, items, lines_of, lose_power

DIALOGUES = 23


def make_input(file: Path, *, bad: bool = True, first: int = 0) -> Path:
    """Dialogues of one to four utterances, some of which cannot be used."""
    lines = []
    for number in range(first, DIALOGUES):
        utterances = [
            {"speaker": "Ann", "text": f"text {number} {i} é🙂"} for i in range(number % 4 + 1)
        ]
        lines.append(
            "{"
            if bad and number % 7 == 3
            else json.dumps({"id": f"d{number}", "utterances": utterances})
        )
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return file


def run(
    source: Path,
    output: Path,
    *,
    csv: bool = False,
    settings: str = "",
    skip_bad: bool = True,
    restart: bool = False,
):
    written_as = formats.Csv(LABELS) if csv else formats.JsonLines()
    with (
        source.open("rb") as file,
        writing.FileOutput(
            output,
            {"of": settings},
            header=written_as.header,
            restart=restart,
            restart_named="restart",
        ) as goal,
    ):
        lines = lines_of(file, source.name, goal.journal.position)
        options = {
            "stage": "stage_two",
            "on_long": "cut",
            "chunk": 8,
            "skip_bad": skip_bad,
            "report": lambda *_: None,
        }
        return predict(Stub(), lines, items("jsonl", lines, size=8), goal, written_as, **options)


def files(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in sorted(folder.iterdir())}


@pytest.fixture(autouse=True)
def kernel(monkeypatch) -> Kernel:
    """One that does not wait for the disk, and kills nobody."""
    DURABLE.clear()
    monkeypatch.setattr(writing, "os", Kernel())
    return writing.os


@pytest.fixture
def source(tmp_path) -> Path:
    return make_input(tmp_path / "chats.jsonl")


@pytest.fixture
def undisturbed(source, tmp_path):
    """All files that a run leaves, for JSON lines and CSV."""
    left = {}
    for csv in (False, True):
        (tmp_path / f"undisturbed{csv}").mkdir()
        run(source, tmp_path / f"undisturbed{csv}" / "out", csv=csv)
        left[csv] = files(tmp_path / f"undisturbed{csv}")
    return left


def test_a_link_stays_and_its_file_is_written(source, tmp_path, undisturbed):
    (tmp_path / "elsewhere").mkdir()
    link, target = tmp_path / "link", tmp_path / "elsewhere" / "out"
    link.symlink_to(target)
    run(source, link)
    assert link.is_symlink()
    assert files(target.parent) == undisturbed[False]
    with pytest.raises(UserError, match="elsewhere/out is there; name another output"):
        run(source, link)


def kill():
    raise Killed


@pytest.mark.slow_after(1)
@pytest.mark.parametrize(
    ("how", "csv", "power"),
    [
        ("not done", False, True),
        ("half", False, False),
        ("half", True, True),
        ("done", False, True),
    ],
)
def test_killed_at_any_call_of_the_kernel(
    source, tmp_path, monkeypatch, undisturbed, csv, how, power
):
    """One run for each call, which is its last; the next run then ends with the very bytes of a run
    that was never killed.
    """
    assert sorted(undisturbed[csv]) == ["out", "out.errors.jsonl"]
    last = 0
    while True:
        last += 1
        folder = tmp_path / f"out{last}"
        folder.mkdir()
        kernel = Kernel(last, how, kill)
        with monkeypatch.context() as patch:
            patch.setattr(writing, "os", kernel)
            try:
                run(source, folder / "out", csv=csv)
            except Killed:
                if power:
                    lose_power(folder)
            else:
                break
        if "out" in files(folder) and "out.part.json" not in files(folder):
            continue  # killed when all was done
        run(source, folder / "out", csv=csv)
        assert files(folder) == undisturbed[csv], f"killed at call {last}"
    assert last > 40


@pytest.mark.parametrize("change", ["other", "longer"])
def test_what_was_killed_when_all_was_answered_is_for_its_input_alone(
    source, tmp_path, monkeypatch, change
):
    content = source.read_bytes()
    for last in itertools.count(30):
        folder = tmp_path / f"out{last}"
        folder.mkdir()
        with monkeypatch.context() as patch:
            patch.setattr(writing, "os", Kernel(last, "done", kill))
            with contextlib.suppress(Killed):
                run(source, folder / "out")
        journal = folder / "out.part.json"
        assert journal.exists(), "no call of the kernel after all was answered"
        if json.loads(journal.read_text())["finished"]:
            break
    line = content.splitlines(keepends=True)[-1]
    source.write_bytes(content + line if change == "longer" else content[::-1])
    with pytest.raises(UserError, match="is not what the unfinished run has read"):
        run(source, folder / "out")
    source.write_bytes(content)
    run(source, folder / "out")
    assert (folder / "out").exists()


@pytest.mark.parametrize("seed", range(8))
def test_killed_again_and_again(source, tmp_path, monkeypatch, undisturbed, seed):
    rng = random.Random(seed)
    folder = tmp_path / "out"
    folder.mkdir()
    for _ in range(200):
        kernel = Kernel(rng.randrange(1, 40), rng.choice(["not done", "half", "done"]), kill)
        with monkeypatch.context() as patch:
            patch.setattr(writing, "os", kernel)
            try:
                run(source, folder / "out")
            except Killed:
                if rng.random() < 0.5:
                    lose_power(folder)
                if "out" in files(folder) and "out.part.json" not in files(folder):
                    break
            else:
                break
    assert files(folder) == undisturbed[False]


def test_killed_by_a_signal(source, tmp_path, undisturbed):
    """Real processes, with what the system does for those that are killed: locks go, lock files
    stay.
    """
    script = (
        "import sys, os, signal, pathlib\nsys.path[:0] = sys.argv[1].split(os.pathsep)\nimport"
        " tests.bulk.test_writing as t\nt.writing.os = t.Kernel(int(sys.argv[4]), 'half', lambda:"
        " os.kill(os.getpid(), signal.SIGKILL))\nt.run(pathlib.Path(sys.argv[2]),"
        " pathlib.Path(sys.argv[3]))\n"
    )
    folder = tmp_path / "out"
    folder.mkdir()
    for last in (18, 22, 25):
        done = subprocess.run(
            [
                sys.executable,
                "-c",
                script,
                os.pathsep.join(sys.path),
                source,
                folder / "out",
                str(last),
            ]
        )
        assert done.returncode == -signal.SIGKILL
        assert "out.part.lock" in files(folder)
    run(source, folder / "out")
    assert files(folder) == undisturbed[False]


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EIO])
def test_disk_that_fills_up(source, tmp_path, monkeypatch, undisturbed, code):
    def full():
        raise OSError(code, os.strerror(code))

    folder = tmp_path / "out"
    folder.mkdir()
    for last in (20, 30):
        with monkeypatch.context() as patch:
            patch.setattr(writing, "os", Kernel(last, "half", full))
            with pytest.raises(
                UserError,
                match=rf"cannot write .*out: {os.strerror(code)}.* run the same command again",
            ):
                run(source, folder / "out")
        assert not (folder / "out").exists()
    before = json.loads((folder / "out.part.json").read_text())["totals"]["dialogues"]
    assert before > 0
    run(source, folder / "out")
    assert files(folder) == undisturbed[False]


def interrupted(source: Path, output: Path, monkeypatch, **options):
    """Leaves a run of which some is done."""
    with monkeypatch.context() as patch:
        patch.setattr(writing, "os", Kernel(21, "half", kill))
        with pytest.raises(Killed):
            run(source, output, **options)
    journal = json.loads(output.with_name(output.name + ".part.json").read_text())
    assert 0 < journal["totals"]["dialogues"] < DIALOGUES // 2
    return journal


def test_run_with_other_settings_is_refused(source, tmp_path, monkeypatch):
    interrupted(source, tmp_path / "out", monkeypatch, settings="one")
    with pytest.raises(
        UserError,
        match=(
            r"differs; give the same to go on, or restart to begin anew\.\n  of: 'one', now 'two'"
        ),
    ):
        run(source, tmp_path / "out", settings="two")
    run(source, tmp_path / "out", settings="two", restart=True)
    assert len((tmp_path / "out").read_bytes().splitlines()) == DIALOGUES - 3


def test_run_on_another_input_is_refused(source, tmp_path, monkeypatch, undisturbed):
    interrupted(source, tmp_path / "out", monkeypatch)
    for content in (
        source.read_bytes().replace(b"text 1 0", b"text 1 1"),
        source.read_bytes()[:40],
        b"",
    ):
        (tmp_path / "other.jsonl").write_bytes(content)
        with pytest.raises(
            UserError,
            match=(
                r"other.jsonl is not what the unfinished run has read: its first \d+ bytes differ"
            ),
        ):
            run(tmp_path / "other.jsonl", tmp_path / "out")
    run(source, tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == undisturbed[False]["out"]


def test_input_may_be_mended_behind_what_was_done(tmp_path, monkeypatch):
    """What stops a run need not cost what it did."""
    mended = make_input(tmp_path / "mended.jsonl", bad=False)
    source = tmp_path / "chats.jsonl"
    source.write_bytes(mended.read_bytes().replace(b'{"id": "d20"', b'{"ID": "d20"'))
    with pytest.raises(UserError, match=r"chats\.jsonl line 21"):
        run(source, tmp_path / "out", skip_bad=False)
    done = json.loads((tmp_path / "out.part.json").read_text())["totals"]["dialogues"]
    assert done > 10
    monkeypatch.setattr(
        Stub, "represent", lambda _, examples: before.append(examples) or list(examples)
    )
    before: list = []
    run(mended, tmp_path / "out", skip_bad=False)
    assert [json.loads(line)["id"] for line in (tmp_path / "out").open()] == [
        f"d{n}" for n in range(DIALOGUES)
    ]
    assert before[0][0].startswith(f"text {done} ")


def test_a_tables_row_may_be_mended_right_behind_what_was_done():
    """The row that shows that a dialogue has ended is of the next one."""
    content = "dialogue,speaker,text\n1,Ann,hi\n2,Ann,{}\n"
    first, second = items("csv", lines_of(content.format("s\0")))
    assert "null" in second.problem
    assert first.end.offset == content.index("2,Ann")
    (mended,) = items("csv", lines_of(content.format("so"), resumed=first.end))
    assert mended.dialogue.utterances[0].text == "so"


def test_input_may_end_where_what_was_done_ends(source, tmp_path, monkeypatch):
    """What was written and is not counted goes, also where nothing is written over it."""
    journal = interrupted(source, tmp_path / "out", monkeypatch)
    assert (tmp_path / "out.part").stat().st_size > journal["written"]
    os.truncate(source, journal["position"]["offset"])
    run(source, tmp_path / "out")
    assert (tmp_path / "out").stat().st_size == journal["written"]


@pytest.mark.parametrize("before_the_end", [0, 3])
def test_run_that_had_only_to_get_its_final_name(
    source, tmp_path, monkeypatch, undisturbed, before_the_end
):
    """Killed before the journal goes, or before OUT.part becomes OUT."""
    folder = tmp_path / "out"
    folder.mkdir()
    with monkeypatch.context() as patch:
        patch.setattr(writing, "os", Kernel())
        run(source, tmp_path / "other")
        patch.setattr(writing, "os", Kernel(writing.os.calls - before_the_end, "not done", kill))
        with pytest.raises(Killed):
            run(source, folder / "out")
    assert (folder / "out").exists() == (not before_the_end)
    run(source, folder / "out")
    assert files(folder) == undisturbed[False]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (
            lambda folder: (folder / "out.part.json").unlink(),
            "out.part is there, but not its journal out.part.json",
        ),
        (
            lambda folder: (folder / "out.part.json").write_text("{"),
            "out.part.json is no journal of this version",
        ),
        (
            lambda folder: (folder / "out.part.json").write_text('{"format": "x"}'),
            "out.part.json is no journal of this version",
        ),
        (
            lambda folder: (folder / "out.part").unlink(),
            r"out.part is shorter than the \d+ bytes that its journal counts",
        ),
        (
            lambda folder: os.truncate(folder / "out.part", 9),
            r"out.part is shorter than the \d+ bytes",
        ),
        (
            lambda folder: (folder / "out").write_text(""),
            "out was not there when the unfinished run began",
        ),
    ],
)
def test_damaged_run_is_refused_until_it_is_restarted(
    source, tmp_path, monkeypatch, undisturbed, damage, message
):
    folder = tmp_path / "out"
    folder.mkdir()
    interrupted(source, folder / "out", monkeypatch)
    damage(folder)
    left = files(folder)
    with pytest.raises(UserError, match=message):
        run(source, folder / "out")
    assert files(folder) == left
    run(source, folder / "out", restart=True)
    assert files(folder) == undisturbed[False]


def test_output_that_is_there_is_replaced_at_the_end_only(
    source, tmp_path, monkeypatch, undisturbed
):
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "out").write_text("precious")
    (folder / "out.errors.jsonl").write_text("old")
    with pytest.raises(
        UserError, match="out is there; name another output, or restart to replace it"
    ):
        run(source, folder / "out")
    assert files(folder) == {"out": b"precious", "out.errors.jsonl": b"old"}
    interrupted(source, folder / "out", monkeypatch, restart=True)
    assert (folder / "out").read_text() == "precious"
    run(source, folder / "out")
    assert files(folder) == undisturbed[False]
    run(make_input(source, bad=False), folder / "out", restart=True)
    assert list(files(folder)) == ["out"]


def test_two_processes_do_not_write_one_output(source, tmp_path):
    with writing.FileOutput(
        tmp_path / "out", {}, header=b"", restart=False, restart_named="restart"
    ):
        left = files(tmp_path)
        for restart in (False, True):
            with pytest.raises(UserError, match="another process is writing"):
                run(source, tmp_path / "out", restart=restart)
        assert files(tmp_path) == left


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ("no/out.jsonl", "there is no folder"),
        ("folder", "is no file; name one, or - for standard output"),
    ],
)
def test_output_that_cannot_be(source, tmp_path, output, message):
    (tmp_path / "folder").mkdir()
    with pytest.raises(UserError, match=message):
        run(source, tmp_path / output)


def test_totals_count_what_all_runs_did(source, tmp_path, monkeypatch):
    whole = run(source, tmp_path / "whole")
    interrupted(source, tmp_path / "out", monkeypatch)
    again = run(source, tmp_path / "out")
    assert (again.dialogues, again.utterances, again.skipped) == (20, 47, 3)
    assert again.emotions == whole.emotions
    assert sum(again.emotions.values()) == again.utterances
