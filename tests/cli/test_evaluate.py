"""`eacl evaluate` on a file of one's own, and what it says with `eacl adapt` of emotions that are
no labels.
"""

import csv
import dataclasses
import io
import json
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from eacl_jax.cli import annotated, huge_pages
from eacl_jax.cli.scores import print_scores
from eacl_jax.config import Config, EvaluationConfig
from eacl_jax.data.pieces import Look
from eacl_jax.dialogue import Dialogue, Utterance
from eacl_jax.errors import UserError
from eacl_jax.model.abstention import LabelSets
from eacl_jax.recognizer.ensemble import Ensemble
from eacl_jax.recognizer.learnt import Learnt
from eacl_jax.recognizer.prediction import ALONE, Prediction
from eacl_jax.recognizer.recognizer import EmotionRecognizer
from eacl_jax.recognizer.scoring import Tally
from eacl_jax.training import evaluation, run_folder
from tests.recognizer.test_scoring import LABELS, answered

ROWS = [
    ("Ann", "great", "joy"),
    ("Bob", "rude", "anger"),
    ("Ann", "table", ""),
    ("Bob", "lovely", "joy"),
    ("Ann", "window", "joy"),
]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Writes a file of two dialogues, in the current folder, with other names for its emotions."""
    monkeypatch.chdir(tmp_path)

    def file(**names: str) -> str:
        rows = [
            f"{1 + number // 3},{who},{text},{names.get(mood, mood)}"
            for number, (who, text, mood) in enumerate(ROWS)
        ]
        (tmp_path / "chats.csv").write_text("\n".join(["dialogue,speaker,text,emotion", *rows]))
        return "chats.csv"

    return file


def test_it_is_reported_what_a_model_has_learnt_from(eacl, model: Path, write, tmp_path) -> None:
    """By itself; every model of several by its name."""
    knowing = EmotionRecognizer.from_pretrained(model)
    utterances = tuple(Utterance(who, text, mood or None) for who, text, mood in ROWS[:3])
    knowing.learnt = Learnt(whole=True).and_("trained", [Dialogue("other", utterances)])
    knowing.save_pretrained(tmp_path / "knowing")
    options = ("--input", write(), "--json=scores.json")
    done = eacl("evaluate", "--model", tmp_path / "knowing", *options)
    sentence = "2 of 4 annotated utterances are, with all utterances before them, among those that"
    assert f"{sentence} the model has learnt from: scores say" in " ".join(done.errors.split())
    done = eacl("evaluate", "--model", model, "--also-model", tmp_path / "knowing", *options)
    assert f"{sentence} the model {tmp_path / 'knowing'} has" in " ".join(done.errors.split())
    assert json.loads(Path("scores.json").read_text())["learnt_from"] == {
        str(model): None,  # it does not know
        str(tmp_path / "knowing"): {"trained": 2, "chosen": 0, "of": 4},
    }


def test_what_to_know_of_the_answers_is_reported(eacl, model: Path, write, monkeypatch) -> None:
    """Without room for the utterances before, and perhaps in another language."""
    file = Path(write())
    file.write_text(file.read_text().replace("lovely", "lovely " * 90))
    seen = []
    monkeypatch.setattr(
        EmotionRecognizer, "look", lambda self, texts: seen.append([*texts]) or Look(4, 4)
    )
    done = eacl("evaluate", "--model", model, "--input", file)
    assert f"1 {ALONE}" in done.output.decode()
    assert "4 of 4 texts, short ones taken together, may be in another language" in " ".join(
        done.errors.split()
    )
    assert len(seen[0]) == len(ROWS)


def test_scores_are_those_of_the_answers(eacl, model: Path, write) -> None:
    done = eacl("evaluate", "--model", model, "--input", write(), "--json=scores.json")
    assert (done.status, done.errors) == (0, "")
    text = done.output.decode()
    assert text.startswith(
        "chats.csv: 4 annotated utterances in 2 dialogues; 1 without an emotion is not scored\n"
    )
    scores = json.loads(Path("scores.json").read_text())
    dialogues = [
        [{"speaker": who, "text": text} for who, text, _ in ROWS[start:end]]
        for start, end in ((0, 3), (3, 5))
    ]
    answers = [
        answer
        for each in EmotionRecognizer.from_pretrained(model).predict(dialogues)
        for answer in each
    ]
    gold = [mood for _, _, mood in ROWS]
    for i, mood in enumerate(scores["labels"]):
        for j, answer in enumerate(scores["labels"]):
            pairs = zip(gold, answers, strict=True)
            assert scores["confusion"][i][j] == sum(
                (m, a.emotion) == (mood, answer) for m, a in pairs
            )
    assert f"accuracy {scores['summary']['accuracy']:.2f}" in text
    assert f"expected calibration error {scores['calibration_error']:.2f}" in text


def test_several_models_answer_by_their_mean(eacl, model: Path, write, tmp_path: Path) -> None:
    turned = EmotionRecognizer.from_pretrained(model).with_labels("neutral=table,anger,joy")
    turned.save_pretrained(tmp_path / "other")
    file = write()
    command = ("evaluate", "--model", model, "--input", file, "--json=scores.json")
    done = eacl(*command, "--also-model", tmp_path / "other")
    assert (done.status, done.errors) == (0, "")
    scores = json.loads(Path("scores.json").read_text())
    assert scores["also_models"] == [str(tmp_path / "other")]
    dialogues = [
        [{"speaker": who, "text": text} for who, text, _ in ROWS[start:end]]
        for start, end in ((0, 3), (3, 5))
    ]
    answers = Ensemble.from_pretrained([model, tmp_path / "other"]).predict(dialogues)
    found = [each.confidence for answer in answers for each in answer]
    mean = 100 * np.mean([p for p, (_, _, mood) in zip(found, ROWS, strict=True) if mood])
    assert scores["confidence"] == pytest.approx(mean)


@pytest.mark.slow_after(1)
@pytest.mark.parametrize(
    ("names", "command"),
    [
        ({"joy": "Joy"}, "adapt --output new"),
        ({"joy": "glee"}, "evaluate"),
        ({"joy": "awful", "anger": "lovely"}, "adapt --output new"),
        ({"joy": "a [b]"}, "evaluate"),
    ],
)
def test_emotions_that_are_no_labels_are_reported_with_options_that_work(
    eacl, model: Path, write, names, command: str
) -> None:
    arguments = (*command.split(), "--model", model, "--input", write(**names))
    refused = eacl(*arguments)
    assert (refused.status, refused.output) == (2, b"")
    assert f"not among the labels joy, anger, neutral: {names['joy']!r} (3)" in refused.errors
    options = re.findall(r"^  (--(?:map|labels) .+?)   ", refused.errors, re.MULTILINE)
    # Labels of the file alone leave out those of the model's that it does not have: "neutral", and
    # would have both "joy" and "Joy" if they were beside them.
    one = names in ({"joy": "Joy"}, {"joy": "awful", "anger": "lovely"})
    assert len(options) == (1 if one else 2)
    assert (options[0] == "--map Joy=joy") == (names["joy"] == "Joy")
    for option in options:
        assert not Path("new").exists()
        if "=WORD" in option:
            unfilled = eacl(*arguments, *shlex.split(option))
            assert "WORD stands for what says what" in unfilled.errors
            option = option.replace("=WORD", "")
        done = eacl(*arguments, *shlex.split(option))
        assert done.status == 0, done.errors
        if Path("new").exists():
            Path("new").rename(f"new for {option[:6]}")


def test_one_emotion_alone(eacl, model: Path, write) -> None:
    """Is no set of labels: the model's stay beside it."""
    refused = eacl(
        "adapt", "--output=new", "--model", model, "--input", write(joy="glee", anger="")
    )
    assert re.findall(r"^  (--.+?)   ", refused.errors, re.MULTILINE) == [
        "--labels joy,anger,neutral,glee=WORD"
    ]


