"""`eacl predict` from its command line to its files."""

import csv
import datetime
import gzip
import io
import json
import os
import shutil
import sys
from pathlib import Path

import pyarrow
import pytest
from pyarrow import parquet

from eacl_jax.bulk.journal import Journal
from eacl_jax.cli import job
from eacl_jax.data.pieces import Look
from eacl_jax.dialogue import Dialogue, Utterance
from eacl_jax.recognizer import locate
from eacl_jax.recognizer.prediction import ALONE
from eacl_jax.recognizer.recognizer import EmotionRecognizer
from tests.stubs.bulk import LONGEST_NAME

CHATS = [
    Dialogue(
        "a",
        (
            Utterance("Ann", "The day is wonderful"),
            Utterance("Bob", "hello 🙂 שלום"),
            Utterance("Ann", "rude"),
        ),
    ),
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
        return list(found) == list(expected) and all(
            same(found[key], expected[key]) for key in expected
        )
    if isinstance(expected, list):
        return len(found) == len(expected) and all(map(same, found, expected))
    return type(expected)(found) == expected


@pytest.fixture(scope="module")
def answers(model):
    return EmotionRecognizer.from_pretrained(model).predict(CHATS)


@pytest.fixture(scope="module")
def with_sets(model, tmp_path_factory):
    """The model's folder, as a run that measured sets leaves it."""
    folder = tmp_path_factory.mktemp("sets") / "model"
    shutil.copytree(model, folder)
    config = json.loads((folder / "config.json").read_text())
    config["sets"] = {"examples": 99, "thresholds": [0.4] * 40 + [0.2] * 9 + [0.0]}
    (folder / "config.json").write_text(json.dumps(config))
    return folder


@pytest.mark.parametrize("kind", ["jsonl", "csv"])
def test_a_coverage_adds_the_possible_labels(kind, eacl, with_sets, tmp_path):
    chats, out = jsonl(tmp_path / "chats.jsonl"), tmp_path / f"answers.{kind}"
    asked = ["--model", with_sets, "--input", chats, "--output", out, "--coverage", "0.9"]
    assert eacl("predict", *asked).status == 0
    found = (
        [row["possible"] for row in rows(out.read_bytes())]
        if kind == "csv"
        else [u["possible"] for line in out.open() for u in json.loads(line)["utterances"]]
    )
    answers = EmotionRecognizer.from_pretrained(with_sets).predict(CHATS, coverage=0.9)
    expected = [list(each.possible) for answer in answers for each in answer]
    assert found == ([";".join(each) or "[]" for each in expected] if kind == "csv" else expected)


def test_coverages_that_cannot_be(eacl, model, with_sets, tmp_path):
    chats = jsonl(tmp_path / "chats.jsonl")
    for folder, more, reason in (
        (with_sets, ["--coverage=1.5"], "coverage must be from 0.5 to 0.99, in whole percent"),
        (with_sets, ["--coverage=0.9", "--labels=joy,anger"], "--coverage: how probable the right"),
        (model, ["--coverage=0.9"], "was not measured with these labels and anchors"),
        (with_sets, ["--fields=possible"], "'possible' are the labels of a coverage, and none is"),
    ):
        done = eacl(
            *("predict", "--model", folder, "--input", chats, "--output", tmp_path / "a.csv"), *more
        )
        assert done.status == 2
        assert reason in done.errors


@pytest.mark.parametrize("revision", ["", "v2"])
def test_a_model_of_the_hub_is_of_the_revision_asked_for(
    revision, eacl, stub, model, monkeypatch, tmp_path
):
    asked = []
    monkeypatch.setattr(locate, "_from_hub", lambda *given: asked.append(given) or model)
    options = [f"--revision={revision}"] if revision else []
    chats = jsonl(tmp_path / "chats.jsonl")
    done = eacl(
        "predict",
        "--model=ann/emotions",
        "--input",
        chats,
        "--output",
        tmp_path / "a.csv",
        *options,
    )
    assert done.status == 0
    assert asked == [("ann/emotions", revision or "main")]


def test_files_of_all_formats_give_the_librarys_answers(eacl, model, answers, tmp_path):
    done = eacl(
        "predict",
        "--model",
        model,
        "--input",
        jsonl(tmp_path / "chats.jsonl"),
        "--output",
        tmp_path / "out.jsonl",
    )
    assert (done.status, done.output) == (0, b"")
    assert same(
        [json.loads(line) for line in (tmp_path / "out.jsonl").open()],
        [a.to_json() for a in answers],
    )
    assert "3 dialogues, 6 utterances" in done.errors
    assert (
        "1 utterance is longer than the model reads: its end was answered (--on-long)"
        in done.errors
    )
    assert "1 utterance holds mostly what the model's tokenizer does not know" in done.errors
    counted = {
        label: sum(p.emotion == label for a in answers for p in a)
        for label in ("joy", "anger", "neutral")
    }
    assert all(f"{label} {count}" in done.errors for label, count in counted.items() if count)

    flat = [row for answer in answers for row in answer.to_rows()]
    table = tmp_path / "chats.csv"
    with table.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(
            [
                ("conversation", "who", "what"),
                *((r["dialogue"], r["speaker"], r["text"]) for r in flat),
            ]
        )
    names = ("--dialogue-column=conversation", "--speaker-column=who", "--text-column=what")
    assert (
        eacl(
            "predict", "--model", model, "--input", table, "--output", tmp_path / "out.csv", *names
        ).status
        == 0
    )
    # Blanks at the ends of cells go, as they do where a corpus is read from CSV.
    assert same(
        rows((tmp_path / "out.csv").read_bytes()),
        [{**row, "text": row["text"].strip()} for row in flat],
    )


def test_text_from_standard_input_to_standard_output(eacl, model, tmp_path):
    text = "Ann: The day is wonderful\nBob: rude\n\nAnn: hello"
    expected = EmotionRecognizer.from_pretrained(model).predict(
        text.split("\n\n"), stage="stage_one"
    )
    options = (
        "--model",
        model,
        "--input=-",
        "--output=-",
        "--input-format=txt",
        "--stage=stage_one",
    )
    done = eacl("predict", *options, given=text.encode())
    assert same(
        [json.loads(line) for line in done.output.splitlines()],
        [answer.to_json() for answer in expected],
    )
    done = eacl("predict", *options, "--output-format=csv", given=text.encode())
    assert same(rows(done.output), [row for answer in expected for row in answer.to_rows()])
    assert "-: 2 dialogues, 3 utterances" in done.errors


def test_own_labels(eacl, model, tmp_path):
    words = {"gratitude": "wonderful", "anger": "anger"}
    expected = EmotionRecognizer.from_pretrained(model).with_labels(words).predict(CHATS)
    options = ("--labels", "gratitude=wonderful, anger", "--output-format=csv")
    done = eacl(
        "predict",
        "--model",
        model,
        "--input",
        jsonl(tmp_path / "chats.jsonl"),
        "--output=-",
        *options,
    )
    assert same(rows(done.output), [row for answer in expected for row in answer.to_rows()])
    assert done.errors.count("their probabilities are not calibrated") == 1
    done = eacl("predict", "--model", model, "--input", tmp_path / "chats.jsonl", "--output=-")
    assert "calibrated" not in done.errors


@pytest.mark.parametrize("kind", ["csv", "jsonl", "txt"])
def test_input_that_changed_meanwhile_is_refused(eacl, model, stub, tmp_path, monkeypatch, kind):
    """In the part that is done; what comes behind may be other."""
    names = "abcdefgh"
    one = {
        "csv": "{},Ann,it is {}\n",
        "jsonl": '{{"id": "{}", "utterances": [["Ann", "it is {}"]]}}\n',
        "txt": "Ann: it is {} {}\n\n",
    }[kind]
    chats, out = tmp_path / f"chats.{kind}", tmp_path / "out.jsonl"
    header = "dialogue,speaker,text\n" * (kind == "csv")

    def write(**changed):
        chats.write_text(header + "".join(one.format(n, changed.get(n, "fine")) for n in names))

    write()
    options = ("predict", "--model", model, "--input", chats, "--output", out, "--batch-size=1")
    represent = stub.represent

    def interrupted(examples):
        if stub.asked:
            raise KeyboardInterrupt
        return represent(examples)

    with monkeypatch.context() as patch:
        patch.setattr(job, "_CHUNK", 2)
        patch.setattr(stub, "represent", interrupted)
        assert eacl(*options).status == 130
    for change in ("dire", "of another length"):
        write(a=change)
        done = eacl(*options)
        assert (done.status, "is not what the unfinished run has read" in done.errors) == (2, True)
        assert "or give --restart to begin anew" in done.errors
    write(h="dire")
    assert eacl(*options).status == 0
    texts = [json.loads(line)["utterances"][0]["text"] for line in out.open()]
    assert len(texts) == len(names)
    assert texts[-1].endswith("dire")


def test_shards_are_all_dialogues_once(eacl, model, stub, tmp_path):
    chats = jsonl(
        tmp_path / "chats.jsonl", [Dialogue(str(n), (Utterance("Ann", str(n)),)) for n in range(20)]
    )
    parts = []
    for shard in ("1/3", "2/3", "3/3"):
        part = eacl("predict", "--model", model, "--input", chats, "--output=-", f"--shard={shard}")
        parts.append([json.loads(line)["id"] for line in part.output.splitlines()])
    assert parts == [[str(n) for n in range(first, 20, 3)] for first in range(3)]
    out = tmp_path / "out.csv"
    assert (
        eacl("predict", "--model", model, "--input", chats, "--output", out, "--shard=21/21").status
        == 0
    )
    assert len(out.read_bytes().splitlines()) == 1  # the header, of none


def test_stopped_and_run_again(eacl, model, tmp_path, monkeypatch):
    """A real recognizer: bytes as if never stopped, also with the emotions counted before."""
    chats = jsonl(
        tmp_path / "chats.jsonl",
        [Dialogue(f"{d.id}{n}", d.utterances) for n in range(20) for d in CHATS],
    )
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
    assert sorted(file.name for file in tmp_path.iterdir()) == [
        "chats.jsonl",
        "out.jsonl",
        "whole.jsonl",
    ]


def test_other_model_is_refused(eacl, model, stub, tmp_path, monkeypatch):
    chats = jsonl(
        tmp_path / "chats.jsonl", [Dialogue(str(n), (Utterance("Ann", "hi"),)) for n in range(20)]
    )
    options = ("--input", chats, "--output", tmp_path / "out.jsonl", "--batch-size=1")
    represent = stub.represent

    def interrupted(examples):
        if stub.asked:
            raise KeyboardInterrupt
        return represent(examples)

    monkeypatch.setattr(stub, "represent", interrupted)
    assert eacl("predict", "--model", model, *options).status == 130
    shutil.copytree(model, tmp_path / "other")
    settings = json.loads((model / "config.json").read_text())
    (tmp_path / "other" / "config.json").write_text(json.dumps({**settings, "temperature": 0.5}))
    done = eacl("predict", "--model", tmp_path / "other", *options)
    assert done.status == 2
    assert "\n  model: '" in done.errors


@pytest.mark.parametrize("kind", ["json", "csv", "parquet"])
def test_a_run_does_not_go_on_with_other_columns(eacl, model, stub, tmp_path, monkeypatch, kind):
    """Rows to come would not be of the header that was written."""
    chats, represent = tmp_path / f"chats.{kind}", stub.represent
    records = [{"dialogue": str(n), "speaker": "Ann", "text": "hi", "mood": "m"} for n in range(20)]

    def write() -> None:
        names = list(dict.fromkeys(name for record in records for name in record))
        whole = [{name: record.get(name) for name in names} for record in records]
        if kind == "json":
            chats.write_text(json.dumps(records))
        elif kind == "csv":
            with chats.open("w", newline="") as file:
                csv.writer(file).writerows([names, *(list(each.values()) for each in whole)])
        else:
            parquet.write_table(pyarrow.Table.from_pylist(whole), chats)

    def interrupted(examples):
        if stub.asked:
            raise KeyboardInterrupt
        return represent(examples)

    options = ("predict", "--model", model, "--input", chats, "--input-format=json")
    options += ("--batch-size=1", "--output")
    outputs = {"--fields=emotion,other": "out.csv", "--fields=emotion": "lean.csv"}
    outputs["--fields=other"] = "out.jsonl"
    write()
    for fields, name in outputs.items():
        stub.asked.clear()
        with monkeypatch.context() as patch:
            patch.setattr(stub, "represent", interrupted)
            assert eacl(*options, tmp_path / name, fields).status == 130
    records[-1]["note"] = "new"
    write()
    done = {name: eacl(*options, tmp_path / name, fields) for fields, name in outputs.items()}
    assert [each.status for each in done.values()] == [2, 0, 0]
    assert "give the same to go on, or give --restart" in done["out.csv"].errors
    assert "columns carried through: ['mood'], now ['mood', 'note']" in done["out.csv"].errors
    assert '"note": "new"' in (tmp_path / "out.jsonl").read_text().splitlines()[-1]


def test_bad_dialogues_are_reported_or_passed_over(eacl, model, stub, tmp_path):
    good = [json.dumps(d.to_json()) for d in CHATS]
    long_name = json.dumps(Dialogue("x", (Utterance("A" * (LONGEST_NAME + 1), "hi"),)).to_json())
    chats = tmp_path / "chats.jsonl"
    chats.write_text(
        "\n".join([good[0], "{", good[1], long_name, good[2], '{"id": "e", "utterances": []}'])
    )
    options = ("predict", "--model", model, "--input", chats, "--output", tmp_path / "out.jsonl")
    done = eacl(*options)
    assert (done.status, done.errors.count("\n")) == (2, 1)
    assert done.errors.startswith(f"error: {chats} line 2: not valid JSON")
    done = eacl(*options, "--skip-bad")
    assert done.status == 0
    assert (
        f"3 dialogues could not be used: see {tmp_path / 'out.jsonl.errors.jsonl'}" in done.errors
    )
    assert [json.loads(line)["id"] for line in (tmp_path / "out.jsonl").open()] == ["a", "b", "c"]
    problems = [json.loads(line) for line in (tmp_path / "out.jsonl.errors.jsonl").open()]
    assert [problem["line"] for problem in problems] == [2, 4, 6]
    assert (
        "line 4: dialogue 'x' utterance 0: the speaker's name leaves no room"
        in problems[1]["reason"]
    )
    chats.write_text(f"{good[0]}\n{long_name}\n")
    done = eacl("predict", "--model", model, "--input", chats, "--output=-")
    assert (done.status, done.output) == (2, b"")
    assert done.errors.startswith(f"error: {chats} line 2: dialogue 'x' utterance 0")
    done = eacl("predict", "--model", model, "--input", chats, "--output=-", "--skip-bad")
    assert json.loads(done.errors.splitlines()[0])["line"] == 2


@pytest.mark.slow
def test_nothing_is_left_of_a_command_that_was_refused(eacl, model, tmp_path):
    chats = jsonl(tmp_path / "chats.jsonl")
    bad = tmp_path / "bad.jsonl"
    bad.write_text("{\n[]\n")
    out = ("--output", tmp_path / "out.csv")
    refused = [
        ("--input", chats, "--labels=joy"),
        ("--input", bad),
        ("--input", chats, "--on-long=refuse"),
    ]
    for arguments in refused:
        assert eacl("predict", "--model", model, *arguments, *out).status == 2
        assert sorted(file.name for file in tmp_path.iterdir()) == ["bad.jsonl", "chats.jsonl"]
    done = eacl("predict", "--model", model, "--input", bad, *out, "--skip-bad")
    assert done.status == 2
    assert done.errors.startswith(
        f"error: none of the 2 dialogues of {bad} can be used, see {tmp_path}/out.csv.errors.jsonl;"
        " the first: "
    )
    assert sorted(file.name for file in tmp_path.iterdir()) == [
        "bad.jsonl",
        "chats.jsonl",
        "out.csv.errors.jsonl",
    ]
    assert (
        eacl("predict", "--model", model, "--input", chats, *out, "--labels=joy,anger").status == 0
    )
    assert sorted(file.name for file in tmp_path.iterdir()) == [
        "bad.jsonl",
        "chats.jsonl",
        "out.csv",
    ]


def test_journal_that_counts_nothing_is_in_nobodys_way(eacl, model, stub, tmp_path):
    """As a process leaves it that was killed before its first answer."""
    chats = jsonl(tmp_path / "chats.jsonl")
    journal = Journal({"labels": "others"}, replaces=False)
    (tmp_path / "out.jsonl.part.json").write_text(journal.to_text())
    (tmp_path / "out.jsonl.part").write_text("half a li")
    assert (
        eacl(
            "predict", "--model", model, "--input", chats, "--output", tmp_path / "out.jsonl"
        ).status
        == 0
    )
    assert sorted(file.name for file in tmp_path.iterdir()) == ["chats.jsonl", "out.jsonl"]
    assert [json.loads(line)["id"] for line in (tmp_path / "out.jsonl").open()] == ["a", "b", "c"]


def test_compressed_input(eacl, model, stub, tmp_path):
    chats = jsonl(tmp_path / "chats.jsonl")
    packed = tmp_path / "chats.jsonl.gz"
    packed.write_bytes(gzip.compress(chats.read_bytes(), mtime=0))
    outputs = [
        eacl("predict", "--model", model, "--input", chats, "--output=-"),
        eacl("predict", "--model", model, "--input", packed, "--output=-"),
        eacl(
            "predict",
            "--model",
            model,
            "--input=-",
            "--input-format=jsonl",
            "--output=-",
            given=packed.read_bytes(),
        ),
    ]
    assert [done.status for done in outputs] == [0, 0, 0]
    assert len({done.output for done in outputs}) == 1
    packed.write_bytes(packed.read_bytes()[:-20])
    done = eacl("predict", "--model", model, "--input", packed, "--output", tmp_path / "out.jsonl")
    assert (done.status, done.errors.count("\n")) == (2, 1)
    assert "chats.jsonl.gz: the gzip file is damaged or cut short" in done.errors


def test_a_table_by_the_name_of_text_is_read_where_its_format_is_given(eacl, model, stub, tmp_path):
    table = tmp_path / "chats.txt"  # Excel's "Unicode Text"
    table.write_text("Chat\tWer\tWas\n1\tAnn\tNein, danke!\n", "utf-16")
    for form in ("csv", "tsv"):
        done = eacl(
            *("predict", f"--model={model}", f"--input={table}", "--output=-"),
            *("--dialogue-column=Chat", "--speaker-column=Wer", "--text-column=Was"),
            f"--input-format={form}",
        )
        assert done.status == 0
        (found,) = json.loads(done.output)["utterances"]
        assert (found["speaker"], found["text"]) == ("Ann", "Nein, danke!")


def test_columns_are_carried_through_and_predictions_read_again(eacl, model, stub, tmp_path):
    table = tmp_path / "chats.csv"
    table.write_text(
        "Sr No.;Utterance;Speaker;emotion;Dialogue_ID\n7;=hi;Ann;joy;x\n8;so;Bob;joy;x\n"
    )
    done = eacl("predict", "--model", model, "--input", table, "--output", tmp_path / "out.csv")
    assert done.errors.startswith(
        f"{table}: columns 'emotion' are not carried through, as answers have these names"
    )
    lines = tmp_path / "chats.jsonl"
    utterance = {"speaker": "Ann", "text": "hi", "emotion": "joy", "confidence": 1, "n": 7}
    lines.write_text(json.dumps({"id": "x", "utterances": [utterance]}))
    done = eacl("predict", "--model", model, "--input", lines, "--output", tmp_path / "out.jsonl")
    assert (
        f"{lines}: fields 'confidence', 'emotion' are not carried through, as answers have these"
        in done.errors
    )
    assert "out.jsonl: 1 dialogue, 1 utterance, " in done.errors
    found = rows((tmp_path / "out.csv").read_bytes())
    assert [(row["Sr No."], row["dialogue"], row["text"]) for row in found] == [
        ("7", "x", "'=hi"),
        ("8", "x", "so"),
    ]
    lean = eacl(
        "predict",
        "--model",
        model,
        "--input",
        table,
        "--output=-",
        "--fields=emotion",
        "--output-format=csv",
    )
    assert lean.output.splitlines()[0] == b'"dialogue","utterance","emotion"'
    again = eacl(
        "predict",
        "--model",
        model,
        "--input",
        tmp_path / "out.csv",
        "--output",
        tmp_path / "again.csv",
        "--raw",
    )
    assert again.status == 0
    assert (tmp_path / "again.csv").read_bytes().splitlines()[0] == (
        tmp_path / "out.csv"
    ).read_bytes().splitlines()[0]


def test_other_json_is_read_as_annotated_files_are(eacl, model, tmp_path):
    """One value for all, here by id, or rows of a table that are no neighbours."""
    turns = {"7": [("Ann", "the day"), ("Bob", "it is rude")], "8": [("Ann", "wonderful")]}
    value = {
        number: [{"speaker": who, "text": text, "emotion": "joy"} for who, text in spoken]
        for number, spoken in turns.items()
    }
    (tmp_path / "chats.json").write_text(json.dumps(value, indent=1))
    rows = ["turn,chat,name,message", "1,7,Ann,the day", "1,8,Ann,wonderful", "2,7,Bob,it is rude"]
    (tmp_path / "chats.csv").write_text("\n".join(rows))
    expected = EmotionRecognizer.from_pretrained(model).predict(
        [{"id": number, "utterances": spoken} for number, spoken in turns.items()]
    )
    for name, how in (("chats.json", ()), ("chats.csv", ("--input-format=json",))):
        options = ("--model", model, "--input", tmp_path / name, "--output", tmp_path / "o.jsonl")
        done = eacl("predict", *options, *how, "--restart")
        assert done.status == 0, done.errors
        answered = [json.loads(line) for line in (tmp_path / "o.jsonl").read_text().splitlines()]
        assert [u.pop("turn", "") for a in answered for u in a["utterances"]] == (
            ["1", "2", "1"] if how else [""] * 3
        )
        assert same(answered, [each.to_json() for each in expected])
        assert ("fields 'emotion' are not carried through" in done.errors) is (not how)


def test_labels_of_any_form_are_in_nobodys_way(eacl, model, stub, tmp_path):
    """An object of annotators comes back as other fields do; what answers are called is noted."""
    votes = {"anno_1": "joy", "anno_2": None}
    utterance = {"speaker": "Ann", "text": "hi", "labels": votes, "Emotion": ["joy", "anger"]}
    (tmp_path / "chats.json").write_text(json.dumps([{"id": "1", "utterances": [utterance]}]))
    done = eacl("predict", f"--model={model}", f"--input={tmp_path / 'chats.json'}", "--output=-")
    assert done.status == 0, done.errors
    (answer,) = json.loads(done.output)["utterances"]
    assert (answer["labels"], type(answer["emotion"])) == (votes, str)
    assert "fields 'emotion' are not carried through" in done.errors


def test_parquet_with_times_and_what_is_no_number(eacl, model, tmp_path):
    at = datetime.datetime(2024, 1, 1, 10)
    columns = {
        "chat": ["1", "1"],
        "author": ["Ann", "Bob"],
        "message": ["the day", "it is rude"],
        "at": [at, at],
        "n": [1.5, float("nan")],
    }
    parquet.write_table(pyarrow.table(columns), tmp_path / "chats.parquet")
    options = ("--input", tmp_path / "chats.parquet", "--output", tmp_path / "o.jsonl")
    done = eacl("predict", "--model", model, *options, "--fields=other")
    assert done.status == 0, done.errors
    utterances = json.loads((tmp_path / "o.jsonl").read_text())["utterances"]
    assert utterances == [{"at": str(at), "n": 1.5}, {"at": str(at), "n": None}]
    options = (*options[:3], tmp_path / "o.csv")
    done = eacl("predict", "--model", model, *options, "--fields=other,text")
    assert done.status == 0, done.errors
    rows = list(csv.reader((tmp_path / "o.csv").read_text(encoding="utf-8-sig").splitlines()))
    assert rows == [
        ["at", "n", "dialogue", "utterance", "text"],
        [str(at), "1.5", "1", "0", "the day"],
        [str(at), "", "1", "1", "it is rude"],
    ]


@pytest.mark.slow
def test_what_to_know_about_the_answers_is_counted(eacl, model, tmp_path, monkeypatch):
    monkeypatch.setattr(EmotionRecognizer, "look", lambda self, texts: Look(len([*texts]), 3))
    long = "the day is wonderful " * 60
    text = f"the table isn&#39;t wonderful\nAnn: {long}\nBob: 我们 拿到 公寓 了 我们 拿到 公寓 了\n"
    text += "System: Ann joined the chat\n"
    options = (
        "--model",
        model,
        "--input=-",
        "--input-format=txt",
        "--labels",
        "\x1b[2Jjoy=joy,anger",
        "--output",
    )
    done = eacl("predict", *options, tmp_path / "out.jsonl", given=text.encode())
    lines = done.errors.splitlines()[2:]
    assert len(lines) == 8
    assert "longer than the model reads: its end was answered (--on-long)" in lines[0]
    assert "what the model's tokenizer does not know" in lines[1]
    assert lines[2] == f"2 {ALONE}"
    assert "1 text holds HTML, such as &#39; or <br>, which is read as words" in lines[3]
    assert lines[4].startswith("1 text is what a chat program notes, such as <Media omitted>, and")
    assert "1 utterance names no speaker; it counts as one speaker's, 'Speaker'" in lines[5]
    assert lines[6].startswith(
        "3 of 4 texts, short ones taken together, may be in another language"
    )
    assert "which label is likelier counts, not how likely it is" in lines[7]
    assert "\x1b" not in done.errors
    expected = EmotionRecognizer.from_pretrained(model).with_labels(
        {"\x1b[2Jjoy": "joy", "anger": "anger"}
    )
    (found,) = map(json.loads, (tmp_path / "out.jsonl").open())
    assert same(found, expected.predict({"id": "1", "transcript": text}).to_json())
    pooled = eacl("predict", *options, "-", "--on-long=pool", given=text.encode())
    assert "the mean of its parts was answered" in pooled.errors
    assert same(
        json.loads(pooled.output),
        expected.predict({"id": "1", "transcript": text}, on_long="pool").to_json(),
    )
    refused = eacl("predict", *options, "-", "--on-long=refuse", given=text.encode())
    assert refused.errors.splitlines()[-1].startswith(
        "error: standard input line 2: dialogue '1' utterance 1: its text has 240 tokens"
    )


def test_long_dialogue_is_the_librarys(eacl, model, tmp_path):
    """A real recognizer: pieces with the past that their prompts hold."""
    words = ("wonderful", "rude", "table", "the end", "good day")
    text = "".join(
        f"{'Ann' if n % 2 else 'Bob'}: {words[n % 5]} {words[n % 3]}\n" for n in range(20)
    )
    expected = EmotionRecognizer.from_pretrained(model).predict(text)
    done = eacl(
        "predict",
        "--model",
        model,
        "--input=-",
        "--input-format=txt",
        "--output=-",
        "--batch-size=1",
        given=text.encode(),
    )
    assert same(json.loads(done.output), expected.to_json())


def test_output_whose_folder_goes(eacl, model, stub, tmp_path, monkeypatch):
    folder = tmp_path / "folder"
    folder.mkdir()
    represent = stub.represent
    monkeypatch.setattr(
        stub,
        "represent",
        lambda examples: shutil.rmtree(folder, ignore_errors=True) or represent(examples),
    )
    done = eacl(
        "predict",
        "--model",
        model,
        "--input",
        jsonl(tmp_path / "chats.jsonl"),
        "--output",
        folder / "out.jsonl",
    )
    assert (done.status, done.errors.count("\n")) == (2, 1)
    assert f"cannot write {folder}/out.jsonl: No such file or directory" in done.errors


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--input=chats.jsonl", "--output=-", "--output-format=csv"],
            "--output: standard output is closed; name a file",
        ),
        (
            ["--output=out.jsonl", "--input=-", "--input-format=txt"],
            "--input: standard input is closed; name a file",
        ),
    ],
)
def test_standard_streams_that_are_closed(
    eacl, model, stub, tmp_path, monkeypatch, arguments, message
):
    monkeypatch.chdir(tmp_path)
    jsonl(tmp_path / "chats.jsonl")
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(io, "TextIOWrapper", lambda _: None)  # the standard input that `eacl` gives
    done = eacl("predict", "--model", model, *arguments)
    assert (done.status, message in done.errors) == (2, True)


