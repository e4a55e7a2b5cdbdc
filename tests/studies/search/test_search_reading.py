"""What is wrong with a search is found before anything runs."""

import json
import sys

import numpy as np
import pytest

from eacl_jax.config import Config
from eacl_jax.errors import UserError
from eacl_jax.studies.search.definition import Choices, Range
from eacl_jax.studies.search.reading import found_study, read_search
from tests.stubs.searches import SPACE, make_search, make_values
from tests.stubs.studies import no_corpus


def test_the_space_and_the_base_in_it():
    search = make_search()
    assert search.space == (
        Range("loss.temperature", 0.01, 1.0, log=True),
        Range("stage_two.epochs", 1, 20, whole=True),
        Choices("loss.form", ("in", "out")),
    )
    assert search.start == {"loss.temperature": 0.1, "stage_two.epochs": 10, "loss.form": "in"}
    assert (search.corpus, search.measure, search.seed) == ("talk", "weighted_f1", 1000)
    assert search.base.variants == ("base",)
    assert [cell.seed for cell in search.base.cells] == [0, 1]
    config = search.config({**search.start, "loss.temperature": 0.5})
    assert (config.loss.temperature, config.seed) == (0.5, 1000)
    # The corpus' settings too.
    assert config.data.max_dialogues == 1


def test_whole_ends_of_a_setting_that_is_a_fraction():
    (found,) = make_search(search={"loss.ce_weight": {"low": 0, "high": 1}}).space
    assert (found.whole, type(found.low)) == (False, float)


def test_a_setting_whose_values_nothing_reads_is_refused():
    base = {**Config().to_dict(), "stage_one": {"schedule": "linear"}}
    decay = {"stage_one.lr_decay": {"low": 0.1, "high": 1.0}}
    with pytest.raises(
        UserError, match=r"search, 'stage_one.lr_decay': .* has no effect .*=linear"
    ):
        make_search(base=base, search=decay)
    with pytest.raises(UserError, match=r"has no effect .*Take it out of the search"):
        make_search(base=base, search={**SPACE, **decay})
    assert make_search(search=decay)
    schedules = {"stage_one.schedule": {"choices": ["epochs", "linear"]}}
    assert make_search(base=base, search={**decay, **schedules})


def test_a_setting_may_be_tried_that_has_an_effect_beside_some_of_anothers_values():
    search = make_search(
        search={
            "stage_one.soup": {"choices": [0, 3]},
            "stage_one.soup_of": {"choices": ["last", "best"]},
        },
        trials=4,
    )
    tried = search.config({"stage_one.soup": 0, "stage_one.soup_of": "best"})
    assert tried.stage_one.soup_of == "best"


def test_choices_may_be_anything_that_a_setting_may():
    values = {"choices": [(), ("embeddings.*=1", ".*=0.5")]}
    search = make_search(search={"stage_one.rates": values}, trials=2)
    assert search.start == {"stage_one.rates": ()}
    assert search.space[0].index(["embeddings.*=1", ".*=0.5"]) == 1


def test_numbers_of_numpys_are_numbers():
    space = {
        "stage_two.epochs": {"low": np.int64(1), "high": np.int64(20)},
        "stage_two.batch_size": {"choices": [np.int64(64), np.int32(8)]},
    }
    search = make_search(search=space, trials=np.int64(3))
    assert search.space[0] == Range("stage_two.epochs", 1, 20, whole=True)
    assert search.trials == 3
    assert json.loads(json.dumps(search.to_json()))["space"]["stage_two.batch_size"] == {
        "choices": [64, 8]
    }


def test_another_encoder_need_not_have_the_bases_files():
    base = Config().to_dict()
    base["encoder"] |= {"path": "a/b", "sha256": "1" * 64, "revision": "1234567"}
    search = make_search(base=base, search={"encoder.path": {"choices": ["a/b", "c/d"]}}, trials=2)
    assert search.start == {"encoder.path": "a/b"}

    def found(config):
        return config.encoder.path, config.encoder.revision, config.encoder.sha256

    of_base, of_other = ("a/b", "1234567", "1" * 64), ("c/d", "main", "")
    assert found(search.config({"encoder.path": "a/b"})) == of_base
    assert found(search.config({"encoder.path": "c/d"})) == of_other
    study = found_study(
        search, "found", {"encoder.path": "c/d"}, load=no_corpus, identify=lambda _: {"config": "1"}
    )
    assert {cell.variant: found(cell.config) for cell in study.cells} == {
        "base": of_base,
        "found": of_other,
    }


def test_encoders_and_teachers_among_the_choices_must_be_there(tmp_path):
    def identify(encoder):
        if encoder.path == "c/d":
            raise UserError("there is no encoder c/d.")
        return {"config": "1"}

    base = Config().to_dict()
    base["encoder"]["path"] = "a/b"
    space = {
        "encoder.path": {"choices": ["a/b", "c/d", "e/f"]},
        "distil.teachers": {"choices": [(), (str(tmp_path / "gone"),)]},
    }
    values = make_values(base=base, search=space, trials=2)
    with pytest.raises(UserError) as error:
        read_search(values, load=no_corpus, identify=identify)
    _, encoder, teacher = str(error.value).splitlines()
    assert encoder == "  search, 'encoder.path', 'c/d': there is no encoder c/d."
    value, _, reason = teacher.removeprefix("  search, 'distil.teachers', ").partition(": ")
    assert value == repr((str(tmp_path / "gone"),))[:80]
    assert str(tmp_path / "gone") in reason


