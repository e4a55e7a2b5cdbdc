"""`eacl predict` from its command line to its files."""

import csv
import io
import json
import os
import sys
from pathlib import Path

import pytest
from cli_stubs import LONGEST_NAME

from eacl_jax.dialogue import Dialogue, Utterance
from eacl_jax.recognizer import EmotionRecognizer

CHATS = [
    Dialogue("a", (Utterance("Ann", "The day is wonderful"), Utterance("Bob", "hello 🙂 שלום"), Utterance("Ann", "rude"))),
    Dialogue("b", (Utterance("Cleo", "good day " * 120),)),
    Dialogue("c", (Utterance("Ann", 'a "table", and\na window'), Utterance("Bob", "awful\rday"))),
]


def jsonl(file: Path, dialogues=CHATS) -> Path:
    file.write_text("".join(json.dumps(d.to_json()) + "\n" for d in dialogues), encoding="utf-8")
    return file


def rows(content: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(content.decode(), newline="")))


def same(found, expected) -> bool:
    """Whether records as they were written are those of the library, but for rounding."""
    if isinstance(expected, bool):
        return str(found) == str(expected)
    if isinstance(expected, float):
        return abs(float(found) - expected) < 1e-5
    if isinstance(expected, dict):
        return list(found) == list(expected) and all(same(found[key], expected[key]) for key in expected)
    if isinstance(expected, list):
        return len(found) == len(expected) and all(map(same, found, expected))
    return type(expected)(found) == expected


@pytest.fixture(scope="module")
def answers(model):
    return EmotionRecognizer.from_pretrained(model).predict(CHATS)


def test_files_of_all_formats_give_the_librarys_answers(eacl, model, answers, tmp_path):
    done = eacl("predict", "--model", model, "--input", jsonl(tmp_path / "chats.jsonl"), "--output", tmp_path / "out.jsonl")
    assert (done.status, done.output) == (0, b"")
    assert same([json.loads(line) for line in (tmp_path / "out.jsonl").open()], [a.to_json() for a in answers])
    assert "3 dialogues, 6 utterances" in done.errors
    assert "1 utterances are longer than the model reads: see --on-long" in done.errors
    assert "1 utterances hold mostly what the model's tokenizer does not know" in done.errors
    counted = {label: sum(p.emotion == label for a in answers for p in a) for label in ("joy", "anger", "neutral")}
    assert all(f"{label} {count}" in done.errors for label, count in counted.items() if count)

    flat = [row for answer in answers for row in answer.to_rows()]
    table = tmp_path / "chats.csv"
    with table.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("conversation", "who", "what"), *((r["dialogue"], r["speaker"], r["text"]) for r in flat)])
    names = ("--dialogue-column=conversation", "--speaker-column=who", "--text-column=what")
    assert eacl("predict", "--model", model, "--input", table, "--output", tmp_path / "out.csv", *names).status == 0
    # Blanks at the ends of cells go, as they do where a corpus is read from CSV.
    assert same(rows((tmp_path / "out.csv").read_bytes()), [{**row, "text": row["text"].strip()} for row in flat])


def test_text_from_standard_input_to_standard_output(eacl, model, tmp_path):
    text = "Ann: The day is wonderful\nBob: rude\n\nAnn: hello"
    expected = EmotionRecognizer.from_pretrained(model).predict(text.split("\n\n"), stage="stage_one")
    options = ("--model", model, "--input=-", "--output=-", "--input-format=txt", "--stage=stage_one")
    done = eacl("predict", *options, given=text.encode())
    assert same([json.loads(line) for line in done.output.splitlines()], [answer.to_json() for answer in expected])
    done = eacl("predict", *options, "--output-format=csv", given=text.encode())
    assert same(rows(done.output), [row for answer in expected for row in answer.to_rows()])
    assert "-: 2 dialogues, 3 utterances" in done.errors


def test_own_labels(eacl, model, tmp_path):
    words = {"gratitude": "wonderful", "anger": "anger"}
    expected = EmotionRecognizer.from_pretrained(model).with_labels(words).predict(CHATS)
    options = ("--labels", "gratitude=wonderful, anger", "--output-format=csv")
    done = eacl("predict", "--model", model, "--input", jsonl(tmp_path / "chats.jsonl"), "--output=-", *options)
    assert same(rows(done.output), [row for answer in expected for row in answer.to_rows()])


