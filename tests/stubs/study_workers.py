"""`python -m tests.stubs.study_workers FOLDER WORKERS KILLS SEED [search]`: processes that share a
study's folder, of which one after the other is killed at a random moment, and replaced.

Prints nothing; fails where a worker that was not killed did.
"""

import os
import random
import signal
import sys
import time
from pathlib import Path

from rich.console import Console

from eacl_jax.studies.runner import run_study
from eacl_jax.studies.search.runner import run_search
from tests.stubs.searches import SearchTrain, make_search
from tests.stubs.studies import Train, make_study

CELLS = {"variants": 4, "seeds": 3}
SEARCH_STEPS = 4


def work(folder: Path, search: bool) -> int:
    """A worker, in a process of its own; returns its number."""
    process = os.fork()
    if process:
        return process
    options = {
        "load": lambda config: None,
        "console": Console(quiet=True),
        "poll": 0.02,
        # One process of this machine is not taken for dead while it lives, however short this.
        "expiry": 0.3,
    }
    status = 1
    try:
        if search:
            train = SearchTrain(steps=SEARCH_STEPS, pause=0.03)
            run_search(make_search(), folder, train=train, **options)
        else:
            run_study(make_study(**CELLS), folder, train=Train(steps=6, pause=0.03), **options)
        status = 0
    finally:
        os._exit(status)


def main(folder: Path, workers: int, kills: int, seed: int, search: bool) -> None:
    """Until the study is complete."""
    chance = random.Random(seed)
    running = {work(folder, search) for _ in range(workers)}
    for _ in range(kills):
        time.sleep(chance.uniform(0.0, 0.12))
        victim = chance.choice(sorted(running))
        os.kill(victim, signal.SIGKILL)
        # Half of them are not waited for until the end: dead, and still with a number.
        if chance.random() < 0.5:
            os.waitpid(victim, 0)
        running.discard(victim)
        running.add(work(folder, search))
    failed = [each for each in running if os.waitpid(each, 0)[1] != 0]
    assert not failed, failed


if __name__ == "__main__":
    main(Path(sys.argv[1]), *map(int, sys.argv[2:5]), search="search" in sys.argv[5:])
