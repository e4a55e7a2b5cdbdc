"""A trace of a few training steps: what the host and the devices did, and when."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
from rich.console import Console

SKIPPED = 3  # steps before the trace begins: they compile, and fill what is fetched ahead


class Profiler:
    """Traces `steps` steps of the loop that it is given to, after the first three, with
    `jax.profiler`.

    Use as a context manager around the loop. In the trace each step is called "train" and has its
    number, `step_num`; inside it, on the host, are the loop's "fetch" (of a batch, to the devices)
    and "metrics" (of the step before).
    """

    def __init__(self, folder: Path, steps: int, console: Console) -> None:
        """Args:
        folder: where the trace goes; made when it is written.
        steps: how many to trace; 0: none, and nothing is done.
        console: where to say what became of it.
        """
        self._folder, self._steps, self._console = folder, steps, console
        self._seen = 0  # steps begun
        self._tracing = False

    def __enter__(self) -> "Profiler":
        return self

    def __exit__(self, *_: object) -> None:
        if self._tracing:
            self._stop()
        elif self._steps > 0 and self._seen <= SKIPPED:
            self._say(
                f"profile  nothing traced: of {self._seen} steps the first {SKIPPED} are left out"
            )

    @contextlib.contextmanager
    def step(self, number: int) -> Iterator[None]:
        """Surrounds what the host does for a step: dispatch, and whatever it does while the devices
        work.
        """
        self._seen += 1
        if self._seen == SKIPPED + 1 and self._steps:
            options = jax.profiler.ProfileOptions()
            # Every call of a Python function would be an event: they slow the host down, and what
            # is shown of a trace ends at a million events.
            options.python_tracer_level = 0
            # Perfetto's page wants a file of its own; jax makes it where there is one process.
            jax.profiler.start_trace(
                self._folder,
                create_perfetto_trace=jax.process_count() == 1,
                profiler_options=options,
            )
            self._tracing = True
        if not self._tracing:
            yield
            return
        with jax.profiler.StepTraceAnnotation("train", step_num=number):
            yield

    def after(self, outputs: Any) -> None:
        """Ends the trace after its last step: then, and only then, waits for the step's `outputs`
        (arrays).
        """
        if self._tracing and self._seen == SKIPPED + self._steps:
            jax.block_until_ready(outputs)
            self._stop()

    def _stop(self) -> None:
        self._tracing = False
        jax.profiler.stop_trace()
        traced = min(self._seen - SKIPPED, self._steps)
        self._say(
            f"profile  {traced} steps traced in {self._folder}; to see them, either\n  pip install"
            f" tensorboard xprof; tensorboard --logdir={self._folder}   (tab Profile), or\n  open"
            f" the newest {self._folder}/plugins/profile/*/perfetto_trace.json.gz in"
            " https://ui.perfetto.dev"
        )

    def _say(self, text: str) -> None:
        self._console.print(text, markup=False, emoji=False, highlight=False, soft_wrap=True)
