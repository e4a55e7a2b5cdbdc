"""Studies whose runs are stand-ins: they take steps, keep what they did, and go on from there."""

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from eacl_jax.config import Config, DataConfig, Stage
from eacl_jax.dialogue import Corpus, Taxonomy
from eacl_jax.files import whole
from eacl_jax.recognizer.results import Baseline, Calibration, Results, SplitScores, StageScores
from eacl_jax.studies import reading
from eacl_jax.studies.definition import Study
from eacl_jax.training import run_folder
from eacl_jax.training.cost import Cost, write_cost
from eacl_jax.training.loop import Interrupted, StopRequest
from eacl_jax.training.outputs import Outputs, SplitOutputs, write_outputs
from eacl_jax.training.stage import Watch

LABELS = ("a", "b")


def no_corpus(_: DataConfig | None = None) -> Corpus:
    """A corpus without a dialogue."""
    return Corpus("none", Taxonomy(LABELS, LABELS), {"train": (), "dev": (), "test": ()})


def make_study(
    variants: int = 3,
    seeds: int = 2,
    corpora: tuple[str, ...] | dict[str, Any] = ("talk",),
    files: str = "1",
    **changes: Any,
) -> Study:
    """A study of variants "v0", "v1", ... which differ in their temperatures, on corpora by any
    name.

    Args:
      variants, seeds: how many.
      corpora: names, or settings by name.
      files: what tells the encoder's files from others.
      **changes: fields of the study.
    """
    values = {
        "name": "stub",
        "question": "Does it run?",
        "base": Config().to_dict(),
        "axes": {"x": {f"v{n}": {"loss.temperature": 0.1 + n} for n in range(variants)}},
        "corpora": corpora
        if isinstance(corpora, dict)
        else {name: {"data.max_dialogues": n + 1} for n, name in enumerate(corpora)},
        "seeds": tuple(range(seeds)),
        **changes,
    }
    return reading.read_study(values, load=no_corpus, identify=lambda _: {"config": files})


def make_results(corpus: str, seed: int, score: float) -> Results:
    """Results of which every score is the same."""
    scores = SplitScores(
        weighted_f1=score, accuracy=score, macro_f1=score, per_class_f1=dict.fromkeys(LABELS, score)
    )
    fit = Calibration(
        temperature=1.0,
        expected_calibration_error={"dev": 0.0, "test": 0.0},
        expected_calibration_error_uncalibrated={"dev": 0.0, "test": 0.0},
    )
    stage = StageScores(best_epoch=1, dev=scores, test=scores, calibration=fit)
    return Results(corpus, seed, stage, stage, Baseline("a", scores, scores))


def make_outputs(seed: int) -> Outputs:
    """Answers of eight utterances in four dialogues, of which one is wrong."""
    gold, right = np.arange(8) % 2, np.eye(2, dtype=np.float32)
    answers = np.where(np.arange(8) == seed % 8, 1 - gold, gold)
    stages = ("stage_one", "stage_two")
    split = SplitOutputs(
        gold,
        np.arange(8) // 2,
        dict.fromkeys(stages, answers),
        dict.fromkeys(stages, right[answers]),
    )
    return Outputs(LABELS, {"dev": split, "test": split}, dict.fromkeys(stages, right), right[gold])


COST = Cost(
    parameters=10,
    trained=5,
    train_examples=8,
    examples_per_second=4.0,
    epochs=1,
    seconds=2.0,
    device="1 x stub",
    resumed=False,
)


class Train:
    """Stands in for `run.train`.

    Attributes:
      steps: of a run.
      pause: seconds of a step.
      keep: what is to be asked of a run.
      calls: (variant by its temperature, seed) of the runs begun here, in order.
    """

    def __init__(self, steps: int = 2, pause: float = 0.0) -> None:
        self.steps, self.pause = steps, pause
        self.keep: tuple[str, ...] = ()
        self.calls: list[tuple[str, int]] = []

    def __call__(
        self,
        config: Config,
        workdir: Path,
        *,
        stop: StopRequest | None = None,
        console: Any = None,
        loaded: Any = None,
        keep: Any = None,
        watch: Watch | None = None,
    ) -> Results:
        """Runs, goes on, or stops after the step that it is at."""
        assert tuple(keep) == self.keep
        assert console.quiet
        self.calls.append((f"v{round(config.loss.temperature - 0.1)}", config.seed))
        run_folder.check(config, workdir, True)
        with (
            run_folder.locked(workdir),
            alone(workdir),
            (stop or StopRequest()).heeding() as heeded,
        ):
            run_folder.write_inputs(workdir, config, {})
            (workdir / run_folder.DATA).unlink()  # it was given nothing
            (workdir / "checkpoints").mkdir(exist_ok=True)
            done = workdir / "checkpoints" / "steps"
            (workdir / "tensorboard").mkdir(exist_ok=True)
            begin = int(done.read_text()) if done.exists() else 0
            for step in range(begin, self.steps):
                self.step(config, step)
                if watch is not None:  # a step is an epoch; there are no scores of test
                    score = self.score(config) - (self.steps - step - 1)
                    watch(Stage.ONE, step + 1, self.steps, {"dev": {"weighted_f1": score}})
                whole.write_text(done, str(step + 1))
                if heeded.requested:
                    raise Interrupted(heeded.number)
            results = make_results(config.data.corpus, config.seed, self.score(config))
            for name in self.keep:
                (workdir / name).mkdir(exist_ok=True)
            write_outputs(workdir, make_outputs(config.seed))
            write_cost(workdir, COST)
            whole.write_json(workdir / "unpublished", results.to_json())
            # Fails where another has completed it.
            os.link(workdir / "unpublished", workdir / run_folder.RESULTS)
            (workdir / "unpublished").unlink()
            return results

    def score(self, config: Config) -> float:
        """Every score of a run's results."""
        return 10 * config.loss.temperature + config.seed

    def step(self, config: Config, step: int) -> None:
        """What a step does: nothing, for `pause` seconds."""
        time.sleep(self.pause)


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Notes in `overlap` where two living processes are in the block for one folder at once."""
    mine = folder / f".running-{os.getpid()}"
    mine.touch()
    for other in folder.glob(".running-*"):
        process = int(other.name.rpartition("-")[2])
        if process != os.getpid() and _alive(process):
            (folder / "overlap").touch()
    try:
        yield
    finally:
        mine.unlink()


def _alive(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in "ZX"
