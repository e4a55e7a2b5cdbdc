"""What a run writes and says as it goes: metrics.jsonl, TensorBoard events, and lines (or a progress bar) for a person."""

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from tensorboardX import SummaryWriter

STAGE_NAMES = {1: "stage one", 2: "stage two"}


def title(name: str) -> str:
    """A score's name as a person reads it: `dev_weighted_f1` -> `dev weighted F1`."""
    return name.replace("_", " ").replace("f1", "F1")


def say(console: Console, text: str) -> None:
    """Prints text as it is: what stands in square brackets is no markup, and no colons make an emoji."""
    console.print(text, markup=False, emoji=False, highlight=False, soft_wrap=True)


class MetricsLog:
    """`metrics.jsonl`: one JSON object a line, each with `stage`, `step` and `epoch`."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def append(self, row: Mapping[str, Any]) -> None:
        """Adds a row and hands it to the operating system at once."""
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")

    def rows(self) -> list[dict[str, Any]]:
        """All whole rows; a last line that a killed process left unfinished is passed over."""
        if not self._path.exists():
            return []
        rows = []
        for line in self._path.read_text(encoding="utf-8").splitlines():
            try:
                rows.append(json.loads(line))
            except json.JSONDecodeError:
                continue
        return rows

    def rewind(self, stage: int, step: int) -> None:
        """Forgets what a stage recorded after the step from which it goes on."""
        kept = [row for row in self.rows() if row["stage"] != stage or row["step"] <= step]
        replacement = self._path.with_suffix(".tmp")
        replacement.write_text("".join(json.dumps(row) + "\n" for row in kept), encoding="utf-8")
        replacement.replace(self._path)


class Recorder:
    """Records one stage. Use as a context manager."""

    def __init__(
        self,
        workdir: Path,
        stage: int,
        *,
        start: int | None,
        steps: int,
        steps_per_epoch: int,
        log_every: int,
        console: Console,
    ) -> None:
        """Args:
        workdir: the run's folder.
        stage: 1 or 2.
        start: step from which the stage goes on; None where it begins.
        steps: its last step.
        steps_per_epoch: to tell the epoch of a step.
        log_every: steps between two rows.
        console: where a person reads; a terminal gets a progress bar, anything else a line a row.
        """
        self._log = MetricsLog(workdir / "metrics.jsonl")
        self._log.rewind(stage, -1 if start is None else start)
        folder = workdir / "tensorboard" / STAGE_NAMES[stage].replace(" ", "_")
        self._writer = SummaryWriter(str(folder), purge_step=None if start is None else start + 1)
        self._stage, self._start, self._steps = stage, start or 0, steps
        self._steps_per_epoch, self._log_every = steps_per_epoch, log_every
        self._console = console
        self._began = time.perf_counter()
        self._bar: Progress | None = None

    def __enter__(self) -> "Recorder":
        if self._console.is_terminal:
            columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[numbers]}")
            self._bar = Progress(*columns, console=self._console, transient=True)
            self._bar.start()
            self._task = self._bar.add_task(STAGE_NAMES[self._stage], total=self._steps, completed=self._start, numbers="")
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()
        self._writer.close()

    def step(self, step: int, metrics: Mapping[str, float]) -> None:
        """Records every `log_every`-th step, and the first one."""
        remaining = (time.perf_counter() - self._began) / (step - self._start) * (self._steps - step)
        eta = time.strftime("%H:%M:%S", time.gmtime(remaining))
        terms = ", ".join(f"{name} {metrics[name]:.3f}" for name in ("ce", "contrastive", "angle") if name in metrics)
        losses = f"loss {metrics['loss']:.3f}{f' ({terms})' if terms else ''}"
        numbers = f"{losses}  {metrics['examples_per_second']:.1f} examples/s  ETA {eta}"
        if self._bar is not None:
            self._bar.update(self._task, completed=step, numbers=numbers)
        if step % self._log_every and step != 1:
            return
        epoch = -(-step // self._steps_per_epoch)
        self._write(step, {"stage": self._stage, "step": step, "epoch": epoch, **metrics})
        if self._bar is None:
            say(self._console, f"{STAGE_NAMES[self._stage]}  epoch {epoch}  step {step}/{self._steps}  {numbers}")

    def epoch(self, epoch: int, step: int, scores: Mapping[str, float], note: str) -> None:
        """Records an epoch's scores (percent) and says them, followed by `note`."""
        self._write(step, {"stage": self._stage, "step": step, "epoch": epoch, **scores})
        said = "  ".join(f"{title(name)} {value:.2f}" for name, value in scores.items())
        say(self._console, f"{STAGE_NAMES[self._stage]}  epoch {epoch}  {said}  {note}".rstrip())

    def _write(self, step: int, row: Mapping[str, Any]) -> None:
        self._log.append(row)
        for name, value in row.items():
            if name not in ("stage", "step"):
                self._writer.add_scalar(name, value, step)