def test_a_label_typed_wrong_is_mapped_to_the_right_one(eacl, model: Path, write) -> None:
    refused = eacl("evaluate", "--model", model, "--input", write(anger="angre"))
    assert "  --map angre=anger   " in refused.errors


@pytest.mark.parametrize("sign", ["'{}'", '"""{}"""', "“{}”", "[{}]", "{}."])
def test_signs_around_a_label_are_mapped_away(eacl, model: Path, write, sign: str) -> None:
    """With the line that is printed the label counts in the scores."""
    given = ("evaluate", "--model", model, "--input", write(joy=sign.format("joy")))
    (line,) = re.findall(r"^  (--.+?)   ", eacl(*given).errors, re.MULTILINE)
    done = eacl(*given, *shlex.split(line))
    assert "4 annotated utterances in 2 dialogues" in done.output.decode(), done.errors


def test_labels_in_quotes_are_advised_where_the_option_takes_them(eacl, model: Path, write) -> None:
    refused = eacl("evaluate", "--model", model, "--input", write(joy="'glad'", anger="'mad'"))
    assert refused.errors.endswith(
        " Correct them in the file, without commas, colons, equals signs and quotes.\n"
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "give --model MODEL --input FILE"),
        (("--input", "chats.csv"), "give --model MODEL --input FILE"),
        (("--model", "MODEL", "--run", "."), "give --model MODEL --input FILE"),
        (
            ("--model", "MODEL", "--input", "chats.csv", "--json", "none/x.json"),
            "--json: none/x.json cannot be written",
        ),
        (
            ("--model", "MODEL", "--input", "chats.csv", "--json", "chats.csv"),
            "--json: chats.csv is the input",
        ),
        (
            ("--model", "MODEL", "--input", "chats.csv", "--map", "joy"),
            "'joy' is not EMOTION=LABEL",
        ),
        (
            ("--model", "MODEL", "--input", "chats.csv", "--map", "joy=jooy"),
            "--map: 'jooy' is not among the labels joy, anger",
        ),
        (
            ("--model", "MODEL", "--input", "chats.csv", "--map", "glee=joy"),
            "--map: chats.csv has no emotion 'glee'; it has 'anger'",
        ),
        (
            ("--model", "MODEL", "--input", "chats.csv", "--map", "joy=,anger="),
            "leaves no utterance of chats.csv an emotion",
        ),
        (
            ("--model", "MODEL", "--input", "chats.csv", "--excluded-label", "x"),
            "--excluded-label: 'x' is not among the labels",
        ),
    ],
)
def test_mistakes_in_evaluating(
    eacl, model: Path, write, arguments: tuple[str, ...], message: str
) -> None:
    write()
    done = eacl("evaluate", *(model if argument == "MODEL" else argument for argument in arguments))
    assert (done.status, done.output) == (2, b"")
    assert message in done.errors


