"""`eacl` itself, and the subcommands that do what launch scripts do."""

import ast
import dataclasses
import json
import shlex
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
from typer.core import TyperOption

from eacl_jax.cli.configuration import parse_config
from eacl_jax.config import Config
from eacl_jax.errors import UserError
from eacl_jax.recognizer.recognizer import EmotionRecognizer
from eacl_jax.training import evaluation, run, run_folder
from eacl_jax.training.loop import Interrupted, StopRequest
from tests.stubs.commands import SUBCOMMANDS
from tests.stubs.recognizers import recognizer
from tests.stubs.root import ROOT
from tests.stubs.toys import make_config, make_corpus_files

COMMANDS = (
    "train",
    "study",
    "evaluate",
    "predict",
    "adapt",
    "calibrate",
    "prepare",
    "serve",
    "export",
    "push",
    "encoders",
    "features",
)


def test_help_names_the_commands(eacl):
    for arguments in ((), ("--help",)):
        done = eacl(*arguments)
        assert done.status == 0
        assert all(f" {command} ".encode() in done.output for command in COMMANDS)
    assert eacl("--version").output.decode().strip() == metadata.version("eacl_jax")
    assert "No such command 'predikt'. Did you mean 'predict'?" in eacl("predikt").errors


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_has_help(eacl, command):
    done = eacl(command, "--help")
    assert (done.status, done.errors) == (0, "")


@pytest.mark.parametrize("command", SUBCOMMANDS)
def test_help_is_not_cut_in_a_narrow_terminal(eacl, monkeypatch, command):
    monkeypatch.setattr("typer.rich_utils.MAX_WIDTH", 80)
    assert "…" not in eacl(*command.split(), "--help").output.decode()


def test_help_of_shapes_shows_asterisks(eacl, monkeypatch):
    monkeypatch.setattr("typer.rich_utils.MAX_WIDTH", 100)
    shown = " ".join(eacl("export", "--help").output.decode().replace("│", " ").split())
    assert "separated by commas, * for any number. auto: *x* where the encoder" in shown


def test_help_and_mistakes_do_not_wait_for_jax():
    script = (
        "import sys\nfrom eacl_jax.cli.main import main\nfor line in ('--help', 'predict --help',"
        " 'predict --model=tests/none --input=no.jsonl --output=o.csv',\n    'evaluate"
        " --model=launch/none --input=i.csv', 'predict --model=ann/m --input=no.jsonl"
        " --output=o.csv'):\n    sys.argv = ['eacl', *line.split()]\n    try: main()\n    except"
        " SystemExit: pass\nprint(sorted({'jax', 'flax', 'transformers', 'fastapi'} &"
        " set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.endswith("[]\n")
    lines = done.stderr.splitlines()
    assert [line.partition(";")[0] for line in lines] == [
        "error: there is no folder tests/none (and as tests is here, the hub is not asked)",
        "error: there is no folder launch/none (and as launch is here, the hub is not asked)",
        "error: --input: no.jsonl does not exist",
    ]


def test_train_is_the_launch_script(eacl, tmp_path, monkeypatch):
    """The same settings reach the same function; a configuration imports what stands beside it,
    wherever that is.
    """
    called = []
    monkeypatch.setattr(
        run, "train", lambda *arguments, **options: called.append((arguments, options))
    )
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "shared.py").write_text("EPOCHS = 3\n")
    (tmp_path / "mine" / "own.py").write_text(
        "from eacl_jax.config import Config\nfrom mine.shared import EPOCHS\nfrom ml_collections"
        " import ConfigDict\n\n\ndef get_config(argument=None):\n    config ="
        " ConfigDict(Config().to_dict())\n    config.stage_one.epochs = EPOCHS\n    config.seed ="
        " int(argument)\n    return config\n"
    )
    options = (
        "--config.loss.temperature=0.2",
        "--no-resume",
        "--config.stage_two.epochs",
        "5",
        "--profile=2",
    )
    done = eacl(
        "train", f"--config={tmp_path / 'mine' / 'own.py'}:7", "--workdir=somewhere", *options
    )
    assert done.status == 0, done.errors
    expected = {"stage_one.epochs": 3, "seed": 7, "loss.temperature": 0.2, "stage_two.epochs": 5}
    ((given, options),) = called
    assert given == (make_config(expected), Path("somewhere"))
    assert isinstance(options.pop("stop"), StopRequest)
    assert options == {"resume": False, "profile": 2}


