"""A dialogue of any length is answered in pieces, which together are what it would be as a
whole.
"""

import io
import json
import os
from pathlib import Path

import pytest

from eacl_jax.bulk import formats, writing
from eacl_jax.bulk.predict import predict
from eacl_jax.errors import UserError
from tests.stubs.bulk import (
    DURABLE,
    LABELS,
    LONGEST_NAME,
    Kernel,
    Killed,
    Stub,
    items,
    lines_of,
    lose_power,
)

SIZES = (3, 19, 1, 4, 8)
LONG = "A" * (LONGEST_NAME + 1)


class Exact(Stub):
    """Answers that do not depend on what is asked together."""

    def represent(self, examples):
        return [[example] for example in examples]

    def answer(self, reps, utterances, examples, *, stage):
        return [
            super(Exact, self).answer(rep, [one], rep, stage=stage)[0]
            for rep, one in zip(reps, utterances, strict=True)
        ]


def write(file: Path, kind: str, sizes=SIZES, **changed: str) -> Path:
    """Dialogues of these sizes; `changed` gives other utterances, `d1u12="Name: text"`."""
    blocks = []
    for number, size in enumerate(sizes):
        lines = [
            changed.get(f"d{number}u{i}", f"{'Ann' if i % 2 else 'Ben'}: text {number} {i}")
            for i in range(size)
        ]
        pairs = [line.split(": ", 1) for line in lines]
        if kind == "jsonl":
            utterances = [
                {"speaker": speaker, "text": text, "n": i}
                for i, (speaker, text) in enumerate(pairs)
            ]
            blocks.append(
                json.dumps({"id": f"d{number}", "utterances": utterances, "more": [number]}) + "\n"
            )
        elif kind == "csv":
            blocks += ["" if number else "dialogue;speaker;n;text\n"]
            blocks += [
                f"d{number};{speaker};{i};{text}\n" for i, (speaker, text) in enumerate(pairs)
            ]
        else:
            blocks.append("".join(f"{line}\n" for line in lines) + "\n")
    file.write_text("".join(blocks), encoding="utf-8")
    return file


def run(
    source: Path,
    output: Path | None,
    kind: str,
    *,
    size=4,
    csv=False,
    skip_bad=False,
    stub=Stub,
    stream=None,
) -> None:
    written_as = (
        formats.Csv(LABELS, others=["n"] if kind == "csv" else []) if csv else formats.JsonLines()
    )
    answers, problems = stream or (None, None)
    goal = (
        writing.FileOutput(
            output, {}, header=written_as.header, restart=False, restart_named="restart"
        )
        if output
        else writing.StreamOutput(answers, problems, header=written_as.header)
    )
    with source.open("rb") as file, goal:
        lines = lines_of(file, source.name)
        read = items(kind, lines, size=size)
        lines.resumed = goal.journal.position
        options = {
            "stage": "stage_two",
            "on_long": "cut",
            "chunk": size,
            "skip_bad": skip_bad,
            "report": lambda *_: None,
        }
        predict(stub(), lines, read, goal, written_as, **options)


def files(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in sorted(folder.iterdir())}


def kill():
    raise Killed


@pytest.fixture(autouse=True)
def kernel(monkeypatch) -> None:
    """One that does not wait for the disk, and kills nobody."""
    DURABLE.clear()
    monkeypatch.setattr(writing, "os", Kernel())


@pytest.mark.parametrize("csv", [False, True])
@pytest.mark.parametrize("kind", ["jsonl", "csv", "txt"])
def test_pieces_together_are_the_whole(kind, csv, tmp_path):
    source = write(tmp_path / "chats", kind)
    run(source, tmp_path / "whole", kind, size=100, csv=csv, stub=Exact)
    whole = (tmp_path / "whole").read_bytes()
    for size in (1, 2, 4, 7, 19):
        run(source, tmp_path / f"out{size}", kind, size=size, csv=csv, stub=Exact)
        assert (tmp_path / f"out{size}").read_bytes() == whole
    if csv:
        assert len(whole.splitlines()) == 1 + sum(SIZES)
        assert (b'"n","dialogue"' in whole) == (kind == "csv")
    else:
        read = [json.loads(line) for line in whole.splitlines()]
        assert [len(dialogue["utterances"]) for dialogue in read] == list(SIZES)
        assert [dialogue.get("more") for dialogue in read] == [
            [n] if kind == "jsonl" else None for n in range(len(SIZES))
        ]
        assert ("n" in read[1]["utterances"][18]) == (kind != "txt")


