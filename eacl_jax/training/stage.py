"""What the two stages have in common: where they write, how an epoch is scored, and the choice of
the best.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import grain
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float
from rich.console import Console

from eacl_jax.config import Config, Stage
from eacl_jax.dialogue import count
from eacl_jax.errors import SettingsError, UserError
from eacl_jax.model.decisions import Affine
from eacl_jax.model.low_rank import Matrices
from eacl_jax.model.metrics import title
from eacl_jax.model.names import path_name
from eacl_jax.training import processes
from eacl_jax.training.anchor_steps import AnchorEpoch, adapt
from eacl_jax.training.checkpoint import Checkpoints
from eacl_jax.training.deciding import fitted
from eacl_jax.training.experiment import Experiment
from eacl_jax.training.loop import StopRequest, TrainState, fit
from eacl_jax.training.mirror import Mirror
from eacl_jax.training.profiling import Profiler
from eacl_jax.training.recording import Recorder, Silent, say
from eacl_jax.training.soup import Soup
from eacl_jax.training.watchdog import Watchdog

HEADLINE = ("weighted_f1", "accuracy", "macro_f1")
OF_SEVERAL = ("weighted_f1", "macro_f1", "micro_f1", "jaccard")
"""The same where an utterance may have several labels."""

DIVERGED = (
    "training diverged; train in another folder with lower rates (config.stage_one, stage_two)"
)
"""What became of a run whose numbers are not finite, and what to do."""


# (stage, epoch, epochs of the stage, scores by split), after each epoch but before its checkpoint.
Watch = Callable[[Stage, int, int, Mapping[str, Mapping[str, Any]]], None]


@dataclasses.dataclass(frozen=True)
class StageContext:
    """Where a stage writes, where it reports, who may stop it, how many steps of stage one are
    traced, who gets each epoch's scores, and the address for which the folder stands.
    """

    workdir: Path
    console: Console
    stop: StopRequest
    profile: int = 0
    watch: Watch | None = None
    mirror: Mirror | None = None

    def named(self, path: Path) -> str:
        """A path in the run's folder, as a person finds it."""
        return str(path) if self.mirror is None else self.mirror.named(path)


@dataclasses.dataclass(frozen=True)
class StageResult:
    """A finished stage.

    Attributes:
      best_epoch: the chosen one, counted from 1; 0 where stage two left the anchors as they were.
      params: the parameters chosen (stage two: with branch `anchors`).
      anchors: float32 [C k, m].
      affine: the scale and biases of its probabilities, where it learnt them.
      biases: of the labels' scores, where it learnt them for one label an utterance; else none.
      mean_of: the epochs whose weights' mean was chosen in place of `best_epoch`; else none.
      matrices: LoRA's, which are in the encoder's parameters already; None without it.
    """

    best_epoch: int
    params: Any
    anchors: Float[np.ndarray, "A m"]
    affine: Affine | None = None
    biases: tuple[float, ...] = ()
    mean_of: tuple[int, ...] = ()
    matrices: Matrices | None = None


def scored_splits(config: Config) -> tuple[str, ...]:
    """The splits scored after each epoch: dev, and test only where `compat.select_on_test` asks for
    it.
    """
    return ("dev", "test") if config.compat.select_on_test else ("dev",)


def score(
    experiment: Experiment,
    split: str,
    predicted: np.ndarray,
    scores: Float[np.ndarray, "N C"] | None = None,
) -> dict[str, Any]:
    """Scores of predictions for a split, in percent; see `Task.measure`."""
    return experiment.task.measure(experiment.gold(split), predicted, scores)


def _not_finite(tree: Any) -> list[str]:
    """Names of the arrays that hold NaN or infinity."""
    return [
        path_name(path)
        for path, fine in jax.tree_util.tree_flatten_with_path(_finite(tree))[0]
        if not fine
    ]


@jax.jit
def _finite(tree: Any) -> Any:
    return jax.tree.map(lambda x: jnp.isfinite(x).all(), tree)


def check_representations(split: str, reps: Float[np.ndarray, "N m"]) -> None:
    """Raises `UserError` where they are not finite; their answers would all be the first label."""
    if wrong := int((~np.isfinite(reps).all(axis=1)).sum()):
        raise SettingsError(
            f"the representations of {count(wrong, 'utterance')} of {split} are NaN or infinite:"
            f" {DIVERGED}."
        )