@pytest.mark.parametrize(
    "options",
    [
        "--also-model=other",
        "--labels=a,b --map=joy=a --label-columns=a --annotator-columns=b --label-separator=;",
        "--stage=stage_two",  # also where it is what is done without
        "--on-long=refuse --excluded-label=neutral --batch-size=8",
        "--dialogue-column=a --speaker-column=b --text-column=c --emotion-column=d",
        "--features=voice=voice.npz --sounds=.",
        "--runtime=onnx --precision=int8 --revision=v1",
    ],
)
def test_what_is_of_a_model_is_refused_with_a_run(
    eacl, model: Path, tmp_path: Path, options: str
) -> None:
    options = options.replace("=other", f"={model}")
    done = eacl("evaluate", "--run", tmp_path, *options.split())
    assert (done.status, done.output) == (2, b"")
    names = ", ".join(option.partition("=")[0] for option in options.split())
    assert done.errors.startswith(f"error: {names}: with --run one run is scored again")
    assert done.errors.count("\n") == 1


def test_columns_of_labels_among_others_of_0_and_1(eacl, model: Path, tmp_path: Path) -> None:
    """Or of numbers: then the option is named."""
    head = "dialogue,speaker,text,urgent,joy,anger"
    rows = [f"1,{who},{text},1,{text != 'awful':d},{text == 'awful':d}" for who, text, _ in ROWS]
    (tmp_path / "flags.csv").write_text("\n".join([head, *rows]))
    arguments = ("evaluate", "--model", model, "--input", tmp_path / "flags.csv")
    done = eacl(*arguments, "--label-columns=joy, anger")
    assert (done.status, done.errors) == (0, "")
    assert "5 annotated utterances in 1 dialogue\n" in done.output.decode()
    assert eacl(*arguments).status == 2  # several labels, with `urgent`
    done = eacl(*arguments, "--label-columns=joy,angry")
    assert "has no column 'angry', which --label-columns names" in done.errors
    (tmp_path / "flags.csv").write_text("\n".join([head, *rows, "1,Ann,so,7,1,0"]))
    assert "name the labels' columns with --label-columns" in eacl(*arguments).errors