@pytest.mark.parametrize(
    ("kind", "how", "bad"),
    [("txt", "half", 0), ("jsonl", "done", 0), ("csv", "not done", 0), ("txt", "done", 14)],
)
def test_killed_inside_of_a_dialogue(kind, how, bad, tmp_path, monkeypatch):
    """One run for some of the calls, which is its last; the next one leaves the bytes of a run that
    was never killed, also where pieces had to be taken back.
    """
    source = write(
        tmp_path / "chats", kind, (19, 2, 9), **({f"d0u{bad}": f"{LONG}: hi"} if bad else {})
    )
    (tmp_path / "undisturbed").mkdir()
    run(source, tmp_path / "undisturbed" / "out", kind, skip_bad=True)
    undisturbed = files(tmp_path / "undisturbed")
    assert len(undisturbed["out"].splitlines()) == (2 if bad else 3)
    inside = 0
    for last in range(3, 1000, 5):
        folder = tmp_path / f"out{last}"
        folder.mkdir()
        with monkeypatch.context() as patch:
            patch.setattr(writing, "os", Kernel(last, how, kill))
            try:
                run(source, folder / "out", kind, skip_bad=True)
            except Killed:
                lose_power(folder)
            else:
                break
        if (folder / "out.part.json").exists():
            inside += (
                json.loads((folder / "out.part.json").read_text())["position"]["utterances"] > 0
            )
        run(source, folder / "out", kind, skip_bad=True)
        assert files(folder) == undisturbed, f"killed at call {last}"
    assert inside > 3


@pytest.mark.parametrize("kind", ["jsonl", "csv", "txt"])
@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"{LONG}: hi", "dialogue '.*' utterance 13: the speaker's name"),
        ("Ann: a\0", "null character"),
    ],
)
def test_what_cannot_be_used_takes_back_what_came_before_it(kind, text, message, tmp_path):
    source = write(tmp_path / "chats", kind, d1u13=text)
    with pytest.raises(UserError, match=f"^chats line .*{message}") as raised:
        run(source, tmp_path / "out", kind)
    line = {"jsonl": 2, "csv": 1 + 3 + 14, "txt": 4 + 14}[kind]
    assert raised.value.args[0].startswith(f"chats line {line}: ")
    journal = (
        json.loads((tmp_path / "out.part.json").read_text())
        if (tmp_path / "out.part.json").exists()
        else None
    )
    # A line of JSON that is wrong is wrong before anything of it is answered.
    assert (journal and journal["position"]["utterances"]) == (
        None if kind == "jsonl" and "\0" in text else 12
    )
    run(source, tmp_path / "out", kind, skip_bad=True, stub=Exact)
    good = write(tmp_path / "good", kind)
    run(good, tmp_path / "whole", kind, size=100, stub=Exact)
    answers = (tmp_path / "whole").read_bytes().splitlines()
    assert (tmp_path / "out").read_bytes().splitlines()[1:] == answers[2:]
    assert (
        json.loads((tmp_path / "out.errors.jsonl").read_text())["line"]
        == {"jsonl": 2, "csv": 5, "txt": 5}[kind]
    )
    stream = io.BytesIO(), io.StringIO()
    run(source, None, kind, skip_bad=True, stub=Exact, stream=stream)
    assert stream[0].getvalue().splitlines() == [answers[0], *answers[2:]]
    assert message.split()[-1] in stream[1].getvalue()


def test_line_may_be_mended_behind_what_was_answered_of_it(tmp_path):
    """The first line: all of what is done lies in a dialogue that is not."""
    source = write(tmp_path / "chats", "jsonl", (30,), d0u25=f"{LONG}: hi")
    with pytest.raises(UserError, match="utterance 25"):
        run(source, tmp_path / "out", "jsonl", stub=Exact)
    for sizes, changed in (((30,), {"d0u3": "Ann: other"}), ((10,), {})):
        write(source, "jsonl", sizes, **changed)
        with pytest.raises(
            UserError, match="not what the unfinished run has read: line 1: the first 24 utterances"
        ):
            run(source, tmp_path / "out", "jsonl")
    write(source, "jsonl", (30,), d0u25="Ann: mended")
    asked = []

    class Asked(Exact):
        def represent(self, examples):
            asked.extend(examples)
            return super().represent(examples)

    run(source, tmp_path / "out", "jsonl", stub=Asked)
    assert len(asked) == 6
    run(source, tmp_path / "whole", "jsonl", size=100, stub=Exact)
    assert (tmp_path / "out").read_bytes() == (tmp_path / "whole").read_bytes()


def test_reading_goes_on_inside_of_a_dialogue():
    """Whatever the size of the pieces now is."""
    content = "".join(f"Ann: {n}\n" for n in range(20)).encode()
    first = next(items("txt", lines_of(content), size=8))
    (rest,) = items("txt", lines_of(content, resumed=first.end), size=50)
    assert [u.text for u in rest.past] == ["6", "7"]
    assert [u.text for u in rest.dialogue.utterances] == [str(n) for n in range(8, 20)]
    assert (rest.start, rest.more, first.more, rest.lines[0]) == (8, False, True, 9)


def test_disk_without_room_for_the_pieces_of_a_stream(tmp_path, monkeypatch):
    class Full(io.BytesIO):
        def write(self, _):
            raise OSError(28, os.strerror(28))

    monkeypatch.setattr(writing.tempfile, "TemporaryFile", Full)
    with pytest.raises(
        UserError, match=r"cannot keep the pieces of a long dialogue in .*: No space left on device"
    ):
        run(write(tmp_path / "chats", "txt"), None, "txt", stream=(io.BytesIO(), io.StringIO()))
