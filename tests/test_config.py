"""The configuration is checked whole, and the files in configs/ say what the method says."""

import contextlib
import dataclasses
import importlib
import json
import re

import pytest

from eacl_jax.config import (
    CORPORA,
    READ_BY,
    AnchorConfig,
    Config,
    DataConfig,
    LossConfig,
    parse_argument,
    parse_rate,
)
from eacl_jax.corpora import builder_class
from eacl_jax.dialogue import SPLITS
from eacl_jax.errors import UserError


def load(name, argument=None):
    return Config.from_mapping(importlib.import_module(f"configs.{name}").get_config(argument))


def test_round_trip():
    config = load("dailydialog", "seed=3,compat")
    assert Config.from_mapping(config.to_dict()) == config


@pytest.mark.parametrize("name", ["meld", "emorynlp", "iemocap", "dailydialog"])
def test_corpus_configs_hold_the_papers_recipe(name):
    config = load(name)
    assert config.data.corpus == name
    assert config.encoder.path == "princeton-nlp/sup-simcse-roberta-large"
    assert (config.stage_one.epochs, config.stage_one.batch_size) == (8, 64)
    assert (config.stage_one.encoder_lr, config.stage_one.head_lr, config.stage_one.lr_decay) == (
        1e-5,
        4e-4,
        0.5,
    )
    assert (config.stage_one.weight_decay, config.stage_one.clip_norm, config.model.dropout) == (
        0.01,
        5.0,
        0.1,
    )
    assert (
        config.loss.temperature,
        config.loss.ce_weight,
        config.loss.angle_weight,
        config.loss.form,
    ) == (0.1, 0.1, 0.1, "in")
    assert (config.stage_two.epochs, config.stage_two.batch_size, config.stage_two.lr) == (
        10,
        64,
        1e-4,
    )
    assert (config.prompt.max_tokens, config.prompt.max_past, config.readout) == (256, 8, "mask")
    assert not any(vars(config.compat).values())


def test_dailydialog_is_scored_without_neutral():
    evaluation = load("dailydialog").evaluation
    assert (evaluation.primary, evaluation.excluded_label) == ("micro_f1", "neutral")


def test_argument():
    config = load("meld", "encoder=some/encoder,seed=7,compat")
    assert (config.encoder.path, config.seed, config.readout) == ("some/encoder", 7, "first")
    assert all(vars(config.compat).values())
    assert load("meld", "runlocal").data.max_dialogues > 0
    assert (
        load("quickstart", "encoder=x").encoder.sha256 == ""
    )  # the checksum belongs to the encoder that was replaced


def test_a_revision_is_of_the_encoder_that_was_replaced(tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    config = Config.from_mapping({"encoder": {"path": "x/y", "revision": "0123abc"}})
    (run / "config.json").write_text(json.dumps(config.to_dict()))

    def base_of(name, argument):
        return importlib.import_module(f"configs.studies.{name}").get_config(argument)

    assert base_of("ablation", f"run={run}").base.encoder.revision == "0123abc"
    other = base_of("ablation", f"run={run},encoder=other/hub").base.encoder
    assert (other.path, other.revision) == ("other/hub", "main")
    axes = base_of("backbones", f"run={run},encoder=x/y+other/hub").axes
    assert axes["encoder"]["y"] == {}
    assert axes["encoder"]["hub"]["encoder.revision"] == "main"


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("sed=1", "unknown name 'sed'"),
        ("seed", "seed needs a value; known: encoder="),
        ("seed=x", "seed must be a whole number, got 'x'"),
        ("seed=", "seed needs a value"),
        ("compat=maybe", "compat must be true or false, got 'maybe'"),
        ("seed=1,seed=2", "'seed' is given twice"),
        ("runlocal,,compat", "unknown name ''"),
    ],
)
def test_argument_is_strict(argument, message):
    with pytest.raises(UserError, match=f"config argument '.*': {message}"):
        load("meld", argument)


def test_argument_types():
    assert parse_argument("rate=0.5,off=false", rate=1.0, off=True, name="a") == {
        "rate": 0.5,
        "off": False,
        "name": "a",
    }
    # A type: whether it was given shows.
    assert parse_argument("n=0", n=int, m=int) == {"n": 0, "m": None}


def test_the_last_equals_sign_of_a_rate_divides_it():
    pattern, factor = parse_rate("encoder/(?=layers/).*=1e-1")
    assert factor == 0.1
    assert pattern.fullmatch("encoder/layers/0/attention/query/kernel")
    assert not pattern.fullmatch("encoder/embeddings/norm/scale")