def scores_by_split(
    experiment: Experiment,
    reps: Mapping[str, Float[np.ndarray, "N m"]],
    anchors: Float[np.ndarray, "A m"],
    near: Affine | None = None,
    biases: tuple[float, ...] = (),
) -> dict[str, dict[str, Any]]:
    """Scores of the splits whose representations are given, dev among them, in percent: of what
    anchors answer as suits dev. `near`, `biases`: see `deciding.fitted`.

    Raises:
      UserError: representations or anchors are not finite.
    """
    for split, found in reps.items():
        check_representations(split, found)
    if not np.isfinite(anchors).all():
        raise SettingsError(f"the anchors are NaN or infinite: {DIVERGED}.")
    plain = experiment.answering()
    cosines = {split: plain.cosines(found, anchors) for split, found in reps.items()}
    _, answering = fitted(experiment, cosines["dev"], near=near, biases=biases)
    return {
        split: score(experiment, split, answering.decide(found), answering.scores(found))
        for split, found in cosines.items()
    }


class Saving(Protocol):
    """What of a stage's state a checkpoint holds."""

    @property
    def belongs(self) -> Mapping[str, Any]:
        """JSON values by name: to what is left out a checkpoint belongs; see `Checkpoints`."""

    def saved(self, state: TrainState) -> Any:
        """What to save of a state."""

    def restored(self, state: TrainState, saved: Any) -> TrainState:
        """The state that was saved; `state` is one of the same run."""


class WholeState:
    """All of it."""

    belongs: Mapping[str, Any] = {}

    def saved(self, state: TrainState) -> Any:
        """The state."""
        return state

    def restored(self, state: TrainState, saved: Any) -> TrainState:
        """What was saved."""
        return saved


