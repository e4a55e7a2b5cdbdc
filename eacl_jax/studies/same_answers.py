"""Notes on answers to test that are the same: of two variants, or of one and no model at all."""

import itertools
from collections.abc import Mapping

import numpy as np

from eacl_jax.config import Stage
from eacl_jax.dialogue import count
from eacl_jax.studies.definition import Study
from eacl_jax.studies.seed_answers import SeedAnswers


def same_answers(
    study: Study,
    groups: Mapping[tuple[str, str, str], list[SeedAnswers]],
    most_frequent: Mapping[tuple[str, str], str],
) -> list[str]:
    """A note for each pair of variants whose answers are the same: their settings differ, and what
    these do does not. And one for each variant whose answers are one label, whatever the utterance.

    Args:
      study: that was run.
      groups: answers of all seeds, by corpus, variant and stage.
      most_frequent: label of train, by corpus and variant.
    """
    notes = []
    for corpus in study.corpora:
        runs = {
            variant: {each.seed: each for each in groups[corpus, variant, Stage.TWO]}
            for variant in study.variants
            if (corpus, variant, Stage.TWO) in groups
        }
        notes += [
            f"On corpus {corpus!r} {one!r} and {two!r} give the same answers in every seed: what"
            f" differs in their settings changed {_changed(first, second)} there."
            for (one, first), (two, second) in itertools.combinations(runs.items(), 2)
            if first.keys() == second.keys()
            and all(
                first[seed].asked_like(second[seed])
                and np.array_equal(first[seed].answers, second[seed].answers)
                for seed in first
            )
        ]
        for variant, by_seed in runs.items():
            label = most_frequent[corpus, variant]
            alike = sum(_always(each, label) for each in by_seed.values())
            if alike:
                often = (
                    "" if alike == len(by_seed) else f" in {alike} of {count(len(by_seed), 'seed')}"
                )
                notes.append(
                    f"On corpus {corpus!r} {variant!r} answers {label!r} to every test utterance"
                    f"{often}, as always giving the most frequent label would."
                )
    return notes


def _changed(first: Mapping[int, SeedAnswers], second: Mapping[int, SeedAnswers]) -> str:
    """Of two variants with the same answers: what their scores of labels say."""
    pairs = [(first[seed].scores, second[seed].scores) for seed in first]
    same = all(a is not None and b is not None and np.array_equal(a, b) for a, b in pairs)
    return "nothing" if same else "no answer"


def _always(found: SeedAnswers, label: str) -> bool:
    """Whether every answer is the label, and nothing else."""
    often = found.answered
    return bool(often[found.labels.index(label)] == len(found.gold) == often.sum())
