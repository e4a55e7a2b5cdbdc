"""The benchmark's numbers for people: tables, sentences and a chart."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table

from eacl_jax.reports.drawing import SAVED_DPI, render
from eacl_jax.reports.theme import LIGHT, Theme

TITLES = {
    "train": "one optimizer step of stage one",
    "encode": "encoding a split",
    "stage_two": "one epoch of stage two, random representations",
}
HOW = {
    "eacl_jax": "packed rows, JAX",
    "reference": "padded to max_tokens, eager",
    "dynamic": "padded to the longest",
    "strong": "sorted by length",
}
NOTES = (
    "Tokens are real ones, without padding. FLOP/s are the published encoder's over them, the same"
    " count for all runners (eacl_jax may skip work whose result nobody reads), and MFU is their"
    " share of this machine's matmul rate in the same run. Compile seconds are for the first shape,"
    " (n) shapes in all. Memory on a CPU is the runner's whole process, libraries included."
)


def print_tables(results: Mapping[str, Any], console: Console) -> None:
    """A table a task, and how eacl_jax compares with each peer."""
    for task, measured in results["tasks"].items():
        unit, per_second = (
            (1e12, "TFLOP/s") if measured["matmul"]["median"] > 2e12 else (1e9, "GFLOP/s")
        )
        table = Table(
            title=f"{TITLES[task]}: {_conditions(results)}, {measured['examples']} examples",
            title_justify="left",
        )
        rows = [_cells(name, row, unit, per_second) for name, row in measured["runners"].items()]
        columns = [column for column in rows[0] if any(row[column] for row in rows)]
        for column in columns:
            table.add_column(column, justify="right" if column else "left", no_wrap=True)
        for row in rows:
            table.add_row(*(row[column] for column in columns))
        console.print(table)
        matmul = measured["matmul"]
        console.print(
            f"matmul of {matmul['size']} x {matmul['size']} {matmul['dtype']}:"
            f" {_digits(matmul['median'], unit)} {per_second}"
        )
        ours, *others = measured["runners"].items()
        for peer, numbers in others:
            ratio = numbers["median"] / ours[1]["median"]
            console.print(
                f"eacl_jax: {ratio:.2f}x the examples/s of {_runner(peer, task, ' ({})')}",
                highlight=False,
            )
        console.print()
    console.print(NOTES, style="dim", highlight=False)


def _cells(name: str, row: Mapping[str, Any], unit: float, per_second: str) -> dict[str, str]:
    """By column; empty where there is no such number."""
    return {
        "": name,
        "seconds (min-max)": (
            f"{_digits(row['median'])} ({_digits(row['min'])}-{_digits(row['max'])})"
        ),
        "examples/s": _digits(row["examples_per_second"]),
        "tokens/s": _digits(row["tokens_per_second"]),
        per_second: _digits(row["flops_per_second"], unit),
        "MFU": "" if row["mfu"] is None else f"{row['mfu']:.0%}",
        "compile s (n)": (
            _digits(row["compile_seconds"])
            + (f" ({row['compilations']})" if row["compilations"] else "")
        ),
        "peak GB": _digits(row["peak_bytes"], 1e9),
    }


def write_chart(results: Mapping[str, Any], file: Path) -> None:
    """PNG: examples a second of each runner, a panel a task."""
    file.write_bytes(render(lambda theme: draw_chart(theme, results), LIGHT))


def draw_chart(theme: Theme, results: Mapping[str, Any]) -> Figure:
    """Bars are medians, lines reach from the slowest round to the fastest."""
    tasks = results["tasks"]
    counts = [len(measured["runners"]) for measured in tasks.values()]
    figure = Figure(
        figsize=(7.2, 0.9 + sum(0.45 * count + 0.55 for count in counts)), dpi=SAVED_DPI
    )
    figure.suptitle(_conditions(results), x=0.01, ha="left", fontsize=11, fontweight="bold")
    for axes, (task, measured) in zip(
        figure.subplots(len(tasks), 1, height_ratios=counts, squeeze=False)[:, 0],
        tasks.items(),
        strict=True,
    ):
        runners = measured["runners"]
        speeds = [row["examples_per_second"] for row in runners.values()]
        fastest, slowest = (
            [measured["examples"] / row[key] for row in runners.values()] for key in ("min", "max")
        )
        spread = [np.subtract(speeds, slowest), np.subtract(fastest, speeds)]
        colours = [theme.after if name == "eacl_jax" else theme.series[5] for name in runners]
        bars = axes.barh(
            [_runner(name, task, "\n{}") for name in runners],
            speeds,
            color=colours,
            xerr=spread,
            error_kw={"ecolor": theme.ink, "elinewidth": 1.2},
            height=0.7,
        )
        axes.bar_label(bars, list(map(_digits, speeds)), padding=6, fontsize=11, fontweight="bold")
        axes.set_title(f"{TITLES[task]}, examples a second", loc="left", fontsize=10)
        axes.set_xlim(0, 1.2 * max(fastest))
        axes.invert_yaxis()
        axes.tick_params(axis="y", length=0)
        axes.spines["bottom"].set_visible(False)
        axes.set_xticks([])
    return figure


def _runner(name: str, task: str, how: str) -> str:
    """A runner's full name, then how it pads or packs, put into `how`; stage two has no rows."""
    full = name if name == "eacl_jax" else f"PyTorch {name}"
    return full if task == "stage_two" else full + how.format(HOW[name])


def _conditions(results: Mapping[str, Any]) -> str:
    settings = results["settings"]
    device = f"{results['cores']} CPU cores" if results["device"] == "cpu" else results["device"]
    preset = "" if settings["preset"] == "parity" else f", {settings['preset']} preset"
    alone = ", each alone" if settings["alone"] else ""
    return (
        f"{settings['encoder']}, {settings['corpus']}, {settings['dtype']} on"
        f" {device}{preset}{alone}"
    )


def _digits(value: float | None, unit: float = 1.0) -> str:
    """Three significant digits, or nothing for None."""
    if value is None:
        return ""
    value /= unit
    return f"{value:,.0f}" if value >= 100 else f"{value:#.3g}"