class StageRun:
    """What the two stages do alike: resume, step, score each epoch, keep the latest and the
    best.
    """

    def __init__(
        self,
        experiment: Experiment,
        context: StageContext,
        stage: Stage,
        batches: grain.DatasetIterator,
        steps_per_epoch: int,
        steps: int,
        *,
        recorded: Sequence[bool] = (True,),
        saving: Saving | None = None,
        soup: Soup | None = None,
    ) -> None:
        """Args:
        experiment: the run's inputs.
        context: where to write.
        stage: which.
        batches: at the position of the first step.
        steps_per_epoch: after so many steps an epoch is scored and saved.
        steps: of the whole stage.
        recorded: see `Recorder`.
        saving: what of a state is saved; None: all of it.
        soup: gets what was trained of each epoch's weights that answer, and is saved with the
          state; see `mean`.
        """
        self._soup, self._recorded = soup, recorded
        self._experiment, self._context, self._stage = experiment, context, stage
        self._batches, self._steps_per_epoch, self._steps = batches, steps_per_epoch, steps
        self._saving: Saving = saving or WholeState()
        folder = context.workdir / "checkpoints"
        self._folder = folder / stage.value
        # Stage two's mean nothing without stage one's, from which they began.
        self._anew = folder if stage is Stage.ONE else self._folder
        self._checkpoints = Checkpoints(
            self._folder,
            anew=self._anew,
            aside=context.mirror is not None,
            belongs=self._saving.belongs,
        )
        self._scores: dict[str, dict[str, Any]] | None = None
        self._best: dict[str, Any] = {"best_epoch": 0, "best_rank": None}
        self.resumed = False
        self._watchdog = Watchdog(experiment.config.run.watchdog)
        self._score: Callable[[TrainState], dict[str, dict[str, Any]]]
        self._answering: Callable[[TrainState], Any] | None = None

    def __enter__(self) -> "StageRun":
        self._watchdog.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._watchdog.close()
        self._checkpoints.close()

    def resume(self, state: TrainState) -> TrainState:
        """The state of the latest checkpoint, with the data at its position; the given state where
        there is none. To be called before anything else of the run: it makes what records it.

        Raises:
          UserError: the checkpoint cannot be used, or the state is not finite.
        """
        start = self._checkpoints.latest_step
        self.resumed = start is not None
        if start is not None:
            restored, self._best = self._checkpoints.restore(
                start, self._tree(state), data=self._batches
            )
            if self._soup is not None:
                self._soup.restore(restored["soup"], self._best.pop("soup"))
                restored = restored["state"]
            state = self._saving.restored(state, restored)
            say(self._context.console, f"going on from step {start} of {self._steps}")
        # Trained again, on other hardware perhaps, stage one has not quite the weights with which
        # stage two began.
        if self._stage is Stage.ONE and (start is None or start < self._steps):
            processes.by_main("nothing left", self._check_nothing_left)
        if wrong := _not_finite(state.params):
            where = (
                f"the checkpoint of step {start}"
                if start is not None
                else f"the encoder {self._experiment.config.encoder.path}"
            )
            more = f" and {len(wrong) - 3} more" if len(wrong) > 3 else ""
            raise UserError(
                f"before any step, NaN or infinity is in {', '.join(wrong[:3])}{more}: {where} is"
                " damaged."
            )
        self._recorder = self._make_recorder(start)
        return state

    def _check_nothing_left(self) -> None:
        if (second := self._folder.with_name(Stage.TWO.value)).exists():
            raise UserError(
                f"{second} holds checkpoints that began with the end of a stage one that is gone;"
                " delete it too, and run the same command again."
            )

    def _make_recorder(self, start: int | None) -> Recorder | Silent:
        if not processes.is_main():
            return Silent()
        return Recorder(
            self._context.workdir,
            self._stage,
            start=start,
            steps=self._steps,
            steps_per_epoch=self._steps_per_epoch,
            log_every=self._experiment.config.run.log_every,
            console=self._context.console,
            batch_size=self._experiment.config.of(self._stage).batch_size,
            recorded=self._recorded,
            excluded_label=self._experiment.config.evaluation.excluded_label,
        )

    def fit(
        self,
        state: TrainState,
        train_step: Callable[..., Any],
        score: Callable[[TrainState], dict[str, dict[str, Any]]],
        *,
        place: Callable[[Any], Any],
        answering: Callable[[TrainState], Any] | None = None,
    ) -> TrainState:
        """`answering`: what was trained of the weights of a state that answer, of which a soup is
        made.
        """
        self._score, self._answering = score, answering
        context = self._context
        with (
            self._recorder,
            Profiler(context.workdir / "profile", context.profile, context.console) as profiler,
        ):
            return fit(
                state,
                train_step,
                self._batches,
                jax.random.key(self._experiment.config.seed),
                self,
                steps_per_epoch=self._steps_per_epoch,
                steps=self._steps,
                place=place,
                save=self._save,
                save_every=self._experiment.config.run.save_every,
                stop=self._context.stop,
                profiler=profiler,
            )

    def adapt(
        self,
        state: TrainState,
        epoch: AnchorEpoch,
        score: Callable[[TrainState], dict[str, dict[str, Any]]],
    ) -> TrainState:
        """Stage two's `fit`: epoch by epoch, see `anchor_steps.adapt`; at most until dev has
        preferred none of the last `stage_two.patience` epochs.

        Args:
          state: from `resume`.
          epoch: does one.
          score: a state -> scores by split, after each.

        Returns:
          The state after the last epoch.
        """
        self._score = score
        with self._recorder:
            return adapt(
                state,
                epoch,
                self._batches,
                jax.random.key(self._experiment.config.seed),
                self,
                steps_per_epoch=self._steps_per_epoch,
                steps=self._steps,
                save=self._save,
                stop=self._context.stop,
                enough=self._enough,
            )

    def _enough(self, done: int) -> bool:
        """Whether dev has not preferred any of the last `stage_two.patience` epochs."""
        patience = self._experiment.config.stage_two.patience
        waited = done // self._steps_per_epoch - self._best["best_epoch"]
        return 0 < patience <= waited

    def best(self, state: TrainState) -> tuple[TrainState, dict[str, Any]]:
        """The chosen epoch's state and record."""
        step, epoch = self._checkpoints.best_step(), self._best["best_epoch"]
        if step != min(epoch * self._steps_per_epoch, self._steps):
            raise UserError(
                f"{self._folder}: the checkpoint of epoch {epoch}, the best, is gone; delete"
                f" {self._anew} to train anew."
            )
        saved, record = self._checkpoints.restore(step, self._tree(state))
        if self._soup is not None:  # what it has here is of all epochs
            saved = saved["state"]
        return self._saving.restored(state, saved), record

    def mean(
        self, score: Callable[[Any], dict[str, dict[str, Any]]]
    ) -> tuple[Any, tuple[int, ...]]:
        """The mean of several epochs' weights and these epochs, where dev prefers it to the best
        single epoch; None and none elsewhere.

        Args:
          score: weights, in the host's memory, -> scores by split.
        """
        if self._soup is None:
            return None, ()
        if len(self._soup.epochs) < 2:
            say(
                self._context.console,
                f"{self._stage.words}  no mean of epochs (stage_one.soup): it had one epoch alone",
            )
            return None, ()
        weights, epochs = self._soup.mean(), self._soup.epochs
        scored = score(weights)
        better = list(self._rank(scored)) > self._best["best_rank"]
        evaluation, named = self._experiment.config.evaluation, ", ".join(map(str, epochs))
        measure = title(f"dev_{evaluation.primary}", evaluation.excluded_label)
        outcome = "chosen" if better else f"epoch {self._best['best_epoch']} is no worse, and stays"
        say(
            self._context.console,
            f"{self._stage.words}  mean of epochs {named}  {measure}"
            f" {scored['dev'][evaluation.primary]:.2f}  {outcome}",
        )
        return (weights, epochs) if better else (None, ())

    def begin(self, state: TrainState, scores: dict[str, dict[str, Any]]) -> None:
        """Has the state before the first step be one of those to choose from, as epoch 0."""
        self._scores = scores
        self._best = {"best_epoch": 0, "best_rank": list(self._rank(scores))}
        self._save(state)

    def step(self, step: int, numbers: Mapping[str, float]) -> None:
        """See `loop.Observer`: tells the watchdog, and records the numbers."""
        self._watchdog.step(f"{self._stage.words}, step {step} of {self._steps}")
        self._recorder.step(step, numbers)

    def epoch(self, epoch: int, state: TrainState) -> None:
        """See `loop.Observer`: scores the state, by which it may become the best so far, and
        records the scores; what is saved next goes by them.
        """
        self._scores = self._score(state)
        rank = list(self._rank(self._scores))
        better = self._best["best_rank"] is None or rank > self._best["best_rank"]
        if better:
            self._best = {"best_epoch": epoch, "best_rank": rank}
        if self._soup is not None:
            self._soup.add(epoch, rank, self._answering(state) if self._answering else state.params)
        self.say_epoch(epoch, int(state.step), self._scores, "best so far" if better else "")
        if self._context.watch is not None:
            epochs = -(-self._steps // self._steps_per_epoch)
            self._context.watch(self._stage, epoch, epochs, self._scores)

    def say_epoch(
        self, epoch: int, step: int, scored: Mapping[str, Mapping[str, Any]], note: str
    ) -> None:
        """Records an epoch's scores, and says them.

        Args:
          epoch: counted from 1; 0 before the first step.
          step: how many are done.
          scored: scores by split, in percent.
          note: what else to say of it.
        """
        names = list(OF_SEVERAL if self._experiment.task.several else HEADLINE)
        if self._experiment.config.evaluation.primary not in names:
            names.append(self._experiment.config.evaluation.primary)
        scores = {
            f"{split}_{name}": values[name] for split, values in scored.items() for name in names
        }
        self._recorder.epoch(epoch, step, scores, note)

    def _rank(self, scored: Mapping[str, Mapping[str, Any]]) -> tuple[float, ...]:
        """What the choice goes by: dev; with compat.select_on_test, test in stage one and as a
        tie-break in stage two.
        """
        primary = self._experiment.config.evaluation.primary
        if not self._experiment.config.compat.select_on_test:
            return (scored["dev"][primary],)
        order = ("test",) if self._stage is Stage.ONE else ("dev", "test")
        return tuple(scored[split][primary] for split in order)

    def _save(self, state: TrainState) -> None:
        rank = None if self._scores is None else self._rank(self._scores)
        self._scores = None
        record = self._best
        if self._soup is not None:
            record = {**record, "soup": self._soup.record}
        self._checkpoints.save(
            int(state.step), self._tree(state), record, data=self._batches, rank=rank
        )

    def _tree(self, state: TrainState) -> Any:
        """What a checkpoint holds."""
        saved = self._saving.saved(state)
        return saved if self._soup is None else {"state": saved, "soup": self._soup.arrays}