BAD = [
    ({"search": {}}, "search: expected settings by dotted name, one at least, got {}"),
    ({"search": 3}, "search: expected settings by dotted name"),
    ({"search": {"loss.none": {"low": 0, "high": 1}}}, "config.loss.none: unknown key"),
    ({"search": {"none.x": {"low": 0, "high": 1}}}, "there is no group of settings 'none'"),
    (
        {"search": {"loss.temperature": {"low": -1, "high": 1}}},
        "'loss.temperature': config.loss.te",
    ),
    ({"search": {"loss.temperature": {"low": 0.1}}}, 'expected {"low": ..., "high": ...}'),
    ({"search": {"loss.temperature": {"low": 0.1, "high": 1, "step": 1}}}, "expected {"),
    ({"search": {"loss.temperature": 0.1}}, "expected {"),
    ({"search": {"loss.temperature": {"low": 1, "high": 0.1}}}, "low must be below high"),
    ({"search": {"loss.ce_weight": {"low": 0, "high": 1, "log": True}}}, "low must be above 0"),
    ({"search": {"loss.ce_weight": {"low": 0, "high": 1, "log": 2}}}, "True or False for log"),
    ({"search": {"loss.temperature": {"low": "0", "high": 1}}}, "a number for low, got '0'"),
    ({"search": {"loss.temperature": {"low": 0.1, "high": float("nan")}}}, "a number for high"),
    ({"search": {"stage_two.epochs": {"low": 1, "high": 10**400}}}, "high is too large; whole"),
    ({"search": {"loss.temperature": {"low": -(10**5000), "high": 1}}}, "low is too large; whole"),
    ({"search": {"stage_two.epochs": {"choices": [10, 10**400]}}}, "must be a finite number"),
    ({"search": {"loss.temperature": {"low": 0.5, "high": 1}}}, "the base has 0.1, which is not"),
    ({"search": {"loss.form": {"low": 0, "high": 1}}}, "config.loss.form"),
    ({"search": {"loss.form": {"choices": ["in"]}}}, "two choices or more"),
    ({"search": {"loss.form": {"choices": ["in", "in"]}}}, "'in' is there twice"),
    (
        {"search": {"loss.ce_weight": {"choices": [0.1, 0, 0.0, 1, 1.0]}}},
        "0.0 is the same as 0; leave one out",
    ),
    ({"search": {"stage_one.rates": {"choices": [(), []]}}}, "[] is the same as (); leave one"),
    ({"search": {"loss.form": {"choices": ["in", "up"]}}}, "config.loss.form"),
    ({"search": {"loss.use_anchors": {"low": 0, "high": 1}}}, "config.loss.use_anchors"),
    ({"search": {"stage_two.epochs": {"low": 1, "high": 20.5}}}, "config.stage_two.epochs"),
    ({"search": {"stage_two.epochs": {"choices": [5, 20]}}}, "the base has 10, which is not"),
    ({"search": {"seed": {"low": 0, "high": 9}}}, "a seed is not found but drawn"),
    ({"search": {"data.max_dialogues": {"low": 0, "high": 9}}}, "data must be the same for all"),
    ({"search": {"run.save_every": {"low": 0, "high": 9}}}, "'run.save_every': run.* says what is"),
    ({"search": {"evaluation.primary": {"choices": ["a", "b"]}}}, "evaluation must be the same"),
    ({"trials": 0}, "trials: expected a whole number, 1 or more, got 0"),
    ({"trials": True}, "trials: expected a whole number"),
    ({"startup": "ten"}, "startup: expected a whole number"),
    ({"trial_seed": 1}, "trial_seed: 1 is one of seeds"),
    ({"trial_seed": -1}, "trial_seed: expected a whole number"),
    ({"search": {"loss.form": SPACE["loss.form"]}}, "16 are more than the 2 ways"),
    ({"corpora": {"a": {}, "b": {}}}, "a search is on one corpus, got 'a', 'b'"),
    ({"axes": {"x": {"y": {}}}}, "axes: a search has none"),
    ({"comparisons": [["a", "b"]]}, "comparisons: a search has none"),
    ({"corpora": {"a": {"compat.select_on_test": True}}}, "a search looks at dev alone"),
    ({"corpora": {"a": {"loss.none": 1}}}, "config.loss.none"),
    ({"nonsense": 1}, "nonsense: unknown field"),
]


@pytest.mark.parametrize(("changes", "expected"), BAD)
def test_bad_input(changes, expected):
    with pytest.raises(UserError) as error:
        make_search(**changes)
    assert expected in str(error.value)
    assert str(error.value).startswith("the study cannot be run:\n  ")


def test_all_that_is_wrong_is_in_one_message():
    with pytest.raises(UserError) as error:
        make_search(trials=0, seeds=(), search={"loss.temperature": 1})
    for field in ("trials:", "seeds:", "'loss.temperature':"):
        assert field in str(error.value)


def test_of_a_setting_with_a_mistake_it_is_not_known_how_many_ways_there_are():
    mistaken = {"loss.temperature": {"low": 0.1}, "loss.form": SPACE["loss.form"]}
    for search in ({}, mistaken):
        with pytest.raises(UserError) as error:
            make_search(search=search)
        assert "search" in str(error.value)
        assert "trials" not in str(error.value)


def test_trials_are_not_guessed():
    values = make_values()
    del values["trials"]
    with pytest.raises(UserError, match="trials: missing"):
        read_search(values, load=no_corpus, identify=lambda _: {})


def test_without_optuna_it_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(UserError, match=r"pip install 'eacl_jax\[search\]'"):
        make_search()


def test_empty_axes_are_none():
    assert make_search(axes={}, comparisons=[]).base.variants == ("base",)


def test_nothing_else_of_a_trial_is_other_than_the_base():
    search = make_search()
    base = search.base.cells[0].config.to_dict()
    assert search.config(search.start).to_dict() == {**base, "seed": 1000}
    assert isinstance(search.config(search.start), Config)
