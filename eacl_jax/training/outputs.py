"""What a run answered, kept in its folder as `outputs.safetensors`: enough to compare runs with one
another without their models.
"""

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Int
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from eacl_jax.errors import UserError
from eacl_jax.files.whole import write_bytes

FILE = "outputs.safetensors"
SCORED_SPLITS = ("dev", "test")


@dataclasses.dataclass(frozen=True)
class SplitOutputs:
    """Of one split's N annotated utterances, in the order of its dialogues.

    Attributes:
      gold: label indices; where an utterance may have several labels, booleans.
      dialogues: number of each utterance's dialogue, from 0, ascending.
      answers: by stage ("stage_one", "stage_two"), the same.
      scores: by stage, of the labels, with offsets and before calibration; where a chain answers,
        see `sequence.in_sequence`.
    """

    gold: Int[np.ndarray, " N"] | Bool[np.ndarray, "N C"]
    dialogues: Int[np.ndarray, " N"]
    answers: Mapping[str, Int[np.ndarray, " N"] | Bool[np.ndarray, "N C"]]
    scores: Mapping[str, Float[np.ndarray, "N C"]]


@dataclasses.dataclass(frozen=True)
class Outputs:
    """Of a run.

    Attributes:
      labels: the C labels, in anchor order.
      splits: of "dev" and "test".
      anchors: by stage, [C k, m].
      representations: of test, float16 [N, m]; the answers were made of float32.
    """

    labels: tuple[str, ...]
    splits: Mapping[str, SplitOutputs]
    anchors: Mapping[str, Float[np.ndarray, "A m"]]
    representations: Float[np.ndarray, "N m"]


def write_outputs(folder: Path, outputs: Outputs) -> None:
    """Writes the file, whole or not at all."""
    tensors: dict[str, np.ndarray] = {
        "test/representations": outputs.representations.astype(np.float16)
    }
    tensors |= {f"anchors/{stage}": a.astype(np.float32) for stage, a in outputs.anchors.items()}
    for name, split in outputs.splits.items():
        tensors |= {
            f"{name}/gold": split.gold.astype(np.int32),
            f"{name}/dialogues": split.dialogues.astype(np.int32),
        }
        for stage in split.answers:
            tensors |= {
                f"{name}/answers/{stage}": split.answers[stage].astype(np.int32),
                f"{name}/scores/{stage}": split.scores[stage].astype(np.float32),
            }
    labels = json.dumps(list(outputs.labels), ensure_ascii=False)
    contiguous = {name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}
    write_bytes(folder / FILE, save(contiguous, metadata={"labels": labels}))


def labels_of(kept: Int[np.ndarray, "N ..."]) -> np.ndarray:
    """Labels as they were before they were kept, as int32: [N] indices, or booleans [N, C]."""
    return kept.astype(bool) if kept.ndim == 2 else kept


def read_outputs(folder: str | Path) -> Outputs:
    """Reads what `write_outputs` wrote into a run's folder.

    Raises:
      UserError: the file is missing or damaged.
    """
    file = Path(folder) / FILE
    try:
        with safe_open(file, framework="numpy") as opened:
            labels = tuple(json.loads(opened.metadata()["labels"]))
            tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
        stages = [name.split("/")[1] for name in tensors if name.startswith("anchors/")]
        splits = {
            name: SplitOutputs(
                labels_of(tensors[f"{name}/gold"]),
                tensors[f"{name}/dialogues"],
                {stage: labels_of(tensors[f"{name}/answers/{stage}"]) for stage in stages},
                {stage: tensors[f"{name}/scores/{stage}"] for stage in stages},
            )
            for name in SCORED_SPLITS
        }
        return Outputs(
            labels,
            splits,
            {stage: tensors[f"anchors/{stage}"] for stage in stages},
            tensors["test/representations"],
        )
    except FileNotFoundError as error:
        raise UserError(f"{file} is missing; delete {folder} to train it again.") from error
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"{file} is damaged ({error}); delete {folder} to train it again."
        ) from error
