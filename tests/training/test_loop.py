"""The training loop: what it fetches ahead, when it looks at the devices' numbers, and what a save
finds.
"""

import numpy as np
import pytest
from rich.console import Console

from eacl_jax.training.loop import Interrupted, StopRequest, fit
from eacl_jax.training.profiling import Profiler


class Number:
    """A number on a device: notes when it is read."""

    def __init__(self, events, step):
        self._events, self._step = events, step

    def __array__(self, *_, **__):
        self._events.append(f"read {self._step}")
        return np.float32(1)


class Start:
    step = 0


class Loop:
    """Runs `fit` on stand-ins; `events` says what happened, in order."""

    def __init__(self, tmp_path, *, steps, save_every=0, stop_at=None):
        self.events, self.taken, self._stop_at, self._stop = [], 0, stop_at, StopRequest()
        self._arguments = {
            "steps_per_epoch": steps,
            "steps": steps,
            "place": self._place,
            "save": self._save,
            "save_every": save_every,
            "stop": self._stop,
            "profiler": Profiler(tmp_path, 0, Console(quiet=True)),
        }

    def run(self):
        fit(Start(), self._train_step, self._batches(), None, self, **self._arguments)

    def _batches(self):
        while True:
            self.taken += 1
            yield self.taken, np.arange(1)

    def _place(self, batch):
        self.events.append(f"place {batch}")
        return batch

    def _train_step(self, state, batch, key):
        self.events.append(f"step {batch}")
        unreadable = object()
        return unreadable, {name: Number(self.events, batch) for name in ("loss", "grad_norm")}

    def _save(self, state):
        self.events.append(f"save at {self.taken}")

    def step(self, step, metrics):
        if step == self._stop_at:
            self._stop.requested = True

    def epoch(self, epoch, state):
        self.events.append("epoch")


def test_the_next_batch_is_placed_before_anything_waits(tmp_path):
    loop = Loop(tmp_path, steps=4)
    loop.run()
    once = list(dict.fromkeys(loop.events))  # loss and grad_norm are read one after the other
    assert once == [
        *("place 1", "step 1", "place 2"),
        *("step 2", "place 3", "read 1"),
        *("step 3", "place 4", "read 2"),
        *("step 4", "read 3", "read 4", "epoch", "save at 4"),
    ]


def test_a_save_finds_the_iterator_at_the_next_batch(tmp_path):
    loop = Loop(tmp_path, steps=5, save_every=2)
    loop.run()
    assert [event for event in loop.events if event.startswith(("step", "save"))] == [
        *("step 1", "step 2", "save at 2", "step 3", "step 4", "save at 4", "step 5", "save at 5"),
    ]


@pytest.mark.parametrize(("stop_at", "last"), [(1, 3), (2, 4)])
def test_a_stop_trains_on_what_was_fetched_ahead(tmp_path, stop_at, last):
    # The request comes with the numbers of a step: by then the next one is dispatched and a batch
    # lies ready for one more.
    loop = Loop(tmp_path, steps=9, stop_at=stop_at)
    with pytest.raises(Interrupted):
        loop.run()
    assert [event for event in loop.events if event.startswith(("step", "save"))][-2:] == [
        f"step {last}",
        f"save at {last}",
    ]


def test_a_stop_at_a_save_begins_no_further_step(tmp_path):
    # The request comes while the second step's numbers are waited for, before the save that was
    # due.
    loop = Loop(tmp_path, steps=9, save_every=2, stop_at=2)
    with pytest.raises(Interrupted):
        loop.run()
    assert loop.events[-1] == "save at 2"