def test_shards_are_all_dialogues_once(eacl, model, stub, tmp_path):
    chats = jsonl(tmp_path / "chats.jsonl", [Dialogue(str(n), (Utterance("Ann", str(n)),)) for n in range(20)])
    parts = []
    for shard in ("1/3", "2/3", "3/3"):
        part = eacl("predict", "--model", model, "--input", chats, "--output=-", f"--shard={shard}")
        parts.append([json.loads(line)["id"] for line in part.output.splitlines()])
    assert parts == [[str(n) for n in range(first, 20, 3)] for first in range(3)]
    out = tmp_path / "out.csv"
    assert eacl("predict", "--model", model, "--input", chats, "--output", out, "--shard=21/21").status == 0
    assert len(out.read_bytes().splitlines()) == 1  # the header, of none


def test_stopped_and_run_again(eacl, model, tmp_path, monkeypatch):
    """A real recognizer: bytes as if never stopped, also with the emotions counted before."""
    chats = jsonl(tmp_path / "chats.jsonl", [Dialogue(f"{d.id}{n}", d.utterances) for n in range(20) for d in CHATS])
    options = ("predict", "--model", model, "--input", chats, "--batch-size=2", "--output")
    whole = eacl(*options, tmp_path / "whole.jsonl")
    represent, calls = EmotionRecognizer.represent, []

    def interrupted(self, examples):
        calls.append(len(examples))
        if len(calls) == 3:
            raise KeyboardInterrupt
        return represent(self, examples)

    with monkeypatch.context() as patch:
        patch.setattr(EmotionRecognizer, "represent", interrupted)
        done = eacl(*options, tmp_path / "out.jsonl")
    assert done.status == 130
    assert "dialogues are done. To go on from there, run the same command again." in done.errors
    assert not (tmp_path / "out.jsonl").exists()
    for change in ("--stage=stage_one", "--labels=joy,anger", "--shard=1/2"):
        done = eacl(*options, tmp_path / "out.jsonl", change)
        assert done.status == 2
        assert "is of an unfinished run that differs; give the same to go on" in done.errors
    again = eacl(*options, tmp_path / "out.jsonl")
    assert (tmp_path / "out.jsonl").read_bytes() == (tmp_path / "whole.jsonl").read_bytes()
    assert again.errors.splitlines()[1] == whole.errors.splitlines()[1]
    assert sorted(file.name for file in tmp_path.iterdir()) == ["chats.jsonl", "out.jsonl", "whole.jsonl"]


def test_other_model_is_refused(eacl, model, stub, tmp_path, monkeypatch):
    chats = jsonl(tmp_path / "chats.jsonl", [Dialogue(str(n), (Utterance("Ann", "hi"),)) for n in range(20)])
    options = ("--input", chats, "--output", tmp_path / "out.jsonl", "--batch-size=1")
    represent = stub.represent

    def interrupted(examples):
        if stub.asked:
            raise KeyboardInterrupt
        return represent(examples)

    monkeypatch.setattr(stub, "represent", interrupted)
    assert eacl("predict", "--model", model, *options).status == 130
    settings = json.loads((model / "config.json").read_text())
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "config.json").write_text(json.dumps({**settings, "temperature": 0.5}))
    done = eacl("predict", "--model", tmp_path / "other", *options)
    assert done.status == 2
    assert "\n  model: '" in done.errors