def test_all_problems_are_reported_at_once():
    mapping = Config().to_dict()
    mapping["loss"]["temperature"] = 0
    mapping["stage_one"]["epochs"] = 0
    mapping["data"]["words"] = ("glad",)
    with pytest.raises(UserError) as caught:
        Config.from_mapping(mapping)
    for part in (
        "config.loss.temperature: must be positive",
        "config.stage_one.epochs",
        "config.data.words",
    ):
        assert part in str(caught.value)


@pytest.mark.parametrize(
    ("source", "encoding"), [("words", "fixed"), ("learned", "fixed"), ("live", "live")]
)
def test_no_other_words_count_where_the_mapping_has_learnt_nothing_of_words(source, encoding):
    config = Config(anchors=AnchorConfig(source=source))
    assert config.anchor_encoding == encoding
    without = dataclasses.replace(config, loss=LossConfig(use_anchors=False))
    assert without.anchor_encoding == "none"


@pytest.mark.parametrize(
    ("group", "name", "value"),
    [("anchors", "source", "random"), ("loss", "use_anchors", False), ("loss", "balanced", True)],
)
def test_what_a_classifier_alone_has_no_use_for_is_refused(group, name, value):
    mapping = Config().to_dict()
    mapping[group][name] = value
    Config.from_mapping(mapping)
    mapping["loss"]["ce_weight"] = 1.0
    with pytest.raises(UserError, match=f"config.{group}.{name}: has no effect with"):
        Config.from_mapping(mapping)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"dir": "mine"}, r'dir: is the folder .*"smalltalk" is not .*custom.* leave it at \'\''),
        ({"text_column": "text"}, r'text_column: is for data\.corpus="custom" only'),
        ({"label_columns": ("joy",)}, r"label_columns: is for .* leave it at \(\), got \(\'joy"),
        ({"corpus": "meld", "label_separator": ";"}, r'label_separator: is for .*"custom" only'),
        ({"corpus": "meld", "language": "deu"}, r'language: is for data\.corpus="brighter" only'),
        ({"corpus": "custom", "dir": "mine"}, r'dir: is the folder .*"custom" is not'),
    ],
)
def test_what_a_corpus_does_not_read_is_refused(data, message):
    if data.get("corpus") == "custom":
        data |= {split: f"{split}.csv" for split in SPLITS}
    with pytest.raises(UserError, match=rf"config\.data\.{message}"):
        Config.from_mapping({"data": data})
    Config.from_record({"data": data})  # a run that was made before


def test_another_corpus_may_read_what_the_runs_own_does_not():
    data = {"corpus": "goemotions", "also": ("brighter=there",), "language": "deu"}
    assert Config.from_mapping({"data": data}).data.language == "deu"


@pytest.mark.parametrize("corpus", CORPORA)
def test_which_settings_a_corpus_reads(corpus, tmp_path):
    """As its builder asks for them."""
    asked = set()

    class Asked(DataConfig):
        def __getattribute__(self, name):
            asked.add(name)
            return super().__getattribute__(name)

    for split in SPLITS:
        (tmp_path / f"{split}.csv").touch()
    files = {split: str(tmp_path / f"{split}.csv") for split in SPLITS}
    with contextlib.suppress(UserError):  # there is nothing of a corpus
        builder_class(corpus).from_config(Asked(corpus, dir=str(tmp_path), **files), tmp_path)
    assert asked & {*READ_BY} == {name for name, corpora in READ_BY.items() if corpus in corpora}


@pytest.mark.parametrize(
    ("path", "value", "beside", "plain"),
    [
        ("encoder.revision", "v1", ("encoder.path", "package:some/model"), "some/model"),
        ("compat.constant_for_no_positive", True, ("loss.form", "out"), "in"),
        ("model.mapping_dim", 64, ("loss.ce_weight", 1.0), 0.1),
        ("loss.angle_weight", 0.5, ("anchors.source", "prototypes"), "words"),
        ("model.readout", "mean", ("compat.readout_first", True), False),
        ("model.dropout", 0.3, ("loss.ce_weight", 0.0), 0.1),
        ("distil.teachers", ("a",), ("distil.weight", 0.0), 0.5),
        ("stage_one.layer_decay", 0.9, ("features.text", False), True),
        ("stage_one.unfreeze_layers", 1, ("features.text", False), True),
        ("anchors.source", "live", ("features.text", False), True),
    ],
)
def test_what_another_setting_never_reads_is_refused(path, value, beside, plain):
    def made(of):
        mapping = Config().to_dict()
        for name, each in ((path, value), (beside[0], of)):
            group, field = name.split(".")
            mapping[group][field] = each
        return mapping

    assert not Config.from_mapping(made(plain)).without_effect()
    with pytest.raises(
        UserError, match=rf"config\.{path}: has no effect with .*; leave it (at|em)"
    ):
        Config.from_mapping(made(beside[1]))
    (line,) = Config.from_mapping(made(beside[1]), varied=True).without_effect()
    assert line.startswith(f"config.{path}: has no effect")
    Config.from_record(made(beside[1]))


