"""Settings that have no meaning for what a corpus is annotated with."""

import dataclasses

import pytest

from eacl_jax.config import Config
from eacl_jax.dialogue import Corpus, Dialogue, Taxonomy, Utterance
from eacl_jax.errors import SettingsError
from eacl_jax.training.meaning import check_loss, check_task

LABELS = ("anger", "joy")
TALK = Dialogue("1", (Utterance("Ann", "Hi.", "joy"),))
CORPUS = Corpus(
    "talk", Taxonomy(LABELS, LABELS), {"train": (TALK,), "dev": (TALK,), "test": (TALK,)}, "single"
)


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        (
            {"evaluation": {"primary": "micro_f1", "excluded_label": "none"}},
            "is not a label of talk",
        ),
        ({"sequence": {"crf": True}}, "has two annotated utterances"),
    ],
)
def test_what_is_scored_and_answered_is_asked_of_the_runs_corpus_alone(settings, problem):
    config = Config.from_mapping(settings)
    check_loss(config, CORPUS)
    with pytest.raises(SettingsError, match=problem):
        check_task(config, CORPUS)


def test_the_loss_is_asked_of_all():
    several = dataclasses.replace(CORPUS, task="multi")
    config = Config.from_mapping({"loss": {"focal": 1.0}})
    for check in (check_loss, check_task):
        check(config, CORPUS)
        with pytest.raises(SettingsError, match=r"loss\.focal has no meaning .* as in talk"):
            check(config, several)
    biases = Config.from_mapping({"stage_two": {"biases": True}})
    check_loss(biases, several)
    with pytest.raises(SettingsError, match=r"stage_two\.biases has no meaning"):
        check_task(biases, several)
