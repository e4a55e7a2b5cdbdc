"""EmotionRecognizer: a trained model in use. A folder of files in, emotions of dialogues out; the corpus is not needed.

The folder: `config.json` (labels, prompt, readout), `heads.safetensors` (predictor, mapping, anchors), and `encoder/`
(weights, config and tokenizer, as PyTorch transformers reads them).
"""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, get_args

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Float
from safetensors import SafetensorError
from safetensors.numpy import load_file

from eacl_jax import encoders, losses
from eacl_jax.config import Config, EncoderConfig, ModelConfig, PromptConfig, Readout
from eacl_jax.dialogue import Dialogue, Taxonomy
from eacl_jax.encoders.weights import write_tensors
from eacl_jax.encoding import Encoding
from eacl_jax.errors import UserError
from eacl_jax.mesh import make_mesh, put, replicated
from eacl_jax.model import Model
from eacl_jax.optim import path_name
from eacl_jax.prompts import PromptBuilder

FORMAT = "eacl_jax model 1"


@dataclasses.dataclass(frozen=True)
class Prediction:
    """The emotion of one utterance.

    Attributes:
      emotion: label of the nearest anchor.
      probabilities: by label, the softmax of the scores at the training temperature; not calibrated.
    """

    emotion: str
    probabilities: dict[str, float]


@dataclasses.dataclass(frozen=True)
class Settings:
    """What besides weights decides a prediction; `config.json` of a model folder."""

    labels: tuple[str, ...]
    words: tuple[str, ...]
    prompt: PromptConfig
    model: ModelConfig
    readout: Readout
    trailing_space: bool
    temperature: float
    encoder_dtype: Literal["float32", "bfloat16"]


class EmotionRecognizer:
    """Tells the emotion of each utterance of a dialogue from itself and its past."""

    def __init__(
        self,
        settings: Settings,
        *,
        tokenizer: Any,
        encoder_config: dict[str, Any],
        graphdef: Any,
        params: Any,
        anchors: dict[str, np.ndarray],
        batch_size: int = 64,
    ) -> None:
        """Use `from_pretrained`.

        Args:
          settings: labels, prompt and readout.
          tokenizer: the encoder's.
          encoder_config: the encoder's config.json.
          graphdef: static half of the Model.
          params: its parameters.
          anchors: float32 [C, m] by stage, `stage_one` and `stage_two`; the latter predicts.
          batch_size: utterances encoded at once.
        """
        self.settings = settings
        self.taxonomy = Taxonomy(settings.labels, settings.words)
        self.anchors = anchors
        self._tokenizer, self._encoder_config, self._graphdef, self._params = tokenizer, encoder_config, graphdef, params
        self._prompts = PromptBuilder(
            tokenizer,
            settings.prompt,
            readout=settings.readout,
            trailing_space=settings.trailing_space,
        )
        mesh = make_mesh()
        self._params = put(params, replicated(mesh))
        self._encoding = Encoding(
            lambda p: nnx.merge(graphdef, p), mesh, size=batch_size, max_tokens=settings.prompt.max_tokens
        )

    @classmethod
    def from_training(
        cls,
        config: Config,
        taxonomy: Taxonomy,
        *,
        tokenizer: Any,
        encoder_config: Any,
        graphdef: Any,
        params: Any,
        anchors: dict[str, np.ndarray],
    ) -> "EmotionRecognizer":
        """The recognizer that a run ends with; arguments as in the constructor."""
        settings = Settings(
            labels=taxonomy.labels,
            words=taxonomy.words,
            prompt=config.prompt,
            model=config.model,
            readout=config.readout,
            trailing_space=config.compat.trailing_space,
            temperature=config.loss.temperature,
            encoder_dtype=config.encoder.dtype,
        )
        kept = {name: params[name] for name in ("encoder", "predictor", "mapping")}
        return cls(
            settings,
            tokenizer=tokenizer,
            encoder_config=dict(encoder_config),
            graphdef=graphdef,
            params=kept,
            anchors=anchors,
            batch_size=config.batch.eval_batch_size,
        )

    @classmethod
    def from_pretrained(cls, path: str | Path, *, revision: str = "main", batch_size: int = 64) -> "EmotionRecognizer":
        """Loads a model folder.

        Args:
          path: the folder, or the id of a hub repository that holds its files.
          revision: branch, tag or commit of a hub id.
          batch_size: utterances encoded at once.

        Raises:
          UserError: a file is missing or damaged, or files do not belong together.
        """
        folder = _find(path, revision)
        settings = _read_settings(folder / "config.json")
        loaded = encoders.load(EncoderConfig(path=str(folder / "encoder"), dtype=settings.encoder_dtype))
        classes = len(settings.labels)
        model = nnx.eval_shape(
            lambda: Model(loaded.module, classes, settings.model, readout=settings.readout, rngs=nnx.Rngs(0))
        )
        graphdef, abstract = nnx.split(model, nnx.Param)
        heads, anchors = _read_heads(folder / "heads.safetensors", nnx.to_pure_dict(abstract), classes)
        encoder = nnx.to_pure_dict(nnx.state(loaded.module, nnx.Param))
        return cls(
            settings,
            tokenizer=loaded.tokenizer,
            encoder_config=loaded.config,
            graphdef=graphdef,
            params={"encoder": encoder, **heads},
            anchors=anchors,
            batch_size=batch_size,
        )

    def save_pretrained(self, folder: str | Path) -> None:
        """Writes the model folder; made where it is missing."""
        folder = Path(folder)
        host = jax.tree.map(np.asarray, self._params)
        model = nnx.merge(self._graphdef, host)
        encoders.save(model.encoder, self._encoder_config, folder / "encoder")
        self._tokenizer.save_pretrained(folder / "encoder")
        text = json.dumps({"format": FORMAT, **dataclasses.asdict(self.settings)}, indent=2, ensure_ascii=False)
        (folder / "config.json").write_text(text + "\n", encoding="utf-8")
        leaves = jax.tree_util.tree_flatten_with_path({name: host[name] for name in _HEADS})[0]
        tensors = {path_name(path).replace("/", "."): np.ascontiguousarray(leaf) for path, leaf in leaves}
        tensors |= {f"anchors.{stage}": np.ascontiguousarray(a) for stage, a in self.anchors.items()}
        write_tensors(tensors, folder / "heads.safetensors", readable_as=folder / "config.json")

    def encode(self, dialogues: Sequence[Dialogue]) -> Float[np.ndarray, "N m"]:
        """Representations of all utterances of the dialogues, in their order."""
        examples = self._prompts.build(_unlabelled(dialogues), self.taxonomy, targets="all")
        if not examples:
            return np.zeros((0, next(iter(self.anchors.values())).shape[1]), np.float32)
        return self._encoding.represent(self._params, examples)

    def predict(self, dialogues: Sequence[Dialogue], *, stage: str = "stage_two") -> list[list[Prediction]]:
        """The emotion of every utterance of every dialogue.

        Args:
          dialogues: emotions in them are not looked at.
          stage: whose anchors to use, "stage_two" (adapted) or "stage_one".

        Returns:
          For each dialogue a list with one prediction an utterance.
        """
        reps = self.encode(dialogues)
        score = losses.scores(jnp.asarray(reps), jnp.asarray(self.anchors[stage]), temperature=self.settings.temperature)
        probabilities = np.asarray(jax.nn.softmax(score, axis=1))
        best = np.asarray(score).argmax(axis=1)
        labels = self.settings.labels
        flat = iter(
            Prediction(labels[index], dict(zip(labels, map(float, row), strict=True)))
            for index, row in zip(best, probabilities, strict=True)
        )
        return [[next(flat) for _ in dialogue.utterances] for dialogue in dialogues]