def test_the_first_token_by_either_setting_or_both():
    both = {"model": {"readout": "first"}, "compat": {"readout_first": True}}
    assert not Config.from_mapping(both).without_effect()
    assert not load("meld", "compat").without_effect()


@pytest.mark.parametrize(
    ("settings", "better", "line"),
    [
        (
            {"stage_one": {"soup": 2, "epochs": 1}},
            {"stage_one": {"soup": 2, "epochs": 2}},
            "stage_one.soup: has no effect with stage_one.epochs=1",
        ),
        (
            {"stage_one": {"soup": 3, "epochs": 2}},
            {"stage_one": {"soup": 2, "epochs": 2}},
            "stage_one.soup: is of no more than stage_one.epochs=2",
        ),
        (
            {"stage_two": {"patience": 3, "epochs": 3}},
            {"stage_two": {"patience": 2, "epochs": 3}},
            "stage_two.patience: has no effect with stage_two.epochs=3",
        ),
        (
            {"encoder": {"random_weights": True, "sha256": "53"}},
            {"encoder": {"random_weights": True}},
            "encoder.sha256: has no effect with encoder.random_weights",
        ),
        *(
            (
                {"loss": {"ce_weight": 1.0}, "compat": {name: True}},
                {"loss": {"ce_weight": 0.9}, "compat": {name: True}},
                f"compat.{name}: has no effect with loss.ce_weight=1",
            )
            for name in ("stale_anchors", "decay_mapping_norm", "constant_for_no_positive")
        ),
        *(
            (
                {"loss": {"use_anchors": False, "angle_weight": angle}},
                {"loss": {"use_anchors": False}, "anchors": {"source": source}},
                "loss.use_anchors: leaves nothing in stage one that would bring anchors of"
                " anchors.source=words near",
            )
            for angle, source in ((0.1, "centroids"), (0.0, "clusters"))
        ),
    ],
)
def test_what_is_hardly_meant_is_logged(settings, better, line):
    """A recipe's value stands beside the one that a run changes."""
    config = Config.from_mapping(settings)
    (found,) = config.doubts()
    assert found.startswith(f"config.{line}")
    assert config.doubts() == config.without_effect()
    assert not Config.from_mapping(better).doubts()


@pytest.mark.parametrize(
    ("group", "name", "value", "beside"),
    [
        ("stage_one", "soup_of", "best", {"stage_one": {"soup": 2}}),
        ("anchors", "clusters", 2, {"anchors": {"source": "clusters"}}),
        ("anchors", "queue", 512, {"anchors": {"source": "prototypes"}}),
        ("encoder", "lora_alpha", 8.0, {"encoder": {"lora_rank": 4}}),
        ("encoder", "lora_maps", "(.*/)?query", {"encoder": {"lora_rank": 4}}),
        ("loss", "form", "out", {"loss": {"ce_weight": 0.9}}),
        ("loss", "angle_weight", 0.2, {"loss": {"ce_weight": 0.9}}),
        ("stage_one", "chunks", 128, {"stage_one": {"batch_size": 128}}),
    ],
)
def test_what_others_leave_without_effect_is_refused(group, name, value, beside):
    mapping = Config().to_dict()
    mapping["loss"]["ce_weight"] = 1.0 if group == "loss" else 0.1
    mapping[group][name] = value
    with pytest.raises(UserError, match=rf"config\.{group}\.{name}: has no effect (with|beyond)"):
        Config.from_mapping(mapping)
    (line,) = Config.from_mapping(mapping, varied=True).without_effect()
    assert line.startswith(f"config.{group}.{name}: has no effect")
    Config.from_record(mapping)
    for other, settings in beside.items():
        mapping[other] |= settings
    assert not Config.from_mapping(mapping).without_effect()


