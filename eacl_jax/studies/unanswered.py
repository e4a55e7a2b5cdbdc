"""Labels that a variant never answers: nothing is taken for them, which is no merit."""

from collections.abc import Sequence

from eacl_jax.studies import words
from eacl_jax.studies.table import Row


def never(row: Row, label: str) -> bool:
    """Whether no seed answered any test utterance as the label."""
    counts = next((each.answered for each in row.labels if each.label == label), ())
    return bool(counts) and not any(counts)


def unanswered(rows: Sequence[Row], labels: Sequence[str]) -> str:
    """Which rows answer one label alone, or never one of these labels: “hot” answers “neutral”
    alone; “plain” never answers “fear” (in 1 of 3 seeds). Empty where none does.
    """
    found = [(words.row_name(row), _of(row, labels)) for row in rows]
    return "; ".join(f"“{name}” {' and '.join(parts)}" for name, parts in found if parts)


def _of(row: Row, labels: Sequence[str]) -> list[str]:
    seeds = [
        {each.label for each, count in zip(row.labels, counts, strict=True) if count}
        for counts in zip(*(each.answered for each in row.labels), strict=True)
    ]
    one = [answered for answered in seeds if len(answered) < 2]
    known = {each.label for each in row.labels}
    parts = []
    if one:
        alone = sorted(set().union(*one))
        what = f"answers {_listed(alone)} alone" if alone else "answers no label"
        parts.append(what + _in_seeds(len(one), len(seeds)))
    several = [answered for answered in seeds if len(answered) > 1]
    missing: dict[int, list[str]] = {}
    for label in dict.fromkeys(labels):
        if count := sum(label not in answered for answered in several if label in known):
            missing.setdefault(count, []).append(label)
    parts += [
        f"never answers {_listed(some)}{_in_seeds(count, len(seeds))}"
        for count, some in missing.items()
    ]
    return parts


def _listed(labels: Sequence[str]) -> str:
    quoted = [f"“{label}”" for label in labels]
    return " or ".join(filter(None, [", ".join(quoted[:-1]), quoted[-1]]))


def _in_seeds(some: int, seeds: int) -> str:
    return "" if some == seeds else f" (in {some} of {seeds} seeds)"