@pytest.mark.parametrize(
    ("script", "program"), [("", "eacl train"), ("launch/train.py", "python launch/train.py")]
)
def test_interrupted_training_says_how_to_go_on(eacl, tmp_path, monkeypatch, script, program):
    def interrupted(*_, **__):
        raise Interrupted

    monkeypatch.setattr(run, "train", interrupted)
    done = eacl(
        "train",
        f"--config={ROOT / 'configs' / 'meld.py'}",
        "--workdir",
        tmp_path / "my run",
        script=script,
    )
    assert done.status == 143
    assert (
        f"run the same command again:\n  {program} --config={ROOT}/configs/meld.py --workdir"
        f" '{tmp_path}/my run'" in (done.output.decode())
    )


@pytest.mark.parametrize(
    ("switch", "resume"), [("--resume", True), ("--no-resume", False), ("--noresume", False)]
)
def test_both_spellings_of_resume(eacl, tmp_path, monkeypatch, switch, resume):
    called = []
    monkeypatch.setattr(run, "train", lambda *_, **options: called.append(options["resume"]))
    eacl("train", f"--config={ROOT / 'configs' / 'meld.py'}", "--workdir", tmp_path, switch)
    assert called == [resume]


def test_a_configuration_from_elsewhere_imports_the_base(eacl, tmp_path, monkeypatch):
    called = []
    monkeypatch.setattr(run, "train", lambda config, *_, **__: called.append(config.seed))
    monkeypatch.setattr(sys, "path", [each for each in sys.path if Path(each).resolve() != ROOT])
    for name in ("configs", "configs.base"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    (tmp_path / "own.py").write_text(
        "from configs.base import build\n\n\ndef get_config(argument=None):\n    return"
        " build(argument, {'seed': 7})\n"
    )
    done = eacl("train", "--config", tmp_path / "own.py", "--workdir", tmp_path / "run")
    assert (done.status, called) == (0, [7]), done.errors


def test_settings_that_nothing_reads_are_reported(eacl, tmp_path, monkeypatch):
    monkeypatch.setattr(run, "train", lambda *_, **__: None)
    recipe = f"--config={ROOT / 'configs' / 'quickstart.py'}"
    for schedule, message in (("epochs", ""), ("cosine", "stage_one.lr_decay: has no effect with")):
        more = f"--config.stage_one.schedule={schedule}"
        done = eacl("train", recipe, "--workdir", tmp_path, more)
        assert done.status == 0
        assert message in done.errors
        assert bool(message) == bool(done.errors)


def test_settings_are_listed_as_they_are_given(eacl, tmp_path):
    meld = f"--config={ROOT / 'configs' / 'meld.py'}:seed=4,fast"
    done = eacl("train", meld, "--helpfull")
    assert (done.status, done.errors) == (0, "")
    given = shlex.split(done.output.decode())
    assert "--config.data.corpus=meld" in given
    assert "--config.seed=4" in given
    assert parse_config(str(ROOT / "configs" / "quickstart.py"), given) == parse_config(
        meld.partition("=")[2], ()
    )
    assert b"\n--config.data.corpus=smalltalk\n" in eacl("train", "--helpfull").output


def test_a_runs_configuration_is_taken_as_it_is_but_for_what_is_named(tmp_path):
    """Also where something in it is read by nothing, as in a search's trials."""
    settings = Config().to_dict()
    settings["stage_one"] |= {"soup_of": "best", "rates": ("predictor/.*=2",)}
    settings["data"]["max_dialogues"] = 3
    run_folder.write_inputs(tmp_path, Config.from_mapping(settings, varied=True), {})
    file = str(tmp_path / run_folder.CONFIG)
    found = run_folder.read_config(tmp_path)
    assert parse_config(file, ()) == found
    assert found.stage_one.soup_of == "best"
    changed = parse_config(file, ["--config.seed=7", "--config.stage_one.rates=('.*=1',)"])
    stage_one = dataclasses.replace(found.stage_one, rates=(".*=1",))
    assert changed == dataclasses.replace(found, seed=7, stage_one=stage_one)
    with pytest.raises(UserError, match=r"takes no argument, got 'seed=1'; change its settings by"):
        parse_config(f"{file}:seed=1", ())
    # What is named now is not there by itself.
    for unread in ("encoder.lora_alpha=32", "anchors.queue=99999", "data.dir='/nowhere'"):
        with pytest.raises(UserError, match=r"config.* leave it at") as refused:
            parse_config(file, [f"--config.{unread}"])
        assert unread.partition("=")[0] in str(refused.value)
        assert "soup_of" not in str(refused.value)
    with pytest.raises(UserError, match=r"there is no setting .*nonsense"):
        parse_config(file, ["--config.nonsense=1"])
    with pytest.raises(UserError, match=r"seed must be a whole number, got 'x'"):
        parse_config(file, ["--config.seed=x"])
    (tmp_path / run_folder.CONFIG).write_text("{")
    with pytest.raises(UserError, match=r"config\.json"):
        parse_config(file, ())
    with pytest.raises(UserError, match=r"there is no file .*gone\.json"):
        parse_config(str(tmp_path / "gone.json"), ())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--config=configs/nothing.py"],
            "--config: there is no file configs/nothing.py; files of configs/ are found from the"
            " project's folder: run the command there",
        ),
        (
            ["--config=configs/quikstart.py:seed=1"],
            "there is no file configs/quikstart.py; did you mean configs/quickstart.py?",
        ),
        (
            ["--confg=configs/meld.py", "--config.seed=1"],
            "Missing option '--config'. Did you mean it by --confg?",
        ),
        (["--config=configs/meld.py:sed=1"], "unknown name 'sed'"),
        (["--config=configs/meld.py", "--config.data.dri=x"], "there is no setting 'dri'. "),
        (
            ["--config=configs/meld.py", "--config.stage_one.epoch=2"],
            "there is no setting 'epoch'. Did you mean \"epochs\"",
        ),
        (
            ["--config=configs/meld.py", "--config.stage_one.epochs=many"],
            "stage_one.epochs must be a whole number, got 'many'",
        ),
        (
            ["--config=configs/meld.py", "--config.loss.temperature=hot"],
            "loss.temperature must be a number, got 'hot'",
        ),
        (
            ["--config=configs/meld.py", "--config.encoder.remat=perhaps"],
            "encoder.remat must be True or False, got 'perhaps'",
        ),
        (
            ["--config=configs/meld.py", "--config.loss.temperature=0"],
            "config.loss.temperature: must be positive",
        ),
        (["--config=configs/meld.py", "--bogus=1"], "bogus"),
        (
            ["--config=configs/meld.py", "extra"],
            "extra is neither an option nor --config.SETTING=VALUE",
        ),
        (["--config.seed=1"], "Missing option '--config'. (--help"),
        (
            ["--config=configs/meld.py", "--config.data.labels=anger, joy"],
            "--config.data.labels: 'anger, joy' is one text; a tuple is written"
            " --config.data.labels=\"('anger','joy')\", and if the commas belong to it"
            " --config.data.labels=\"('anger, joy',)\"\n",
        ),
        (
            ["--config=configs/meld.py", "--config.features.use", "[face,voice]"],
            "a tuple is written --config.features.use=\"('face','voice')\", and if",
        ),
        (  # which the library that reads it takes for a sum
            ["--config=configs/meld.py", "--config.data.labels=dead-pan joy"],
            "'dead-pan joy' is one text; a tuple is written --config.data.labels=\"('dead-pan"
            " joy',)\"\n",
        ),
        (
            ["--config=configs/meld.py", "--config.seed=1", "--config.seed", "2"],
            "--config.seed is given more than once, and takes one value: give it once",
        ),
        (
            ["--config=configs/meld.py", "--config.encoder.remat", "--noconfig.encoder.remat"],
            "--config.encoder.remat is given more than once",
        ),
    ],
)
def test_mistakes_in_training(eacl, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(ROOT)
    done = eacl("train", f"--workdir={tmp_path / 'run'}", *arguments)
    assert done.status == 2
    assert done.errors.startswith("error: ")
    assert message in done.errors
    assert not (tmp_path / "run").exists()


def test_a_comma_that_is_meant_stays():
    meld = str(ROOT / "configs" / "meld.py")
    rows = ["--config.data.levels='mood: good=joy,calm'", "--config.distil.teachers=('a,b',)"]
    config = parse_config(meld, [*rows, "--config.data.labels=joy", "--config.data.labels=calm"])
    assert config.data.levels == ("mood: good=joy,calm",)
    assert config.distil.teachers == ("a,b",)
    assert config.data.labels == ("joy", "calm")


@pytest.mark.parametrize("command", SUBCOMMANDS)
def test_an_option_of_one_value_is_not_given_twice(eacl, command):
    """Typer would keep the last value without a word."""
    for option in SUBCOMMANDS[command].params:
        if isinstance(option, TyperOption) and not (option.multiple or option.is_flag):
            done = eacl(*command.split(), option.opts[0], "1", f"{option.opts[-1]}=2")
            assert (done.status, done.output) == (2, b"")
            assert done.errors.startswith(f"error: {option.opts[0]} is given 2 times; ")


def test_an_option_given_twice_is_named_with_what_to_do(eacl, tmp_path):
    model = f"--model={tmp_path}"
    errors = eacl("predict", model, "--output=o.csv", "--input=a.csv", "--input", "b.csv").errors
    assert errors == (
        "error: --input is given 2 times; it takes one value: give it once, or run the command once"
        " for each value.\n"
    )
    errors = eacl("evaluate", "--map=glad=joy", "--map", "other=").errors
    assert errors == (
        "error: --map is given 2 times; give it once, with commas between all that it lists"
        " (EMOTION=LABEL,...).\n"
    )


def test_evaluate_is_the_launch_script(eacl, tmp_path, monkeypatch):
    numbers = dict.fromkeys(("weighted_f1", "accuracy", "macro_f1"), 61.5)
    scores = {"stage_two": {**numbers, "per_class_f1": {}}}
    called = []
    monkeypatch.setattr(run_folder, "read_config", lambda folder: Config())
    monkeypatch.setattr(
        evaluation, "evaluate", lambda *given, **options: called.append((given, options)) or scores
    )
    (tmp_path / "results.json").write_text(json.dumps({"stage_one": {}, "stage_two": {}}))
    done = eacl("evaluate", "--run", tmp_path, "--split=dev", "--data-dir=there")
    assert (done.status, called) == (0, [((tmp_path, "dev"), {"data_dir": "there"})])
    assert b"61.50" in done.output
    assert eacl("evaluate", "--run", tmp_path / "no").errors.startswith("error: --run: ")


def test_a_value_that_is_no_choice_is_named_with_the_choices(eacl):
    errors = eacl("evaluate", "--run=no", "--split=tset").errors
    assert "Invalid value for '--split': 'tset' is not one of" in errors


def annotated(file: Path, joy: str = "joy") -> Path:
    names = {"joy": joy}
    lines = (
        (ROOT / make_corpus_files(file.parent / "corpus", dialogues=10)["train"])
        .read_text()
        .splitlines()
    )
    records = [json.loads(line) for line in lines]
    for record in records:
        for utterance in record["utterances"]:
            utterance["emotion"] = names.get(utterance["emotion"], utterance["emotion"])
    file.write_text("\n".join(map(json.dumps, records)))
    return file


@pytest.mark.slow
def test_adapt_saves_what_the_library_adapts(eacl, model, tmp_path):
    chats = annotated(tmp_path / "chats.jsonl", joy="glee")
    refused = eacl("adapt", "--model", model, "--input", chats, "--output", tmp_path / "new")
    assert refused.status == 2
    assert "not among the labels joy, anger, neutral: 'glee' (" in refused.errors
    assert "  --labels joy,anger,neutral,glee=WORD   " in refused.errors
    assert not (tmp_path / "new").exists()

    options = ("--labels", "anger,glee=wonderful,neutral", "--output", tmp_path / "new")
    done = eacl("adapt", "--model", model, "--input", chats, *options)
    assert done.status == 0, done.errors
    records = [json.loads(line) for line in chats.open()]
    words = {"anger": "anger", "glee": "wonderful", "neutral": "neutral"}
    expected = EmotionRecognizer.from_pretrained(model).with_labels(words).adapt(records)
    assert str(expected.adaptation) in done.output.decode()
    loaded = EmotionRecognizer.from_pretrained(tmp_path / "new")
    assert loaded.settings == expected.settings
    assert abs(loaded.anchors["stage_two"] - expected.anchors["stage_two"]).max() < 1e-6
    assert (tmp_path / "new" / "README.md").exists()
    again = eacl("adapt", "--model", model, "--input", chats, *options)
    assert again.status == 2
    assert "new is there and not an empty folder" in again.errors


def test_other_labels_are_refused_where_anchors_are_no_words(eacl, tmp_path):
    recognizer(anchor_encoding="none").save_pretrained(tmp_path / "model")
    chats = annotated(tmp_path / "chats.jsonl", joy="glee")
    options = ("--model", tmp_path / "model", "--input", chats, "--output")
    refused = eacl("adapt", *options, tmp_path / "new")
    assert refused.status == 2
    assert "  --map " in refused.errors
    assert "--labels" not in refused.errors
    for command, output in (("adapt", "new"), ("predict", "answers.csv")):
        refused = eacl(command, *options, tmp_path / output, "--labels", "anger,glee,neutral")
        assert refused.status == 2
        assert "this recognizer's anchors were not made of words" in refused.errors
        assert not (tmp_path / output).exists()


def test_adapt_reads_csv(eacl, model, tmp_path):
    rows = [
        "chat,who,what,mood",
        "1,Ann,great,joy",
        "1,Bob,table,",
        "2,Ann,rude,anger",
        "2,Bob,great,joy",
    ]
    (tmp_path / "chats.csv").write_text("\n".join(rows))
    names = (
        "--dialogue-column=chat",
        "--speaker-column=who",
        "--text-column=what",
        "--emotion-column=mood",
    )
    done = eacl(
        "adapt",
        "--model",
        model,
        "--input",
        tmp_path / "chats.csv",
        "--output",
        tmp_path / "new",
        *names,
    )
    assert done.status == 0, done.errors
    assert b"adapted to 2 dialogues\nexamples: joy 2, anger 1, neutral 0" in done.output


def test_calibrate_saves_what_the_library_calibrates(eacl, model, tmp_path):
    chats = annotated(tmp_path / "chats.jsonl")
    options = ("--labels", "anger,joy=wonderful,neutral", "--input", chats)
    asked = ("--coverage=0.9", "--input", chats)
    own = eacl("predict", "--model", model, *options, "--coverage=0.9", "--output", "a.jsonl")
    assert "make a model of these labels with `eacl calibrate`" in own.errors

    done = eacl("calibrate", "--model", model, *options, "--output", tmp_path / "new")
    assert done.status == 0, done.errors
    records = [json.loads(line) for line in chats.open()]
    words = {"anger": "anger", "joy": "wonderful", "neutral": "neutral"}
    before = EmotionRecognizer.from_pretrained(model).with_labels(words)
    expected = before.calibrate(records)
    loaded = EmotionRecognizer.from_pretrained(tmp_path / "new")
    assert loaded.settings == expected.settings
    assert loaded.settings.sets is not None
    was, now = (each.settings.calibration["stage_two"] for each in (before, expected))
    assert was != now
    said = done.output.decode()
    assert f"calibrated on 38 annotated utterances in 10 dialogues\ntemperature {was:.3f}" in said
    assert f"{now:.3f} now: {'less sure' if now > was else 'surer'} of its answers\n" in said
    answered = eacl(
        "predict", "--model", tmp_path / "new", *asked, "--output", tmp_path / "a.jsonl"
    )
    assert answered.status == 0, answered.errors
    again = eacl("calibrate", "--model", model, *options, "--output", tmp_path / "new")
    assert "new is there and not an empty folder" in again.errors


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("no.jsonl", None, "--input names no.jsonl, which does not exist"),
        (
            "chats.txt",
            "Ann: hi",
            (
                "chats.txt is neither a table nor JSON: its first line, 'Ann: hi', must name the"
                " columns"
            ),
        ),
        (
            "chats.csv",
            "dialogue,speaker,text,emotion\n1,Ann,hi,joy\n1,Ann,hm,Joy\n1,Ann,hm,none",
            "'Joy' (1), 'none' (1). Correct the file, or add\n  --map Joy=joy,none=   ",
        ),
        ("chats.jsonl", "", "no utterance has an emotion"),
        ("chats.jsonl", "{", "chats.jsonl line 1: not valid JSON"),
        ("chats.csv", "dialogue,speaker,text\n", "no column 'emotion'"),
        ("chats.csv", "dialogue,speaker,text,joy\n", "and name them with --label-columns.\n"),
    ],
)
def test_mistakes_in_adapting(eacl, model, tmp_path, monkeypatch, name, content, message):
    monkeypatch.chdir(tmp_path)
    if content is not None:
        (tmp_path / name).write_text(content)
    done = eacl("adapt", "--model", model, "--input", name, "--output", "new")
    assert (done.status, done.output) == (2, b"")
    assert done.errors.startswith("error: ")
    assert message in done.errors
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("flag", "said"),
    [
        ("--conversation-ttl=0", "--conversation-ttl must be more than 0 and at most 31,536,000"),
        ("--batch-size=0", "--batch-size must be more than 0 and at most"),
        ("--max-sound-mb=2000", "--max-sound-mb must be more than 0 and at most 256, got 2,000."),
        ("--max-labels=0", "--max-labels must be more than 0 and at most"),
        ("--max-connections=1", "--max-connections must be more than 1 and at most"),
        ("--timeout=nan", "--timeout must be more than 0"),
    ],
)
def test_limits_of_the_service_are_told_by_their_flags(eacl, model, flag, said):
    done = eacl("serve", "--model", model, flag)
    assert done.status == 2
    assert said in done.errors


