"""EmotionRecognizer: a trained model in use. A folder of files in, emotions of dialogues out; the corpus is not needed."""

import copy
import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import jax
import numpy as np
from flax import nnx
from jaxtyping import Float

from eacl_jax import encoders, model_folder
from eacl_jax.calibration import probabilities
from eacl_jax.config import Config, EncoderConfig
from eacl_jax.conversation import Conversation
from eacl_jax.dialogue import Dialogue, Taxonomy, Utterance
from eacl_jax.encoding import Encoding
from eacl_jax.inputs import DialogueLike, read_dialogues
from eacl_jax.mesh import make_mesh, put, replicated
from eacl_jax.model import Representer
from eacl_jax.model_folder import Settings
from eacl_jax.prediction import DialoguePrediction, Prediction
from eacl_jax.prompts import Example, PromptBuilder


class EmotionRecognizer:
    """Tells the emotion of each utterance of a dialogue from itself and its past.

    Recognizers do not change: `with_labels`, `adapt` and `calibrate` return new ones, which share the encoder's weights and
    what was compiled. Answers to an utterance do not depend on what else is asked at the same time, but for rounding.
    Not for use by several threads at once.
    """

    def __init__(
        self,
        settings: Settings,
        representer: Representer,
        *,
        tokenizer: Any,
        encoder_config: dict[str, Any],
        anchors: dict[str, np.ndarray],
        batch_size: int = 64,
    ) -> None:
        """Use `from_pretrained`.

        Args:
          settings: labels, prompt and readout.
          representer: encoder and mapping.
          tokenizer: the encoder's.
          encoder_config: the encoder's config.json.
          anchors: float32 [C, m] by stage, `stage_one` and `stage_two`; the latter predicts.
          batch_size: utterances encoded at once, about.
        """
        self.settings = settings
        self.anchors = anchors
        self._tokenizer, self._encoder_config = tokenizer, encoder_config
        self._prompts = PromptBuilder(
            tokenizer, settings.prompt, readout=settings.readout, trailing_space=settings.trailing_space
        )
        self._graphdef, state = nnx.split(representer, nnx.Param)
        graphdef, mesh = self._graphdef, make_mesh()
        self._params = put(nnx.to_pure_dict(state), replicated(mesh))
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
        calibration: dict[str, float],
    ) -> "EmotionRecognizer":
        """The recognizer that a run ends with.

        Args:
          config: of the run.
          taxonomy: of its corpus.
          tokenizer: the encoder's.
          encoder_config: the encoder's config.json.
          graphdef: static half of the Model.
          params: its parameters.
          anchors: as in the constructor.
          calibration: see `Settings`.
        """
        settings = Settings(
            labels=taxonomy.labels,
            words=taxonomy.words,
            prompt=config.prompt,
            model=config.model,
            readout=config.readout,
            trailing_space=config.compat.trailing_space,
            temperature=config.loss.temperature,
            encoder_dtype=config.encoder.dtype,
            calibration=calibration,
        )
        model = nnx.merge(graphdef, {name: params[name] for name in ("encoder", "predictor", "mapping")})
        return cls(
            settings,
            Representer(model.encoder, model.mapping, readout=config.readout),
            tokenizer=tokenizer,
            encoder_config=dict(encoder_config),
            anchors=anchors,
            batch_size=config.batch.eval_batch_size,
        )

    @classmethod
    def from_pretrained(cls, path: str | Path, *, revision: str = "main", batch_size: int = 64) -> "EmotionRecognizer":
        """Loads a model folder.

        Args:
          path: the folder, or the id of a hub repository that holds its files.
          revision: branch, tag or commit of a hub id.
          batch_size: utterances encoded at once, about.

        Raises:
          UserError: a file is missing or damaged, or files do not belong together.
        """
        folder = model_folder.find_folder(path, revision)
        settings = model_folder.read_settings(folder / "config.json")
        loaded = encoders.load(EncoderConfig(path=str(folder / "encoder"), dtype=settings.encoder_dtype))
        representer = nnx.eval_shape(
            lambda: Representer.build(loaded.module, settings.model, readout=settings.readout, rngs=nnx.Rngs(0))
        )
        graphdef, abstract = nnx.split(representer, nnx.Param)
        shapes = nnx.to_pure_dict(abstract)["mapping"]
        mapping, anchors = model_folder.read_heads(folder / "heads.safetensors", shapes, len(settings.labels))
        encoder = nnx.to_pure_dict(nnx.state(loaded.module, nnx.Param))
        return cls(
            settings,
            nnx.merge(graphdef, {"encoder": encoder, "mapping": mapping}),
            tokenizer=loaded.tokenizer,
            encoder_config=loaded.config,
            anchors=anchors,
            batch_size=batch_size,
        )

    def save_pretrained(self, folder: str | Path) -> None:
        """Writes the model folder; made where it is missing."""
        host = jax.tree.map(np.asarray, self._params)
        model_folder.write_folder(
            Path(folder),
            self.settings,
            nnx.merge(self._graphdef, host),
            self.anchors,
            encoder_config=self._encoder_config,
            tokenizer=self._tokenizer,
        )

    @property
    def taxonomy(self) -> Taxonomy:
        """Labels and their words."""
        return Taxonomy(self.settings.labels, self.settings.words)

    @property
    def labels(self) -> tuple[str, ...]:
        """What it can answer, in anchor order."""
        return self.settings.labels

    def warm(self) -> Iterator[tuple[int, int]]:
        """Compiles all that predicting runs, one shape [rows, tokens] after the other, smallest first, so that no later call
        has to wait for it; yields each when it is ready. Without it, a call compiles what it needs.
        """
        return self._encoding.warm(self._params)

    def encode(self, dialogues: DialogueLike | Sequence[DialogueLike]) -> Float[np.ndarray, "N m"]:
        """Representations of all utterances of the dialogues, in their order.

        Args:
          dialogues: see `predict`.
        """
        return self.represent(self.examples(read_dialogues(dialogues)[0]))

    def predict(self, dialogues: Any, *, stage: str = "stage_two") -> Any:
        """The emotion of every utterance.

        Args:
          dialogues: one dialogue or a list of them (`inputs.read_dialogues` says what may be one): texts with an utterance a
            line, dicts, lists of utterances, `Dialogue`s, or a DataFrame. Emotions in them are not looked at.
          stage: whose anchors to use, "stage_two" (adapted) or "stage_one".

        Returns:
          For one dialogue a `DialoguePrediction`, a sequence with one `Prediction` an utterance; for several, their list.

        Raises:
          UserError: something given is not a dialogue.
        """
        read, single = read_dialogues(dialogues)
        answers = iter(self.answer(self.encode(read), [u for d in read for u in d.utterances], stage=stage))
        results = [DialoguePrediction(d.id, tuple(next(answers) for _ in d.utterances)) for d in read]
        return results[0] if single else results

    def predict_last(self, dialogues: Sequence[Dialogue], *, stage: str = "stage_two") -> list[Prediction]:
        """The emotion of the last utterance of each dialogue, of which none may be empty; the others are its past only."""
        reps = self.represent(self.examples(dialogues, "last"))
        return self.answer(reps, [dialogue.utterances[-1] for dialogue in dialogues], stage=stage)

    def conversation(self) -> Conversation:
        """A conversation that goes on: `add` answers each utterance when it is said."""
        return Conversation(self)

    def cosines(self, reps: Float[np.ndarray, "N m"], *, stage: str = "stage_two") -> Float[np.ndarray, "N C"]:
        """Cosines of representations with the anchors, float64."""
        return _unit(reps) @ _unit(self.anchors[stage]).T

    def scores(self, reps: Float[np.ndarray, "N m"], *, stage: str = "stage_two") -> Float[np.ndarray, "N C"]:
        """Scores of representations with the anchors as `losses.scores` defines them, on the host and in float64: what is
        asked in a service has another number of utterances each time, and each would be compiled anew.
        """
        return ((1 + self.cosines(reps, stage=stage)) / 2 + 1e-8) / self.settings.temperature

    def examples(self, dialogues: Sequence[Dialogue], targets: Literal["all", "last"] = "all") -> list[Example]:
        """First step of predicting: the prompts of all utterances, or of each dialogue's last. Emotions are not looked at.

        A program that answers several callers at once (a service) takes the three steps itself: prompts of one caller and
        another may be represented together, also for recognizers that differ in their labels only.
        """
        unlabelled = [
            dataclasses.replace(d, utterances=tuple(dataclasses.replace(u, emotion=None) for u in d.utterances))
            for d in dialogues
        ]
        return self._prompts.build(unlabelled, self.taxonomy, targets=targets)

    def represent(self, examples: Sequence[Example]) -> Float[np.ndarray, "N m"]:
        """Second step: the prompts' representations."""
        if not examples:
            return np.zeros((0, self.anchors["stage_two"].shape[1]), np.float32)
        return self._encoding.represent(self._params, examples)

    def answer(
        self, reps: Float[np.ndarray, "N m"], utterances: Sequence[Utterance], *, stage: str = "stage_two"
    ) -> list[Prediction]:
        """Last step: the predictions for N representations and the utterances that they stand for."""
        labels = self.labels
        cosines = self.cosines(reps, stage=stage)
        probability = probabilities(self.scores(reps, stage=stage), self.settings.calibration[stage])
        best = cosines.argmax(axis=1)
        return [
            Prediction(u.speaker, u.text, labels[index], dict(zip(labels, p, strict=True)), dict(zip(labels, c, strict=True)))
            for u, index, p, c in zip(utterances, best, probability.tolist(), cosines.tolist(), strict=True)
        ]

    def _changed(self, settings: Settings, anchors: dict[str, np.ndarray]) -> "EmotionRecognizer":
        changed = copy.copy(self)
        changed.settings, changed.anchors = settings, anchors
        return changed


def _unit(vectors: Float[np.ndarray, "N m"]) -> Float[np.ndarray, "N m"]:
    """Unit vectors in float64; a zero vector stays zero."""
    vectors = np.asarray(vectors, np.float64)
    norm = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.where(norm < 1e-12, 1.0, norm)
