"""What a run writes and says as it goes: metrics.jsonl, TensorBoard events, and lines (or a
progress bar) for a person.
"""

import collections
import datetime
import json
import statistics
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from eacl_jax.config import Stage
from eacl_jax.files.whole import write_text
from eacl_jax.model.metrics import title

# Beside the terms of the loss, of which there may be any.
_NO_TERMS = ("loss", "grad_norm", "examples_per_second")
_RECENT = 30  # steps whose median is the present pace; steps that compile are no part of it


def say(console: Console, text: str) -> None:
    """Prints text as it is: what stands in square brackets is no markup, and no colons make an
    emoji.
    """
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
        """All whole rows; what is no row, such as a last line that a killed process left
        unfinished, is passed over.
        """
        if not self._path.exists():
            return []
        rows = []
        for line in self._path.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                row = json.loads(line)
            except ValueError:
                continue
            if isinstance(row, dict) and all(
                isinstance(row.get(key), int) for key in ("stage", "step", "epoch")
            ):
                rows.append(row)
        return rows

    def rewind(self, stage: int, step: int) -> None:
        """Forgets what a stage recorded after the step from which it goes on."""
        kept = [row for row in self.rows() if row["stage"] != stage or row["step"] <= step]
        write_text(self._path, "".join(json.dumps(row) + "\n" for row in kept))


class Pace:
    """How long the rest of a stage takes, by its recent steps and by the pauses after its epochs.

    The first step, which compiles, is left out: until there is another, all that is known is that
    it takes less long.
    """

    def __init__(self, steps: int, steps_per_epoch: int, batch_size: int) -> None:
        """Args:
        steps: the stage's last step.
        steps_per_epoch: after so many steps comes a pause.
        batch_size: examples a step.
        """
        self._steps, self._per_epoch, self._batch_size = steps, steps_per_epoch, batch_size
        self._first: float | None = None
        self._recent: collections.deque[float] = collections.deque(maxlen=_RECENT)
        self._pauses: list[float] = []

    def step(self, examples_per_second: float) -> None:
        """A step was done, at this speed."""
        seconds = self._batch_size / max(examples_per_second, 1e-9)
        if self._first is None:
            self._first = seconds
        else:
            self._recent.append(seconds)

    def pause(self, seconds: float) -> None:
        """An epoch was scored, which took so long."""
        self._pauses.append(seconds)

    def eta(self, step: int) -> str:
        """What is left after a step: `1:02:03`, `2 days, 1:02:03`, or `below 1:02:03`."""
        each = statistics.median_low(self._recent) if self._recent else self._first or 0.0
        epochs = -(-self._steps // self._per_epoch) - (step - 1) // self._per_epoch
        pauses = epochs * statistics.median(self._pauses) if self._pauses else 0.0
        left = datetime.timedelta(seconds=round(each * (self._steps - step) + pauses))
        return f"{left}" if self._recent or step == self._steps else f"below {left}"


class Silent:
    """Takes a `Recorder`'s place in processes that leave it to the first to record and to speak."""

    def __enter__(self) -> "Silent":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def step(self, step: int, metrics: Mapping[str, float]) -> None:
        """Nothing."""

    def epoch(self, epoch: int, step: int, scores: Mapping[str, float], note: str) -> None:
        """Nothing."""


class Recorder:
    """Records one stage. Use as a context manager."""

    def __init__(
        self,
        workdir: Path,
        stage: Stage,
        *,
        start: int | None,
        steps: int,
        steps_per_epoch: int,
        log_every: int,
        console: Console,
        batch_size: int = 64,
        recorded: Sequence[bool] = (True,),
        excluded_label: str = "",
    ) -> None:
        """Args:
        workdir: the run's folder.
        stage: which.
        start: step from which the stage goes on; None where it begins.
        steps: its last step.
        steps_per_epoch: to tell the epoch of a step.
        log_every: steps between two rows.
        console: where a person reads; a terminal gets a progress bar, anything else a line a row.
        batch_size: examples a step, to tell how long the rest takes.
        recorded: for each step of an epoch, or of every one, whether it is of the run's own corpus;
          others are not recorded.
        excluded_label: that micro F1 leaves out.
        """
        from tensorboardX import SummaryWriter  # takes a second, and only training writes

        self._log = MetricsLog(workdir / "metrics.jsonl")
        self._log.rewind(stage.number, -1 if start is None else start)
        folder = workdir / "tensorboard" / stage.value
        self._writer = SummaryWriter(
            str(folder),
            purge_step=None if start is None else start + 1,
            # By itself two minutes, in which a kill would lose rows that a checkpoint is behind.
            flush_secs=1,
        )
        self._stage, self._start, self._steps = stage, start or 0, steps
        self._steps_per_epoch, self._log_every = steps_per_epoch, log_every
        self._console = console
        self._recorded, self._excluded = recorded, excluded_label
        self._pace = Pace(steps, steps_per_epoch, batch_size)
        self._last_step: float | None = None
        self._bar: Progress | None = None

    def __enter__(self) -> "Recorder":
        if self._console.is_terminal:
            columns = (
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[numbers]}", markup=False),
            )
            self._bar = Progress(*columns, console=self._console, transient=True)
            self._bar.start()
            self._task = self._bar.add_task(
                self._stage.words, total=self._steps, completed=self._start, numbers=""
            )
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()
        self._writer.close()

    def step(self, step: int, metrics: Mapping[str, float]) -> None:
        """Records every `log_every`-th step, and the first one; where that is of another corpus,
        the first of the run's own that follows.
        """
        self._pace.step(metrics["examples_per_second"])
        self._last_step = time.perf_counter()
        terms = ", ".join(
            f"{name} {value:.3f}" for name, value in metrics.items() if name not in _NO_TERMS
        )
        losses = f"loss {metrics['loss']:.3f}{f' ({terms})' if terms else ''}"
        numbers = (
            f"{losses}  {metrics['examples_per_second']:.1f} examples/s  ETA {self._pace.eta(step)}"
        )
        if self._bar is not None:
            self._bar.update(self._task, completed=step, numbers=numbers)
        if not self._due(step):
            return
        epoch = -(-step // self._steps_per_epoch)
        self._write(step, {"stage": self._stage.number, "step": step, "epoch": epoch, **metrics})
        if self._bar is None:
            say(
                self._console,
                f"{self._stage.words}  epoch {epoch}  step {step}/{self._steps}  {numbers}",
            )

    def _due(self, step: int) -> bool:
        if not self._may_record(step):
            return False
        before = step - 1
        while before and not self._may_record(before):
            before -= 1
        return not before or step // self._log_every != before // self._log_every

    def _may_record(self, step: int) -> bool:
        return self._recorded[(step - 1) % len(self._recorded)]

    def epoch(self, epoch: int, step: int, scores: Mapping[str, float], note: str) -> None:
        """Records an epoch's scores (percent) and says them, followed by `note`."""
        if self._last_step is not None:
            self._pace.pause(time.perf_counter() - self._last_step)
        self._write(step, {"stage": self._stage.number, "step": step, "epoch": epoch, **scores})
        shown = "  ".join(
            f"{title(name, self._excluded)} {value:.2f}" for name, value in scores.items()
        )
        say(self._console, f"{self._stage.words}  epoch {epoch}  {shown}  {note}".rstrip())

    def _write(self, step: int, row: Mapping[str, Any]) -> None:
        self._log.append(row)
        for name, value in row.items():
            if name not in ("stage", "step"):
                self._writer.add_scalar(name, value, step)
