"""What a run cost, kept in its folder as `cost.json`: it changes from machine to machine, so it is
no part of the results.
"""

import contextlib
import dataclasses
import statistics
import time
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import jax
import numpy as np

from eacl_jax.config import Stage
from eacl_jax.errors import UserError
from eacl_jax.files import whole
from eacl_jax.files.machine import processor_name
from eacl_jax.files.records import bounded, build, read_json
from eacl_jax.training.experiment import Experiment
from eacl_jax.training.lora import adapters
from eacl_jax.training.training_sets import OTHERS, more_shapes

# Where "5" written sets the process' peak of memory to what it has now (proc(5)).
_PEAK = Path("/proc/self/clear_refs")
FILE = "cost.json"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cost:
    """Of a run.

    Attributes:
      parameters: of encoder, heads, the other corpora's too, and learned anchors.
      trained: of these, in stage one at any time.
      train_examples: utterances of an epoch of stage one.
      examples_per_second: of stage one's steps that were recorded, the median without the first,
        which compiles; None where there is no other. Evaluation is left out.
      epochs: of stage one; the last may be cut short by `max_steps`.
      seconds: from the run's start to its results, in this process; a run that was resumed spent
        more before.
      peak_bytes: most memory in use: of the device on a GPU or TPU, None where an earlier run of
        the process used as much; on a CPU of the process, with what earlier runs left in it. None
        where that is not known.
      device: kind of device, and how many.
      resumed: whether the run went on from a checkpoint.
      processor: the model of the machine's processors where these computed, else the kind of
        device; empty where it is not known. Roundings differ between them.
      versions: of eacl_jax and of jax, by name.
    """

    parameters: int = bounded(at_least=1)
    trained: int = bounded(at_least=0)
    train_examples: int = bounded(at_least=1)
    examples_per_second: float | None = bounded(None, at_least=0)
    epochs: int = bounded(at_least=1)
    seconds: float = bounded(at_least=0)
    peak_bytes: int | None = bounded(None, at_least=0)
    device: str
    resumed: bool
    processor: str = ""
    versions: dict[str, str] = dataclasses.field(default_factory=dict)

    @property
    def seconds_an_epoch(self) -> float | None:
        """Of stage one's steps; None where their speed is not known."""
        return self.train_examples / self.examples_per_second if self.examples_per_second else None


class Clock:
    """Measures a run from when it is made. On a CPU the process' peak of memory begins anew."""

    def __init__(self, *, resumed: bool) -> None:
        """`resumed`: whether the run goes on from a checkpoint."""
        self._resumed, self._started = resumed, time.perf_counter()
        # A device's peak is of all that the process did.
        self._peak_before = _device_peak(jax.local_devices()[0])
        with contextlib.suppress(OSError):  # not on every system
            _PEAK.write_text("5")

    def cost(self, experiment: Experiment, history: Sequence[Mapping[str, Any]]) -> Cost:
        """Of the run until now.

        Args:
          experiment: its inputs.
          history: rows of its `metrics.jsonl`.
        """
        speeds = [
            row["examples_per_second"]
            for row in history
            if row["stage"] == Stage.ONE.number and "examples_per_second" in row
        ]
        mesh = experiment.mesh
        device = mesh.devices.flat[0]
        return Cost(
            parameters=sum(x.size for x in jax.tree.leaves(_shapes(experiment))),
            trained=trained_parameters(experiment),
            train_examples=_examples_an_epoch(experiment),
            examples_per_second=statistics.median(speeds[1:]) if speeds[1:] else None,
            epochs=_epochs(experiment),
            seconds=time.perf_counter() - self._started,
            peak_bytes=self._peak_bytes(),
            device=f"{mesh.size} x {device.device_kind}",
            resumed=self._resumed,
            processor=processor_name() if device.platform == "cpu" else device.device_kind,
            versions=_versions(),
        )

    def _peak_bytes(self) -> int | None:
        peak = _device_peak(jax.local_devices()[0])
        if peak is not None:
            return peak if self._peak_before is None or peak > self._peak_before else None
        with contextlib.suppress(OSError):
            for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
                if line.startswith("VmHWM:"):
                    return 1024 * int(line.split()[1])
        return None


