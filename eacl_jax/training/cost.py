"""What a run cost, kept in its folder as `cost.json`: it changes from machine to machine, so it is
no part of the results.
"""

import dataclasses
from pathlib import Path
from typing import Any

from eacl_jax.errors import UserError
from eacl_jax.files import whole
from eacl_jax.files.records import bounded, build, read_json

FILE = "cost.json"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cost:
    """Of a run.

    Attributes:
      parameters: of encoder and heads.
      trained: of these, in stage one at any time.
      train_examples: utterances of an epoch of stage one.
      examples_per_second: of stage one's steps, the median; evaluation and compilation left out.
      epochs: of stage one.
      seconds: from the run's start to its results, in this process; a run that was resumed spent
        more before.
      peak_bytes: most memory in use: of the device on a GPU or TPU (since the process began), of
        the process on a CPU; None where that is not known.
      device: kind of device, and how many.
      resumed: whether the run went on from a checkpoint.
    """

    parameters: int = bounded(at_least=1)
    trained: int = bounded(at_least=0)
    train_examples: int = bounded(at_least=1)
    examples_per_second: float = bounded(at_least=0)
    epochs: int = bounded(at_least=1)
    seconds: float = bounded(at_least=0)
    peak_bytes: int | None = bounded(None, at_least=0)
    device: str
    resumed: bool

    @property
    def seconds_an_epoch(self) -> float:
        """Of stage one's steps."""
        return self.train_examples / max(self.examples_per_second, 1e-9)


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