@pytest.mark.parametrize("script", ["train", "evaluate", "predict", "serve", "encoders"])
def test_launch_scripts_are_the_commands(script):
    done = subprocess.run(
        [sys.executable, f"launch/{script}.py", "--help"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0
    assert f"Usage: eacl {script}" in done.stdout


@pytest.mark.parametrize(
    "script", ["train", "evaluate", "predict", "serve", "encoders", "benchmark"]
)
def test_a_launch_script_is_one_call(script):
    """It reads no flag and catches nothing itself."""
    tree = ast.parse((ROOT / "launch" / f"{script}.py").read_text())
    (guarded,) = (node for node in tree.body if isinstance(node, ast.If))
    (call,) = guarded.body
    assert isinstance(call, ast.Expr)
    assert isinstance(call.value, ast.Call)
    others = {type(node) for node in tree.body if node is not guarded}
    assert others <= {
        ast.Expr,
        ast.Import,
        ast.ImportFrom,
    }  # of `Expr`: the docstring, and where the checkout lies


@pytest.mark.slow
def test_the_benchmark_tells_its_flags_and_mistakes():
    command = [sys.executable, "launch/benchmark.py"]
    done = subprocess.run(
        [*command, "--task=train", "--encoder=base", "--peers=slow"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr.count("\n"), done.stderr[:7]) == (2, 1, "error: ")
    done = subprocess.run([*command, "--preset=slow"], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr[:45]) == (
        2,
        "error: the command line cannot be used: flag ",
    )
    assert (
        "--encode_examples"
        in subprocess.run([*command, "--help"], cwd=ROOT, capture_output=True, text=True).stdout
    )