def test_fields_of_labels_in_dialogues(eacl, model: Path, tmp_path: Path) -> None:
    utterances = [
        {"speaker": who, "text": text, "joy": text != "awful", "anger": text == "awful"}
        for who, text, _ in ROWS
    ]
    (tmp_path / "flags.jsonl").write_text(json.dumps({"id": "1", "utterances": utterances}) + "\n")
    arguments = ("evaluate", "--model", model, "--input", tmp_path / "flags.jsonl")
    done = eacl(*arguments, "--label-columns=joy,anger")
    assert (done.status, done.errors) == (0, "")
    assert "5 annotated utterances in 1 dialogue\n" in done.output.decode()
    done = eacl(*arguments, "--label-columns=joy,angry")
    assert "has no field 'angry', which --label-columns names" in done.errors


@pytest.mark.parametrize("command", ["evaluate", "adapt", "prepare"])
def test_a_column_an_annotator_is_named(eacl, model: Path, tmp_path: Path, command: str) -> None:
    """By the commands that read annotated files; `glee` is nobody's label until votes are counted."""
    rows = [f"1,{who},{text},{mood},{mood},{mood and 'glee'}" for who, text, mood in ROWS]
    head = "dialogue,speaker,text,first,second,third"
    (tmp_path / "votes.csv").write_text("\n".join([head, *rows]))
    given = ["--input", tmp_path / "votes.csv"]
    given += ["--precision=int8"] if command == "prepare" else []
    given += ["--output", tmp_path / "new"] if command == "adapt" else []
    done = eacl(command, "--model", model, *given, "--annotator-columns=first, second,fourth")
    assert "has no column 'fourth', which --annotator-columns names" in done.errors
    if command == "evaluate":
        done = eacl(command, "--model", model, *given, "--annotator-columns=first,second,third")
        assert (done.status, done.errors) == (0, "")
        assert "4 annotated utterances in 1 dialogue; 1 without" in done.output.decode()


def test_what_is_of_a_run_is_refused_with_a_model(eacl, model: Path, write) -> None:
    done = eacl("evaluate", "--model", model, "--input", write(), "--split=dev", "--data_dir=there")
    assert (done.status, done.output) == (2, b"")
    assert done.errors.startswith("error: --split, --data-dir: of --run")


def test_a_model_is_no_run(eacl, model: Path) -> None:
    done = eacl("evaluate", "--run", model)
    assert (done.status, done.output) == (2, b"")
    assert done.errors == (
        f"error: --run: {model} is a model's folder, and no run's; to score the model on annotated"
        f" dialogues of your own, give --model {model} --input FILE.\n"
    )