@pytest.mark.parametrize("schedule", ["epochs", "linear", "cosine"])
def test_a_decay_that_no_epoch_reads_is_logged(schedule):
    """Recipes set one, beside which somebody tries another schedule."""
    one = {"schedule": schedule, "lr_decay": 0.7}
    config = Config.from_mapping({"stage_one": one})
    assert config.doubts() == config.without_effect()
    lines = [line.partition(", by")[0] for line in config.doubts()]
    assert lines == [
        f"config.stage_one.lr_decay: has no effect with stage_one.schedule={schedule}"
    ] * (schedule != "epochs")
    assert not Config.from_mapping({"stage_one": {"schedule": schedule}}).doubts()


@pytest.mark.parametrize(
    "path", ["stage_one.encoder_lr", "stage_one.head_lr", "stage_two.lr", "stage_two.bias_lr"]
)
def test_rates_that_are_hardly_meant_are_logged(path):
    group, name = path.split(".")
    assert not Config.from_mapping({group: {name: 0.5}}).doubts()
    (line,) = Config.from_mapping({group: {name: 15.0}}).doubts()
    assert line.startswith(f"config.{path}: is about how far Adam moves")
    assert line.endswith("usual are 1e-6 to 1e-2, got 15.0.")


def test_matrices_are_not_averaged_one_by_one():
    mapping = {"encoder": {"lora_rank": 4}, "stage_one": {"average": 0.9}}
    for varied in (False, True):
        with pytest.raises(
            UserError, match=r"stage_one\.average: must be 0 with encoder\.lora_ran"
        ):
            Config.from_mapping(mapping, varied=varied)


def test_the_classifier_alone_and_prototypes_have_no_angle():
    Config.from_mapping({"loss": {"ce_weight": 1.0, "angle_weight": 0.0}})
    loss = {"angle_weight": 0.0}
    Config.from_mapping({"loss": loss, "anchors": {"source": "prototypes"}})


def test_answers_of_an_untrained_classifier_are_not_compared():
    mapping = {"loss": {"ce_weight": 0.0, "r_drop": 1.0}}
    with pytest.raises(UserError, match=r"loss\.r_drop: compares answers of the .*; leave it at 0"):
        Config.from_mapping(mapping)
    assert len(Config.from_mapping(mapping, varied=True).without_effect()) == 1
    Config.from_record(mapping)
    assert not Config.from_mapping({"loss": {"ce_weight": 0.1, "r_drop": 1.0}}).without_effect()


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("loss", "form"), "middle", "expected one of in, out"),
        (("loss", "tau"), 1, "config.loss.tau: unknown key"),
        (("seed",), "one", "config.seed: expected int"),
        (("seed",), True, "config.seed: expected int"),
        (("data", "labels"), "joy", "expected a tuple of strings"),
        (("data",), "meld", "expected a group of settings"),
        (("encoder", "path"), "", "config.encoder.path"),
        (("data", "corpus"), "custom", 'must each name a file when data.corpus is "custom"'),
        (("data", "train"), "a.jsonl", 'is for data.corpus="custom" only'),
        (("data", "words"), ("a", "b"), "data.words: needs data.labels (or data.groups) beside it"),
        (("evaluation", "primary"), "micro_f1", "evaluation.excluded_label"),
        (("model", "dropout"), 1.0, "config.model.dropout"),
        (("model", "readout"), "cls", "expected one of mask, first, last, mean"),
        (("stage_one", "layer_decay"), 0.0, "config.stage_one.layer_decay: must be in (0, 1]"),
        (("stage_one", "layer_decay"), 1.1, "config.stage_one.layer_decay: must be in (0, 1]"),
        (
            ("stage_one", "unfreeze_layers"),
            -1,
            "config.stage_one.unfreeze_layers: must not be negative",
        ),
        (
            ("stage_one", "rates"),
            (".*=1", "encoder/.*"),
            "config.stage_one.rates[1]: expected REGEX=FACTOR, got 'encoder/.*'",
        ),
        (("stage_one", "rates"), ("=1",), "config.stage_one.rates[0]: expected REGEX=FACTOR"),
        (("stage_one", "rates"), (".*=fast",), "the factor 'fast' is not a number"),
        (("stage_one", "rates"), (".*=-1",), "must be finite and not negative, got -1"),
        (("stage_one", "rates"), (".*=nan",), "must be finite and not negative, got nan"),
        (("stage_one", "rates"), ("(=1",), "'(' is no regular expression"),
    ],
)
def test_impossible_values_are_refused(path, value, message):
    mapping = Config().to_dict()
    branch = mapping
    for key in path[:-1]:
        branch = branch[key]
    branch[path[-1]] = value
    with pytest.raises(UserError, match=re.escape(message)):
        Config.from_mapping(mapping)