def _versions() -> dict[str, str]:
    found = {"jax": jax.__version__}
    with contextlib.suppress(metadata.PackageNotFoundError):  # a checkout that is not installed
        found = {"eacl_jax": metadata.version("eacl_jax"), **found}
    return found


def trained_parameters(experiment: Experiment) -> int:
    """How many parameters stage one changes at any time."""
    config, rates, params = experiment.config, experiment.rates, _shapes(experiment)
    epochs, ones = _epochs(experiment), jax.tree.map(lambda _: np.float32(1), params)

    def learning(x: Any, factor: Any, first: Any) -> int:
        # One for the whole parameter, or one for each layer of a stacked one.
        layers = np.asarray((factor != 0) & (first <= epochs))
        return int(layers.sum()) * (x.size // layers.size)

    counts = jax.tree.map(
        learning,
        params,
        ones if rates.factors is None else rates.factors,
        ones if rates.first_epochs is None else rates.first_epochs,
    )
    if config.encoder.lora_rank:
        matrices = jax.eval_shape(
            lambda encoder: adapters(encoder, experiment.depths, config.encoder, 0),
            experiment.params["encoder"],
        )
        counts = {**counts, "encoder": jax.tree.map(lambda x: x.size, matrices)}
    # What the objective does not reach.
    unused = {"mapping"} if config.classifies else set()
    unused |= {"predictor", OTHERS} if config.loss.ce_weight == 0 else set()
    anchors_reached = config.loss.use_anchors or config.loss.angle_weight
    unused |= set() if anchors_reached else {"label_encodings"}
    return sum(
        sum(jax.tree.leaves(branch)) for name, branch in counts.items() if name not in unused
    )


def _shapes(experiment: Experiment) -> dict[str, Any]:
    """All that stage one may train: the model's parameters, anchors that are learned, and the other
    corpora's classifiers.
    """
    config, params = experiment.config, experiment.params
    return {**params, **more_shapes(config, len(experiment.counts), params, experiment.others)}


def _epochs(experiment: Experiment) -> int:
    """Of stage one, which `max_steps` may end before the last one that is set."""
    one = experiment.config.stage_one
    if not one.max_steps:
        return one.epochs
    return min(one.epochs, -(-one.max_steps // sum(experiment.batches_per_epoch)))


def _examples_an_epoch(experiment: Experiment) -> int:
    """Of stage one: the run's own examples once, and the other corpora's batches."""
    size = experiment.config.stage_one.batch_size
    first, *others = experiment.training_sets
    batches = experiment.batches_per_epoch[1:]
    return len(first.examples) + sum(
        # A batch holds no more than there is.
        count * min(size, len(each.examples))
        for count, each in zip(batches, others, strict=True)
    )


def _device_peak(device: Any) -> int | None:
    """The most bytes that were in use since the process began; None on a CPU."""
    stats = device.memory_stats() if device.platform != "cpu" else None
    return stats.get("peak_bytes_in_use") if stats else None


def write_cost(folder: Path, cost: Cost) -> None:
    """Writes `cost.json` into a run's folder."""
    whole.write_json(folder / FILE, dataclasses.asdict(cost))


def read_cost(folder: Path) -> Cost:
    """Reads what `write_cost` wrote.

    Raises:
      UserError: the file is missing or damaged.
    """
    advice = "delete the folder to train it again"
    problems: list[str] = []
    values: dict[str, Any] = read_json(folder / FILE, advice)
    cost: Cost | None = build(Cost, values, "cost", problems)
    if cost is None or problems:
        raise UserError("\n  ".join([f"{folder / FILE} cannot be used; {advice}.", *problems]))
    return cost