@pytest.mark.parametrize("name", ["chats.jsonl", "out.jsonl.part", "out.jsonl.errors.jsonl"])
def test_input_that_would_be_written_over(eacl, model, stub, tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    before = jsonl(tmp_path / name).read_bytes()
    os.link(name, "link.jsonl")
    output = "chats.jsonl" if name == "chats.jsonl" else "out.jsonl"
    for arguments in (
        ["--input=link.jsonl", f"--output={output}"],
        [f"--input={name}", f"--output={output}"],
    ):
        done = eacl("predict", f"--model={model}", *arguments, "--input-format=jsonl", "--restart")
        assert (
            done.status,
            f"--output: {name}, which is written, is the input" in done.errors,
        ) == (2, True)
    monkeypatch.setattr(sys, "stdout", Stdout(os.open(name, os.O_WRONLY | os.O_APPEND)))
    done = eacl("predict", f"--model={model}", "--input=link.jsonl", "--output=-")
    assert "--output: standard output, which is written, is the input" in done.errors
    assert Path(name).read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--input=no.jsonl"], "--input: no.jsonl does not exist; name a file of dialogues"),
        (
            ["--input=folder.csv"],
            "--input: folder.csv is a folder; name a file of dialogues. All files of it, each with"
            " its answers in another folder that is there:\n  for f in folder.csv/*; do eacl predict",
        ),
        (
            ["--input=chats.log"],
            (
                "the name of chats.log ends in none of .jsonl, .ndjson, .csv, .tsv, .txt, .vtt,"
                " .srt, .json, .parquet (each also with .gz); give --input-format, one of jsonl,"
                " csv, tsv, txt, json."
            ),
        ),
        (
            ["--input=book.xlsx"],
            "--input: book.xlsx is a zip archive or an Excel workbook: unpack it, or save it as",
        ),
        (
            ["--input=-"],
            "--input-format must be given beside --input=-, one of jsonl, csv, tsv, txt",
        ),
        (["--input=-", "--input-format=json"], "json is read whole, from a file: name one"),
        (["--input=chats.json"], "chats.json (as JSON lines) holds no dialogue"),
        (["--input=empty.jsonl"], "empty.jsonl holds no dialogue"),
        (["--input=empty.txt"], "empty.txt holds no dialogue"),
        (["--input=empty.vtt"], "empty.vtt holds no dialogue"),
        (["--input=empty.srt"], "empty.srt holds no dialogue"),
        (
            ["--input=empty.csv"],
            "empty.csv is empty; its first line must name the columns dialogue, speaker, text",
        ),
        (["--output=out.xml"], "the name of out.xml ends in none of .jsonl, .csv"),
        (["--output=no/out.jsonl"], "there is no folder"),
        (
            ["--output=chats.jsonl"],
            "chats.jsonl, which is written, is the input; name another file",
        ),
        (["--input=folder.csv/x.csv"], "does not exist"),
        (["--input=chats.jsonl/x.csv"], "--input: cannot read chats.jsonl/x.csv: Not a directory"),
        (["--output=chats.jsonl/x.csv"], "there is no folder"),
        (
            ["--input=~nobody-of-that-name/x.csv"],
            "--input: ~nobody-of-that-name/x.csv: the home folder that ~ stands for is not known",
        ),
        (["--output", "a" * 250 + ".csv"], "csv: File name too long; mend that"),
        (["--output=out.jsonl.gz"], "the name of out.jsonl.gz ends in none of .jsonl, .csv"),
        (["--fields=mood"], "fields: 'mood' is none of speaker, text, emotion"),
        (["--on-long=drop"], "Invalid value for '--on-long'"),
        (
            ["--output=there.jsonl"],
            "there.jsonl is there; name another output, or give --restart to replace it",
        ),
        (["--shard=3/2"], "shard must be I/N with I from 1 to N"),
        (["--labels=joy;anger"], "--labels: 'joy;anger' has semicolons; put commas between labels"),
        (["--labels=joy,joy"], "--labels repeat: 'joy' is there twice"),
        (["--labels=joy,=x"], "--labels: '=x' is neither LABEL=WORD nor LABEL"),
        (["--batch-size=0"], "Invalid value for '--batch-size'"),
        (["--stage=three"], "Invalid value for '--stage'"),
        (["--bogus"], "No such option: --bogus"),
        (["--model=nowhere"], "there is no folder nowhere; the current folder holds"),
        (
            ["--model=folder.csv"],
            "folder.csv is no model's folder: config.json and heads.safetensors are missing",
        ),
        (
            ["--text-column=words", "--input=table.csv"],
            "no column 'words'; its columns are 'dialogue', 'speaker', 'text'",
        ),
        (["--text-column=words"], "--text-column: fields of JSON lines have fixed names; to read"),
        (["--dialogue-column=none", "--input=empty.vtt"], "--dialogue-column: text has no columns"),
        (
            ["--dialogue-column=Chat", "--input=tabs.txt"],
            "leave it out. A table, whose first line names its columns, is read with --input-format"
            " csv, also where tabs stand between cells.\n",
        ),
        (["--input=tabs.txt"], "leave the tabs out. A table, whose first line names its columns,"),
    ],
)
def test_mistakes(eacl, model, stub, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    jsonl(tmp_path / "chats.jsonl")
    for name in (
        "empty.jsonl",
        "empty.txt",
        "empty.vtt",
        "empty.srt",
        "empty.csv",
        "chats.json",
        "chats.log",
        "there.jsonl",
    ):
        (tmp_path / name).write_text("")
    (tmp_path / "table.csv").write_text("dialogue,speaker,text\n")
    (tmp_path / "tabs.txt").write_text("Chat\tWer\tWas\n1\tAnn\tNein!\n", "utf-16")
    (tmp_path / "folder.csv").mkdir()
    (tmp_path / "book.xlsx").write_bytes(b"PK\x03\x04\x14\x00")
    names = [each.partition("=")[0] for each in arguments]
    usual = {"--model": model, "--input": "chats.jsonl", "--output": "out.jsonl"}
    others = [f"{name}={value}" for name, value in usual.items() if name not in names]
    done = eacl("predict", *others, *arguments)
    assert done.status == 2
    assert done.errors.startswith("error: ")
    assert message in done.errors
    assert "Traceback" not in done.errors
    assert not (tmp_path / "out.jsonl").exists()


class Stdout:
    """Standard output that goes to a descriptor."""

    def __init__(self, descriptor: int) -> None:
        self.buffer = io.FileIO(descriptor, "wb")
        self.fileno = self.buffer.fileno
        self.isatty = self.buffer.isatty

    def flush(self) -> None:
        """Nothing is kept back."""


@pytest.mark.parametrize(
    "content",
    [
        '{"dialogue": "1", "speaker": "Ann", "text": "it is wonderful"}\n',
        '{"messages": [{"role": "user", "content": "it is wonderful"}]}\n',
        '[\n{"id": "1", "utterances": ["Ann: it is wonderful"]}\n]\n',
    ],
)
def test_other_json_by_the_name_of_json_lines(eacl, model, stub, tmp_path, monkeypatch, content):
    """The error names the option with which it is read."""
    monkeypatch.chdir(tmp_path)
    Path("chats.jsonl").write_text(content)
    arguments = ["predict", "--model", model, "--input=chats.jsonl", "--output=out.jsonl"]
    done = eacl(*arguments)
    assert done.status == 2
    assert "name it 'id'" not in done.errors
    assert done.errors.endswith("is read with --input-format json.\n")
    done = eacl(*arguments, "--input-format", "json")
    assert done.status == 0, done.errors
    assert "--input-format" not in done.errors
    assert len(json.loads(Path("out.jsonl").read_text())["utterances"]) == 1


@pytest.mark.skipif(
    not Path("/dev/full").exists(), reason="the system has no device that is always full"
)
def test_standard_output_that_is_full(eacl, model, stub, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "stdout", Stdout(os.open("/dev/full", os.O_WRONLY)))
    done = eacl(
        "predict", "--model", model, "--input", jsonl(tmp_path / "chats.jsonl"), "--output=-"
    )
    assert (done.status, done.errors) == (
        2,
        "error: cannot write to standard output: No space left on device.\n",
    )


def test_standard_output_that_nobody_reads(eacl, model, stub, tmp_path, monkeypatch):
    """`eacl predict ... | head` ends without a word."""
    reader, writer = os.pipe()
    os.close(reader)
    monkeypatch.setattr(sys, "stdout", Stdout(writer))
    done = eacl(
        "predict", "--model", model, "--input", jsonl(tmp_path / "chats.jsonl"), "--output=-"
    )
    assert (done.status, done.errors) == (141, "")


ROWS = {"joy": (1.0, -0.5, 0.2), "anger": (-0.3, 1.5, 0.0), "neutral": (0.1, -0.2, 0.8)}
CHAIN = {"start": (0.5, -0.5, 0.0), "same": ROWS, "other": ROWS}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("prompt", "chain"), [({"max_future": 1, "max_past": 1}, None), ({}, CHAIN)]
)
def test_later_utterances_count_wherever_a_dialogue_would_be_cut(
    eacl, model, tmp_path, prompt, chain
):
    """Of dialogues longer than what is predicted at once, as of all."""
    shutil.copytree(model, tmp_path / "model")
    file = tmp_path / "model" / "config.json"
    settings = json.loads(file.read_text())
    settings["prompt"] |= prompt
    settings["chain"] = chain
    file.write_text(json.dumps(settings))
    words = ["wonderful", "rude", "table", "awful", "great"]
    utterances = [{"speaker": "Ann", "text": f"it is {words[n % 5]}"} for n in range(40)]
    given = tmp_path / "long.jsonl"
    given.write_text(json.dumps({"id": "1", "utterances": utterances}) + "\n")
    out = tmp_path / "out.jsonl"
    done = eacl(
        *("predict", "--model", tmp_path / "model", "--input", given, "--output", out),
        *("--batch-size", "1"),
    )
    assert done.status == 0, done.errors
    (answer,) = map(json.loads, out.read_text().splitlines())
    expected = EmotionRecognizer.from_pretrained(tmp_path / "model").predict(
        {"id": "1", "utterances": utterances}
    )
    for one, other in zip(answer["utterances"], expected, strict=True):
        assert one["probabilities"] == pytest.approx(other.probabilities, abs=1e-4)
