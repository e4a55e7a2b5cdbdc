"""Studies with `run=FOLDER`: what a variant is named, it is, whatever the run was."""

import importlib
import json

import pytest

from eacl_jax.config import Config
from eacl_jax.dialogue import Corpus, Dialogue, Taxonomy, Utterance
from eacl_jax.errors import UserError
from eacl_jax.studies.settings import flat
from tests.stubs.root import ROOT
from tests.studies.test_reading import problems, read, read_study, shared

LABELS = ("anger", "disgust", "neutral")
TALK = Dialogue("1", (Utterance("Ann", "Hi.", "anger"), Utterance("Ben", "Oh!", "disgust")))
CORPUS = Corpus(
    "none", Taxonomy(LABELS, LABELS), {"train": (TALK,), "dev": (TALK,), "test": (TALK,)}
)
# Of corpora or a recipe of their own.
TAKE_NO_RUN = {"paper", "taxonomies", "together"}
STUDIES = sorted(
    file.stem
    for file in (ROOT / "configs" / "studies").glob("*.py")
    if file.stem not in (*TAKE_NO_RUN, "base", "search")  # a search has no variants
)
# What a study adds to the argument, and what of a run's rates its variants are made of.
MORE = {"modalities": ",features=audio:a.npz+visual:v.npz"}
OF_THE_RUN = {"backbones": {"stage_one.encoder_lr"}}

RUNS = {
    "what goes beyond the paper": {
        "batch": {"balance": 0.5},
        "evaluation": {"prior": True},
        "features": {"fusion": "concat", "use": ["audio"], "hidden": 8},
        "loss": {"temperature": 0.3, "r_drop": 2.0},
        "prompt": {"max_future": 2, "max_past": 3, "priority": "future"},
        "sequence": {"crf": True, "penalty": 3.0},
        "stage_one": {"warmup": 0.3},
        "stage_two": {"lr": 0.02, "epochs": 3, "biases": True},
    },
    "clusters": {"anchors": {"source": "clusters", "clusters": 4}},
    "the classifier alone": {"loss": {"ce_weight": 1.0, "class_weight": 0.3}},
    "no anchors": {
        "anchors": {"source": "prototypes", "queue": 100},
        "loss": {"use_anchors": False, "angle_weight": 0.5},
    },
    "other rates": {
        "encoder": {"frozen_layers": 2},
        "stage_one": {"rates": ["mapping/.*=0.5"], "layer_decay": 0.9, "unfreeze_layers": 1},
    },
    "LoRA": {"encoder": {"lora_rank": 4, "lora_alpha": 4.0}},
}
# What a run has that a study does not vary, and that a variant of it cannot be beside.
REFUSED = {
    (
        "imbalance",
        "what goes beyond the paper",
    ): "evaluation.prior: must be off with evaluation.log",
    ("imbalance", "the classifier alone"): "variant 'balanced contrastive' .* loss.ce_weight=1",
    ("modalities", "clusters"): "anchors.source: must not be made of what the encoder makes of",
    ("modalities", "LoRA"): "features.text: must be True with encoder.lora_rank",
    ("recipe", "no anchors"): "stage_one.average: must be 0 with anchors.source=prototypes",
    ("recipe", "LoRA"): "stage_one.average: must be 0 with encoder.lora_rank",
}


def a_run(folder, settings, **data):
    """The folder of a run."""
    data = {"corpus": "custom", "train": "/t", "dev": "/d", "test": "/e", **data}
    encoder = {"path": "x/y", **settings.get("encoder", {})}
    config = Config.from_mapping({**settings, "data": data, "encoder": encoder}, varied=True)
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(config.to_dict()))
    return folder


def settings_by_variant(name, argument):
    """Of each variant that `configs/studies/NAME.py` has; and which settings any of them sets."""
    module = importlib.import_module(f"configs.studies.{name}")
    fields = module.get_config(f"{argument}{MORE.get(name, '')}")
    study = read_study(fields, load=lambda _: CORPUS)
    varied = {
        setting
        for values in fields.axes.values()
        for each in values.values()
        for setting in flat(each)
    }
    return {cell.variant: flat(cell.config.to_dict()) for cell in study.cells}, varied, study.notes


@pytest.mark.parametrize("run", RUNS)
@pytest.mark.parametrize("name", STUDIES)
def test_variants_are_what_they_are_without_a_run(tmp_path, name, run):
    folder = a_run(tmp_path / "chats", RUNS[run])
    if refused := REFUSED.get((name, run)):
        with pytest.raises(UserError, match=refused):
            settings_by_variant(name, f"run={folder}")
        return
    ours, varied, notes = settings_by_variant(name, f"run={folder}")
    without, _, _ = settings_by_variant(name, "corpus=meld,data=x,encoder=x/y")
    assert ours.keys() == without.keys()
    for variant, settings in ours.items():
        for setting in varied - OF_THE_RUN.get(name, set()):
            assert settings[setting] == without[variant][setting], (variant, setting)
    assert "All but what this study varies or sets is as in the run 'chats'." in notes[0]
    # What nothing varies is the run's.
    assert {settings["data.train"] for settings in ours.values()} == {"/t"}


def test_a_note_says_what_of_the_run_was_replaced(tmp_path):
    prior = {"evaluation": {"prior": True}, "stage_two": {"lr": 0.5}}
    ours, _, notes = settings_by_variant("best", f"run={a_run(tmp_path / 'a', prior)}")
    assert not ours["best, no prior"]["evaluation.prior"]
    assert notes[0].endswith(" Where no variant says otherwise, evaluation.prior is False (in the"
                             " run True).")  # fmt: skip
    later = {"prompt": {"max_future": 2, "priority": "future"}}
    ours, _, notes = settings_by_variant("context", f"run={a_run(tmp_path / 'b', later)}")
    assert [ours[name]["prompt.max_future"] for name in ("2 before", "none")] == [0, 0]
    # With nothing later to read it would contradict that.
    assert "prompt.priority is 'past' (in the run 'future')" in notes[0]
    # The built-in corpus has the quickstart's recipe, as without a run.
    smalltalk = a_run(tmp_path / "c", prior, corpus="smalltalk", train="", dev="", test="")
    ours, _, _ = settings_by_variant("recipe", f"run={smalltalk}")
    assert ours["paper"]["stage_two.lr"] == 3e-3


def test_every_study_takes_a_run_or_says_that_it_takes_none(tmp_path):
    folder = a_run(tmp_path / "chats", {})
    assert read(notes=["It is so."]).notes[0] == "It is so."
    for name in TAKE_NO_RUN:
        module = importlib.import_module(f"configs.studies.{name}")
        with pytest.raises(UserError, match="takes none of a run"):
            module.get_config(f"run={folder}")


def test_a_setting_that_there_is_not_is_named_with_a_run_too(tmp_path):
    run = a_run(tmp_path / "chats", {})
    fields = shared(f"run={run}", settings={"evaluation.primry": "macro_f1"})
    with pytest.raises(UserError, match=r"config\.evaluation\.primry: unknown key"):
        read_study(fields, load=lambda _: CORPUS)


@pytest.mark.parametrize("notes", ["a text", ["", "so"], [1]])
def test_notes_are_sentences(notes):
    (line,) = problems(notes=notes)
    assert line.startswith("notes: expected")