@pytest.mark.parametrize(
    ("features", "message"),
    [
        ({"fusion": "none", "use": ("voice",)}, "features.use: must be empty"),
        ({"fusion": "none", "text": False}, "features.fusion: must be gated, concat or attention"),
        ({"fusion": "words", "text": False}, "features.fusion: must be gated, concat or attention"),
        *(
            ({"fusion": fusion, name: value}, f"features.{name}: has no effect with features.fusi")
            for fusion in ("words", "none")
            for name, value in (("dropout", 0.5), ("hidden", 8), ("frames", 4))
        ),
    ],
)
def test_features_that_nothing_would_read_are_refused(features, message):
    mapping = Config().to_dict()
    mapping["features"] |= features
    with pytest.raises(UserError, match=message):
        Config.from_mapping(mapping)


def test_a_configuration_with_features_wants_their_files():
    assert load("meld_prosody", "prosody=voices,runlocal").data.features == ("prosody=voices",)
    with pytest.raises(UserError, match=r"the features 'prosody', .* add :prosody=PATH"):
        load("meld_prosody", "runlocal")


def test_features_that_a_configuration_names_itself_stay():
    build = importlib.import_module("configs.base").build
    those_of_meld = {"data.corpus": "meld", "data.features": ("face=faces",)}
    assert build(None, those_of_meld).data.features == ("face=faces",)
    found = build("voice=voices", those_of_meld, features=("voice",)).data.features
    assert found == ("face=faces", "voice=voices")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"evaluation.prior": True, "evaluation.logit_adjustment": True}, "evaluation.prior"),
        ({"batch.balance": 0.5, "loss.class_weight": 1.0}, "loss.class_weight: must be off with"),
        (
            {"batch.balance": 0.5, "loss.logit_adjustment": 1.0},
            "loss.logit_adjustment: must be off with batch.balance",
        ),
        ({"prompt.priority": "future"}, "prompt.priority: must be past with prompt.max_future=0"),
        ({"loss.smoothing": 0.1, "loss.focal": 1.0}, "loss.smoothing: must be 0 with loss.focal"),
        ({"loss.adversarial": 1.0, "encoder.frozen_layers": 2}, "loss.adversarial: must be 0 with"),
        (
            {"loss.adversarial": 1.0, "features.text": False},
            "loss.adversarial: must be 0 with features.text=False",
        ),
        (
            {"stage_one.average": 0.9, "anchors.source": "prototypes"},
            "stage_one.average: must be 0",
        ),
        ({"stage_one.soup": 1}, "stage_one.soup: must be 0, or 2 epochs at least"),
        (
            {"stage_one.soup": 3, "anchors.source": "prototypes"},
            "stage_one.soup: must be 0 with anchors.source=prototypes",
        ),
        (
            {"stage_one.soup": 3, "compat.stale_anchors": True},
            "stage_one.soup: must be 0 with compat.stale_anchors",
        ),
        ({"distil.teachers": ("a", " ")}, "distil.teachers: must name a model's or run's folder"),
        ({"distil.weight": 1.5}, "distil.weight"),
        ({"distil.weight": 0.3}, "distil.weight: has no effect without distil.teachers"),
        ({"data.also_power": 1.0}, "data.also_power: has no effect without data.also"),
        ({"data.also": ("meld",), "anchors.source": "random"}, "anchors.source: must be words or"),
        *(
            (
                {"distil.teachers": ("a",), f"loss.{name}": 0.1},
                f"loss.{name}: must be 0 with distil.",
            )
            for name in ("focal", "class_weight", "smoothing")
        ),
        ({"encoder.lora_rank": 4, "encoder.frozen_layers": 2}, "encoder.frozen_layers: must be 0"),
        ({"encoder.lora_rank": 4, "stage_one.rates": (".*=1",)}, "stage_one.rates: must be ()"),
        ({"encoder.lora_rank": 4, "encoder.lora_maps": "("}, "is no regular expression"),
    ],
)
def test_what_cannot_go_together_beyond_the_paper_is_refused(settings, message):
    mapping = Config().to_dict()
    for name, value in settings.items():
        group, field = name.split(".")
        mapping[group][field] = value
    with pytest.raises(UserError, match=re.escape(message)):
        Config.from_mapping(mapping)