def test_scores_of_a_run_go_to_a_file(
    eacl, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers = dict.fromkeys(("weighted_f1", "accuracy", "macro_f1"), 61.5)
    scores = {"stage_two": {**numbers, "per_class_f1": {"joy": 50.0}}}
    monkeypatch.setattr(run_folder, "read_config", lambda folder: Config())
    monkeypatch.setattr(evaluation, "evaluate", lambda *given, **options: scores)
    file = tmp_path / "scores.json"
    done = eacl("evaluate", "--run", tmp_path, "--split=dev", "--json", file)
    assert done.status == 0, done.errors
    assert json.loads(file.read_text()) == {"run": str(tmp_path), "split": "dev", **scores}
    config = Config(evaluation=EvaluationConfig(excluded_label="neutral"))
    monkeypatch.setattr(run_folder, "read_config", lambda folder: config)
    assert eacl("evaluate", "--run", tmp_path, "--split=dev", "--json", file).status == 0
    assert json.loads(file.read_text())["excluded_label"] == "neutral"
    done = eacl("evaluate", "--run", tmp_path, "--json", tmp_path / "none" / "x.json")
    assert done.status == 2
    assert "--json: " in done.errors


@pytest.mark.parametrize(
    ("more", "confusions"), [(0, "as annotated down"), (25, "the most frequent confusions")]
)
def test_labels_are_printed_as_they_are(more: int, confusions: str) -> None:
    dialogues, answers = answered(20)
    absent = {f"label {number}": 0.0 for number in range(more)}
    answers = [
        dataclasses.replace(answer, probabilities=answer.probabilities | absent)
        for answer in answers
    ]
    tally, out = Tally([*LABELS, *absent]), io.StringIO()
    tally.add(dialogues, answers)
    print_scores("a [b].csv", tally.scores(), Console(file=out, width=80))
    assert out.getvalue().startswith("a [b].csv: ")
    assert confusions in out.getvalue()
    without = tally.scores(excluded_label="[red] neutral")
    print_scores("a", without, Console(file=(summary := io.StringIO()), width=80))
    assert "micro F1 without [red] neutral " in summary.getvalue()
    assert out.getvalue().count("[red] neutral") > 1
    assert max(len(line) for line in out.getvalue().splitlines() if line[0:1] in "│┃└┏") <= 80


def test_how_sure_answers_are_is_printed() -> None:
    """Half of the answers are right; sets of 0.5 and more are of one label."""
    labels, sets = ("joy", "anger"), LabelSets(examples=9, thresholds=(0.5,) * 45 + (0.1,) * 5)
    tally, out = Tally(labels), io.StringIO()
    utterances = tuple(Utterance("Ann", "hi", mood) for mood in ("joy", "anger", "joy", "joy"))
    answers = [
        Prediction("Ann", "hi", "joy", {"joy": p, "anger": 1 - p}, {})
        for p in (0.95, 0.6, 0.8, 0.7)
    ]
    tally.add([Dialogue("1", utterances)], answers)
    scores = tally.scores(sets=sets)
    assert scores.to_json()["sets"][80] == {"coverage": 75.0, "size": 1.0, "single": 100.0}
    print_scores("chats.csv", scores, Console(file=out, width=80), by_logits=True)
    lines = out.getvalue().splitlines()
    assert (
        "answers that are right: 100.0% of the surest 20%, 100.0% of the surest 50%, 75.0% of the"
        " surest 80%, 75.0% of all" in lines
    )
    assert (
        "coverage 95%: 100.0% of the labels are among the possible ones, 1.75 an utterance; 25.0%"
        " have one alone" in lines
    )
    assert "its confidence is by the direction of the classifier's logits, not by" in out.getvalue()


@pytest.mark.parametrize(
    ("chances", "verdict"),
    [((0.75, 0.75, 0.75, 0.75), "they fit"), ((1.0, 0.5, 0.5, 1.0), "they fit on average alone")],
)
def test_probabilities_fit_where_those_of_each_size_do(chances, verdict: str) -> None:
    """Three of four answers are right; one of those that are quite sure is not."""
    tally, out = Tally(("joy", "anger")), io.StringIO()
    utterances = tuple(Utterance("Ann", "hi", mood) for mood in ("anger", "joy", "joy", "joy"))
    answers = [Prediction("Ann", "hi", "joy", {"joy": p, "anger": 1 - p}, {}) for p in chances]
    tally.add([Dialogue("1", utterances)], answers)
    print_scores("chats.csv", tally.scores(), Console(file=out, width=80))
    lines = out.getvalue().splitlines()
    mean = "calibration: on average it gives its answers 75.00%, and 75.00% are right"
    assert f"{mean}: {verdict}" in lines


def test_scores_of_nothing_are_dashes() -> None:
    labels = ("joy", "anger", "fear", "calm")
    tally, out = Tally(labels), io.StringIO()
    chances = dict.fromkeys(labels, 0.25)
    utterances = tuple(Utterance("Ann", "hi", mood) for mood in ("joy", "anger", "joy"))
    answers = [Prediction("Ann", "hi", mood, chances, {}) for mood in ("joy", "joy", "calm")]
    tally.add([Dialogue("1", utterances)], answers)
    print_scores("chats.csv", tally.scores(), Console(file=out, width=80))
    cells = [re.split(r"\s*│\s*", line)[1:-1] for line in out.getvalue().splitlines()]
    found = {row[0]: row[1:4] for row in cells if len(row) == 6}
    assert found["joy"] == ["50.0", "50.0", "50.0"]
    assert found["anger"] == ["–", "0.0", "0.0"]
    assert found["calm"] == ["0.0", "–", "0.0"]
    assert found["fear"] == ["–", "–", "–"]


@pytest.mark.parametrize(
    ("size", "message"),
    [
        (1, "1 utterance is longer than the model reads: it was answered by the end of its text\n"),
        (
            2,
            "2 utterances are texts that the model's tokenizer does not know, or hold no text: their",
        ),
    ],
)
def test_what_holds_of_one_is_written_of_one(size: int, message: str) -> None:
    tally, out = Tally(("joy", "anger")), io.StringIO()
    utterances = tuple(Utterance("Ann", "hi", mood) for mood in ["joy", "anger"][:size])
    chances = {"joy": 0.5, "anger": 0.5}
    answer = Prediction("Ann", "hi", "joy", chances, {}, truncated=True, unknown_text=True)
    tally.add([Dialogue("1", utterances)], [answer] * size)
    print_scores("chats.csv", tally.scores(), Console(file=out, width=80))
    assert message in out.getvalue()


@pytest.mark.parametrize("width", [80, 30])
def test_several_labels_are_printed(width: int) -> None:
    rng = np.random.default_rng(0)
    tally, out = Tally(LABELS, several=True), io.StringIO()
    for row in rng.random((30, 3)):
        of = [
            tuple(label for label, p in zip(LABELS, row, strict=True) if p > at)
            for at in (0.3, 0.5)
        ]
        answer = Prediction(
            "Ann", "text", None, dict(zip(LABELS, row.tolist(), strict=True)), {}, emotions=of[1]
        )
        tally.add([Dialogue("1", (Utterance("Ann", "text", None, of[0]),))], [answer])
    scores = tally.scores(levels={"mood": ("good", "bad", "bad")})
    print_scores("chats.csv", scores, Console(file=out, width=width))
    text = out.getvalue()
    assert scores.sizes is not None
    none, one = (scores.sizes["annotated"][number] for number in (0, 1))
    assert f"labels an utterance: annotated none {none}, one {one}, two" in text
    assert "by mood: weighted F1" in text
    assert ("annotated down, that were answered another" in text) == (width == 80)
    assert f"differ by {scores.calibration_error:.2f} points" in text


@pytest.mark.parametrize("ending", ["jsonl", "csv"])
def test_answers_are_no_annotations_until_somebody_corrects_them(
    eacl, model: Path, write, ending: str
) -> None:
    file = f"answers.{ending}"
    assert eacl("predict", "--model", model, "--input", write(), "--output", file).status == 0
    for command in (("evaluate",), ("adapt", "--output", "new")):
        refused = eacl(*command, "--model", model, "--input", file)
        assert (refused.status, refused.output) == (2, b"")
        assert "so these are answers, and no annotations: correct them" in refused.errors
    text = Path(file).read_text()
    (answered,) = re.findall(r"(?:table.*?)(joy|anger|neutral)", text)[:1]
    other = next(label for label in ("joy", "anger", "neutral") if label != answered)
    before, _, after = text.partition("table")
    Path(file).write_text(before + "table" + after.replace(answered, other, 1))
    done = eacl("evaluate", "--model", model, "--input", file)
    assert done.status == 0
    assert "5 of 5 annotated utterances have the fields of a model's answer" in done.errors
    assert "accuracy 80.00" in done.output.decode()


def test_answers_with_decimal_commas_are_no_annotations_either(eacl, model: Path, write) -> None:
    """As a spreadsheet saves them where numbers have commas."""
    output = ("--output", "answers.csv")
    assert eacl("predict", "--model", model, "--input", write(), *output).status == 0
    with open("answers.csv", encoding="utf-8", newline="") as file:
        rows = [[re.sub(r"^(\d)\.(\d+)$", r"\1,\2", c) for c in row] for row in csv.reader(file)]
    with open("answers.csv", "w", encoding="utf-8", newline="") as file:
        csv.writer(file, delimiter=";").writerows(rows)
    refused = eacl("evaluate", "--model", model, "--input", "answers.csv")
    assert (refused.status, refused.output) == (2, b"")
    assert "so these are answers, and no annotations: correct them" in refused.errors


def test_a_column_of_ones_own_beside_answers_is_annotated(eacl, model: Path, write) -> None:
    output = ("--output", "answers.csv")
    assert eacl("predict", "--model", model, "--input", write(), *output).status == 0
    header, *rows = Path("answers.csv").read_text().splitlines()
    moods = [mood for _, _, mood in ROWS]
    lines = [f"gold,{header}", *(f"{m},{row}" for m, row in zip(moods, rows, strict=True))]
    Path("answers.csv").write_text("\n".join(lines))
    chosen = ("--input", "answers.csv", "--emotion-column", "gold")
    done = eacl("evaluate", "--model", model, *chosen)
    assert (done.status, "fields of a model's answer" in done.errors) == (0, False)
    assert "4 annotated utterances" in done.output.decode()


def test_corrections_alone_are_reported(eacl, model: Path, write) -> None:
    """A column that is filled only where the model was wrong."""
    output = ("--output", "answers.csv")
    assert eacl("predict", "--model", model, "--input", write(), *output).status == 0
    with open("answers.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    for changed, changed_alone in ((rows[:2], True), (rows, False)):
        for row in rows:
            other = "anger" if row["emotion"] == "joy" else "joy"
            right = row["emotion"] if not changed_alone else ""
            row["corrected"] = other if row in changed[:2] else right
        with open("answers.csv", "w", encoding="utf-8", newline="") as file:
            table = csv.DictWriter(file, rows[0])
            table.writeheader()
            table.writerows(rows)
        chosen = ("--input", "answers.csv", "--emotion-column", "corrected")
        done = eacl("evaluate", "--model", model, *chosen)
        assert done.status == 0
        assert (
            "emotions of all 2 annotated utterances are other ones" in done.errors
        ) is changed_alone


@pytest.mark.parametrize(
    "command", [("evaluate",), ("adapt", "--output=new"), ("prepare", "--precision=int8")]
)
def test_a_file_is_read_once_the_program_has_started_anew(
    eacl, model: Path, write, monkeypatch, command: tuple[str, ...]
) -> None:
    order = []

    def read(*_: object, **__: object) -> None:
        order.append("read")
        raise UserError("that is enough")

    monkeypatch.setattr(huge_pages, "use_huge_pages", lambda: order.append("anew"))
    monkeypatch.setattr(annotated, "read", read)
    done = eacl(*command, "--model", model, "--input", write())
    assert "that is enough" in done.errors
    assert order == ["anew", "read"]