_HEADS = ("predictor", "mapping")


def _unlabelled(dialogues: Sequence[Dialogue]) -> list[Dialogue]:
    return [
        dataclasses.replace(d, utterances=tuple(dataclasses.replace(u, emotion=None) for u in d.utterances)) for d in dialogues
    ]


def _find(path: str | Path, revision: str) -> Path:
    if Path(path).is_dir():
        return Path(path)
    if isinstance(path, Path) or path.startswith((".", "/", "~")) or path.count("/") != 1:
        raise UserError(f"{path} is no folder; give a run's model folder or the id of a hub repository.")
    from huggingface_hub import snapshot_download

    try:
        return Path(
            snapshot_download(path, revision=revision, allow_patterns=["config.json", "heads.safetensors", "encoder/*"])
        )
    except Exception as error:  # the hub's client raises errors of several libraries
        reason = str(error).strip().split("\n")[0]
        raise UserError(
            f"{path} is no folder, and cannot be had from the hub either ({type(error).__name__}: {reason})."
        ) from error


def _read_settings(file: Path) -> Settings:
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UserError(f"{file} is missing; expected the folder that a run leaves as `model/`.") from error
    except ValueError as error:
        raise UserError(f"{file} is not JSON ({error}).") from error
    if not isinstance(values, dict) or values.pop("format", None) != FORMAT:
        raise UserError(f"{file}: 'format' is not {FORMAT!r}; this folder was not written by this version's save_pretrained.")
    try:
        values |= {name: tuple(values[name]) for name in ("labels", "words")}
        values |= {"prompt": PromptConfig(**values["prompt"]), "model": ModelConfig(**values["model"])}
        settings = Settings(**values)
    except (KeyError, TypeError) as error:
        raise UserError(f"{file} lacks a field or holds an unknown one ({error}); save the model again.") from error
    if settings.readout not in get_args(Readout):
        raise UserError(
            f"{file}: 'readout' must be one of {', '.join(get_args(Readout))}, got {settings.readout!r}; save the model again."
        )
    return settings


def _read_heads(file: Path, abstract: Any, classes: int) -> tuple[Any, dict[str, np.ndarray]]:
    try:
        tensors = load_file(file)
    except FileNotFoundError as error:
        raise UserError(f"{file} is missing; expected the folder that a run leaves as `model/`.") from error
    except (SafetensorError, OSError) as error:
        raise UserError(f"{file} is damaged or no safetensors file ({error}); copy or save the model again.") from error
    anchors = {name.removeprefix("anchors."): tensors.pop(name) for name in list(tensors) if name.startswith("anchors.")}
    wrong = [f"anchors.{stage}: {len(a)} anchors for {classes} labels" for stage, a in anchors.items() if len(a) != classes]
    if "stage_two" not in anchors:
        wrong.append("anchors.stage_two: missing")

    def take(path: tuple[Any, ...], leaf: Any) -> Any:
        name = path_name(path).replace("/", ".")
        found = tensors.pop(name, None)
        if found is None or found.shape != leaf.shape:
            wrong.append(
                f"{name}: expected shape {list(leaf.shape)}, found {'nothing' if found is None else list(found.shape)}"
            )
        return found

    heads = jax.tree_util.tree_map_with_path(take, {name: abstract[name] for name in _HEADS})
    wrong += [f"{name}: not expected" for name in tensors]
    if wrong:
        raise UserError(f"{file} does not fit its config.json and encoder:\n  " + "\n  ".join(wrong))
    return heads, anchors
