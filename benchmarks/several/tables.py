"""The tables of finished runs."""

import statistics as plain
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.several.measures import MEASURES, decided, measure, redrawn
from benchmarks.several.runs import answers_of
from eacl_jax.model.metrics import title
from eacl_jax.studies import statistics

Rows = Sequence[Mapping[str, Any]]
_PAIRS = (("eacl", "torch"), ("eacl", "torch_text"), ("eacl", "bce"), ("bce", "torch"))


def show(rows: Rows, out: Path) -> None:
    """Prints the tables, and writes them into the folder."""
    console = Console(width=140, record=True)
    if rows:
        console.print(scores(rows))
        console.print(costs(rows))
        for pair in _PAIRS:
            if (table := differences(rows, out, *pair)) is not None:
                console.print(table)
    (out / "tables.txt").write_text(console.export_text(), encoding="utf-8")


def scores(rows: Rows) -> Table:
    """Test scores of each model, mean and deviation over seeds."""
    table = _table(
        f"GoEmotions test ({rows[0]['examples']} utterances), percent: mean and deviation over"
        " seeds",
        ["model", "thresholds", "seeds", *map(title, MEASURES), "labels with F1 > 0"],
        left=2,
    )
    for model in dict.fromkeys(name for row in rows for name in row["scores"]):
        for thresholds in ("own", "common"):
            found = [r["scores"][model][thresholds] for r in rows if model in r["scores"]]
            cells = [_spread([f[name] for f in found]) for name in MEASURES]
            cells.append(_spread([f["found"] for f in found], 1))
            table.add_row(model, thresholds, str(len(found)), *cells)
    return table


def costs(rows: Rows) -> Table:
    """What training took of time and memory."""
    table = _table(
        "Cost: mean and deviation over seeds",
        [
            "system",
            "seconds an epoch of training",
            "of eacl's",
            "seconds of the whole run",
            "most memory, GB",
            "epoch chosen",
        ],
        left=1,
    )

    def of(system: str, read: Callable[[Mapping[str, Any]], float]) -> list[float]:
        return [read(row) for row in rows if row["system"] == system]

    first = of("eacl", lambda r: r["epoch_seconds"])
    for system in dict.fromkeys(row["system"] for row in rows):
        each = of(system, lambda r: r["epoch_seconds"])
        ratio = f"{plain.mean(each) / plain.mean(first):.2f} x" if first else ""
        table.add_row(
            system,
            _spread(each, 1),
            ratio,
            _spread(of(system, lambda r: r["seconds"]), 0),
            _spread(of(system, lambda r: r["peak_bytes"] / 1e9)),
            ", ".join(str(row["epoch"]) for row in rows if row["system"] == system),
        )
    return table


def differences(rows: Rows, out: Path, first: str, second: str) -> Table | None:
    """The first system less the second, seed by seed, with intervals over test utterances; None
    where there is no seed of both.
    """
    of = {(row["system"], row["seed"]): row for row in rows}
    seeds = sorted(seed for system, seed in of if system == first and (second, seed) in of)
    if not seeds:
        return None
    table = _table(
        f"{first} less {second}, test, percent; {len(seeds)} seeds, {statistics.DRAWS} draws",
        [
            "thresholds",
            "score",
            "difference",
            "deviation",
            "95% over utterances",
            "over utterances and seeds",
            "p over utterances, uncorrected",
            "seeds higher",
        ],
        left=2,
    )
    for thresholds in ("own", "common"):
        answers: list[np.ndarray] = []
        for system in (second, first):
            for seed in seeds:
                gold_dev, dev, gold, test = answers_of(out, of[system, seed], system)
                common = thresholds == "common"
                answers.append(decided(gold_dev.astype(bool), dev, test, common=common))
        gold = gold.astype(bool)
        labels = tuple(map(str, range(gold.shape[1])))
        scored = [measure(gold, each, labels) for each in answers]
        drawn = redrawn(gold, answers, statistics.Draws(len(gold)))
        count = len(seeds)
        for name in MEASURES:
            values = [each[name] for each in scored]
            found = statistics.difference(
                values[:count], values[count:], drawn[name][:count], drawn[name][count:]
            )
            table.add_row(
                thresholds,
                title(name),
                f"{found.mean:+.2f}",
                "" if found.deviation is None else f"{found.deviation:.2f}",
                _ends(found.low, found.high),
                _ends(found.wide_low, found.wide_high),
                "" if found.p is None else f"{found.p:.4f}",
                f"{found.higher} of {count}",
            )
    return table


def _table(name: str, columns: Sequence[str], *, left: int) -> Table:
    table = Table(title=name)
    for number, column in enumerate(columns):
        table.add_column(column, justify="left" if number < left else "right")
    return table


def _spread(values: Sequence[float], digits: int = 2) -> str:
    deviation = statistics.deviation(values)
    after = "" if deviation is None else f" ± {deviation:.{digits}f}"
    return f"{plain.mean(values):.{digits}f}{after}"


def _ends(low: float | None, high: float | None) -> str:
    return "" if low is None or high is None else f"{low:+.2f} to {high:+.2f}"
