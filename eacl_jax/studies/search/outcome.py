"""What a search found, as a study of two variants, and what has to be known of it."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from eacl_jax.studies import cells
from eacl_jax.studies.definition import Study
from eacl_jax.studies.names import slug
from eacl_jax.studies.search import trials as files
from eacl_jax.studies.search.definition import BASE, FIRST, Search
from eacl_jax.studies.search.reading import found_study
from eacl_jax.studies.search.trials import Trial
from eacl_jax.training.run_folder import RESULTS


def conclude(search: Search, trials: Sequence[Trial], workdir: Path, **options: object) -> Study:
    """The study that ends a search: the base and what was found, with all seeds of the study; the
    base alone where no trial was better.

    Args:
      trials: that have ended; one is complete.
      workdir: the search's folder.
      **options: as of `reading.read_study`.
    """
    top = files.best(trials)
    assert top is not None
    if top.number == FIRST:
        study = search.base
    else:
        study = found_study(search, variant_of(top), top.settings, **options)  # type: ignore[arg-type]
    about = (*notes(search, trials), *_tested_before(search, trials, workdir))
    return dataclasses.replace(study, notes=(*study.notes, *about))


def variant_of(trial: Trial) -> str:
    """The name of what a trial found. It has the trial's number, for with more trials the search
    may find something else, whose runs are then others.
    """
    return f"found (trial {trial.number})"


def notes(search: Search, trials: Sequence[Trial]) -> list[str]:
    """How the settings were chosen, a sentence each."""
    top = files.best(trials)
    assert top is not None
    ended = files.ended(trials)
    measure = search.measure_words
    by = (
        f"by {measure} on dev of {search.corpus}, each one run with seed {search.seed}; test scores"
        " chose nothing"
    )
    if top.number == FIRST:
        return [
            f"Of {files.count_words(ended)}, none did better than the base, {by}. So there is"
            " nothing to compare the base with."
        ]
    return [
        f"“{variant_of(top)}” is the best of {files.count_words(ended)}, {by}.",
        *_without_base(ended),
        f"Its {measure} of {top.value:.2f} on dev is the highest of many and so in part luck; what"
        f" it is worth shows on test, with other seeds, beside “{BASE}”.",
    ]


def _tested_before(search: Search, trials: Sequence[Trial], workdir: Path) -> list[str]:
    """What the search had found with fewer trials, where its scores on test are there already."""
    top, folder = files.best(trials), workdir / cells.CELLS / slug(search.corpus)
    earlier = [
        f"“{name}”"
        for trial in trials
        if trial is not top
        and any((folder / slug(name := variant_of(trial))).glob(f"seed-*/{RESULTS}"))
    ]
    if not earlier:
        return []
    return [
        f"With fewer trials this search had found {' and '.join(earlier)}, whose runs stand in this"
        " folder with their scores on test: who has seen them and searches on has looked at test"
        " more than once."
    ]


def _without_base(ended: Sequence[Trial]) -> list[str]:
    """Where the base's own trial has no score, that nothing was compared with it on dev."""
    if any(trial.number == FIRST and trial.value is not None for trial in ended):
        return []
    return [
        f"The trial of “{BASE}” itself has no score, so that no other was compared with it on dev."
    ]
