"""Which cells of a study are to be run, in which order, and what is known of each."""

import dataclasses
import fnmatch
import operator
from collections.abc import Callable, Hashable, Sequence
from pathlib import Path

from eacl_jax.config import Config
from eacl_jax.errors import UserError
from eacl_jax.studies import cells
from eacl_jax.studies.cells import State
from eacl_jax.studies.claims import Claims
from eacl_jax.studies.definition import Cell, Study
from eacl_jax.studies.reused import Reused


def select(
    study: Study, only: str | Sequence[str] = (), seeds: Sequence[int] | None = None
) -> tuple[Cell, ...]:
    """Cells of a study, in the order in which they are run: what shares a corpus and an encoder
    stands together, and in that, as in the study, what shares a variant, so that little is loaded
    and compiled twice.

    Args:
      study: the whole.
      only: "VARIANT" or "CORPUS/VARIANT", or several; where there is none of exactly that name, a
        pattern as of files, `*`, `?` and `[...]`, for them; empty: all.
      seeds: some of the study's; None: all.

    Raises:
      UserError: nothing is like a pattern, or a seed is not the study's.
    """
    if unknown := [seed for seed in seeds or () if seed not in study.seeds]:
        raise UserError(
            f"the study has no seed {', '.join(map(str, unknown))}; it has"
            f" {', '.join(map(str, study.seeds))}."
        )
    patterns = list(filter(None, [only] if isinstance(only, str) else only))
    named = {cell for pattern in patterns for cell in _named(study, pattern)}
    groups: dict[Hashable, list[Cell]] = {}
    for cell in study.cells:
        if (seeds is None or cell.seed in seeds) and (cell in named or not patterns):
            groups.setdefault(shared_by(cell.config), []).append(cell)
    return tuple(cell for alike in groups.values() for cell in alike)


def _named(study: Study, pattern: str) -> list[Cell]:
    def by(match: Callable[[str, str], bool]) -> list[Cell]:
        return [
            cell
            for cell in study.cells
            if match(cell.variant, pattern) or match(f"{cell.corpus}/{cell.variant}", pattern)
        ]

    # A name may have letters that mean something in a pattern.
    if found := by(operator.eq) or by(fnmatch.fnmatchcase):
        return found
    raise UserError(
        f"no variant is like {pattern!r}; there are {', '.join(map(repr, study.variants))}, and"
        f" CORPUS/VARIANT with the corpora {', '.join(map(repr, study.corpora))}."
    )


def shared_by(config: Config) -> Hashable:
    """What tells whether runs can share a `Loaded`: corpus and encoder, of which random weights
    depend on the seed.
    """
    return config.data, config.encoder, config.seed if config.encoder.random_weights else None


def named(cell: Cell) -> str:
    """A cell for a person."""
    return f"{cell.corpus}, {cell.variant}, seed {cell.seed}"


@dataclasses.dataclass(frozen=True)
class Planned:
    """A cell, what its folder says, and what a call of the command would do with it."""

    cell: Cell
    state: State
    words: str


def plan(
    chosen: Sequence[Cell], workdir: Path, reused: Reused | None = None
) -> tuple[Planned, ...]:
    """What would be done now, where `reused` has complete runs too; writes nothing."""
    claims = Claims(workdir / cells.CLAIMS)
    planned = []
    for cell in chosen:
        folder = cells.folder_of(workdir, cell)
        state = cells.state_of(workdir, cell)
        if state is State.COMPLETE:
            words = "complete"
        elif claimant := claims.claimant(cells.name_of(cell)):
            words = f"being run by {claimant.words}"
        elif reused is not None and (run := reused.of(cell)) is not None:
            words = f"would be taken from {run}"
        elif state is State.FAILED:
            words = f"failed before, would be tried again: {cells.read_failure(folder).reason}"
        else:
            words = "would go on" if state is State.BEGUN else "would be run"
        planned.append(Planned(cell, state, words))
    return tuple(planned)