def test_bad_dialogues_are_told_or_passed_over(eacl, model, stub, tmp_path):
    good = [json.dumps(d.to_json()) for d in CHATS]
    long_name = json.dumps(Dialogue("x", (Utterance("A" * (LONGEST_NAME + 1), "hi"),)).to_json())
    chats = tmp_path / "chats.jsonl"
    chats.write_text("\n".join([good[0], "{", good[1], long_name, good[2], '{"id": "e", "utterances": []}']))
    options = ("predict", "--model", model, "--input", chats, "--output", tmp_path / "out.jsonl")
    done = eacl(*options)
    assert (done.status, done.errors.count("\n")) == (2, 1)
    assert done.errors.startswith(f"error: {chats} line 2: not valid JSON")
    done = eacl(*options, "--skip-bad")
    assert done.status == 0
    assert f"3 dialogues could not be used: see {tmp_path / 'out.jsonl.errors.jsonl'}" in done.errors
    assert [json.loads(line)["id"] for line in (tmp_path / "out.jsonl").open()] == ["a", "b", "c"]
    problems = [json.loads(line) for line in (tmp_path / "out.jsonl.errors.jsonl").open()]
    assert [problem["line"] for problem in problems] == [2, 4, 6]
    assert "line 4: dialogue 'x' utterance 0: the speaker's name leaves no room" in problems[1]["reason"]
    chats.write_text(f"{good[0]}\n{long_name}\n")
    done = eacl("predict", "--model", model, "--input", chats, "--output=-")
    assert (done.status, done.output) == (2, b"")
    assert done.errors.startswith(f"error: {chats} line 2: dialogue 'x' utterance 0")
    done = eacl("predict", "--model", model, "--input", chats, "--output=-", "--skip-bad")
    assert json.loads(done.errors.splitlines()[0])["line"] == 2


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--input=no.jsonl"], "--input: no.jsonl does not exist; name a file of dialogues"),
        (["--input=folder.csv"], "--input: folder.csv is a folder"),
        (
            ["--input=chats.json"],
            "the name of chats.json ends in none of .jsonl, .csv, .txt; give --input-format, one of jsonl, csv, txt",
        ),
        (["--input=-"], "--input-format must be given beside --input=-, one of jsonl, csv, txt"),
        (["--input=empty.jsonl"], "empty.jsonl holds no dialogue"),
        (["--input=empty.txt"], "empty.txt holds no dialogue"),
        (["--input=empty.csv"], "empty.csv is empty; its first line must name the columns dialogue, speaker, text"),
        (["--output=out.xml"], "the name of out.xml ends in none of .jsonl, .csv"),
        (["--output=no/out.jsonl"], "there is no folder"),
        (["--output=chats.jsonl"], "chats.jsonl is the input; name another file"),
        (["--output=there.jsonl"], "there.jsonl is there; name another output, or use --restart"),
        (["--shard=3/2"], "--shard must be I/N with I from 1 to N"),
        (["--labels=joy,joy"], "--labels: 'joy' is there twice"),
        (["--labels=joy,=x"], "--labels: '=x' is neither LABEL=WORD nor LABEL"),
        (["--batch-size=0"], "Invalid value for '--batch-size'"),
        (["--stage=three"], "Invalid value for '--stage'"),
        (["--bogus"], "No such option: --bogus"),
        (["--model=nowhere"], "nowhere is no folder"),
        (["--model=folder.csv"], "config.json is missing"),
        (["--text-column=words", "--input=table.csv"], "no column 'words'; its columns are 'dialogue', 'speaker', 'text'"),
    ],
)
def test_mistakes(eacl, model, stub, tmp_path, monkeypatch, arguments, told):
    monkeypatch.chdir(tmp_path)
    jsonl(tmp_path / "chats.jsonl")
    for name in ("empty.jsonl", "empty.txt", "empty.csv", "chats.json", "there.jsonl"):
        (tmp_path / name).write_text("")
    (tmp_path / "table.csv").write_text("dialogue,speaker,text\n")
    (tmp_path / "folder.csv").mkdir()
    done = eacl("predict", f"--model={model}", "--input=chats.jsonl", "--output=out.jsonl", *arguments)
    assert done.status == 2
    assert done.errors.startswith("error: ")
    assert told in done.errors
    assert "Traceback" not in done.errors
    assert not (tmp_path / "out.jsonl").exists()


class Stdout:
    """Standard output that goes to a descriptor."""

    def __init__(self, descriptor: int) -> None:
        self.buffer = io.FileIO(descriptor, "wb")

    def flush(self) -> None:
        """Nothing is kept back."""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no device that is always full")
def test_standard_output_that_is_full(eacl, model, stub, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "stdout", Stdout(os.open("/dev/full", os.O_WRONLY)))
    done = eacl("predict", "--model", model, "--input", jsonl(tmp_path / "chats.jsonl"), "--output=-")
    assert (done.status, done.errors) == (2, "error: cannot write to standard output: No space left on device.\n")


def test_standard_output_that_nobody_reads(eacl, model, stub, tmp_path, monkeypatch):
    """`eacl predict ... | head` ends without a word."""
    reader, writer = os.pipe()
    os.close(reader)
    monkeypatch.setattr(sys, "stdout", Stdout(writer))
    monkeypatch.setattr(sys, "stderr", sys.stderr)  # what is put in its place is taken away again
    done = eacl("predict", "--model", model, "--input", jsonl(tmp_path / "chats.jsonl"), "--output=-")
    assert (done.status, done.errors) == (1, "")
