"""A recognizer's encoder and heads in JAX."""

import functools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Float

from eacl_jax import encoders
from eacl_jax.config import Config
from eacl_jax.data.prompts import Example
from eacl_jax.dialogue import Taxonomy
from eacl_jax.errors import UserError
from eacl_jax.files.machine import Threads
from eacl_jax.model.label_words import LABELS_AT_ONCE, label_batches, mean_by_label
from eacl_jax.model.mesh import Mesh, keep_or_put, local_mesh, replicated
from eacl_jax.model.passes import Passes
from eacl_jax.model.representer import Representer, branches
from eacl_jax.recognizer.folder import Settings, check_longest
from eacl_jax.recognizer.locate import Unchanged
from eacl_jax.recognizer.lora_folder import load_encoder, load_label_encoder
from eacl_jax.recognizer.runtime import JAX
from eacl_jax.recognizer.weights import read_heads, write_folder


class Trained(NamedTuple):
    """The parts of a trained model that a recognizer needs.

    Attributes:
      graphdef: static half of the `Representer`.
      params: its parameters, arrays of the host or of devices.
      label_encoder: gives the encoder for words of other labels; None: the trained one encodes
        them, or nothing does (`Settings.made_of_words`).
    """

    graphdef: Any
    params: Any
    label_encoder: Callable[[], encoders.Encoder] | None = None


class JaxRuntime:
    """See `Runtime`; each shape of batch is compiled once.

    Attributes:
      precision: the encoder's type.
      graphdef: static half of the `Representer`.
      params: its parameters, nested dict of arrays on the devices.
      label_encoder: gives the encoder for words of other labels; None: the trained one encodes
        them, or nothing does.
      passes: the compiled ones.
    """

    name, cost = JAX, ""

    def __init__(
        self,
        settings: Settings,
        parts: Trained,
        *,
        batch_size: int = 64,
        mesh: Mesh | None = None,
    ) -> None:
        """Puts the model on its devices.

        Args:
          settings: of the model.
          parts: of it.
          batch_size: utterances encoded at once, about.
          mesh: devices; None: all of this process. Over devices of several processes, all of these
            have to ask the same.
        """
        if batch_size < 1:
            raise UserError(f"batch_size must be at least 1, got {batch_size}.")
        graphdef, params, label_encoder = parts
        self.precision, self._threads = settings.encoder_dtype, Threads()
        self.label_encoder = None if label_encoder is None else functools.cache(label_encoder)
        mesh = local_mesh() if mesh is None else mesh
        self.graphdef, self.params = graphdef, keep_or_put(params, replicated(mesh))
        self.passes = Passes(
            lambda p: nnx.merge(graphdef, p),
            mesh,
            size=batch_size,
            max_tokens=settings.prompt.max_tokens,
            modalities=settings.fused,
        )

    def represent(self, examples: Sequence[Example]) -> Float[np.ndarray, "N m"]:
        """See `Runtime`."""
        self._threads.check()
        return self.passes.represent(self.params, examples)

    def compile_ahead(self) -> Iterator[tuple[int, int]]:
        """See `Runtime`."""
        self._threads.check()
        return self.passes.compile_ahead(self.params)

    def label_anchors(
        self, tokenizer: Any, taxonomy: Taxonomy, longest: int
    ) -> Float[np.ndarray, "C m"]:
        """See `Runtime`."""
        self._threads.check()
        params = self.params
        if self.label_encoder is not None:
            params = {
                **params,
                "encoder": nnx.to_pure_dict(nnx.state(self.label_encoder(), nnx.Param)),
            }
        encoded, owners = [], []
        for batch, count in label_batches(tokenizer, taxonomy, longest):
            encoded.append(self.passes.encode_labels(params, batch)[:count])
            owners.append(batch.labels[:count])
        classes = len(taxonomy)
        encodings = mean_by_label(
            jnp.concatenate(encoded), jnp.asarray(np.concatenate(owners)), classes
        )
        # In pieces of one size, so that labels of any number are compiled once.
        filled = jnp.pad(encodings, ((0, -classes % LABELS_AT_ONCE), (0, 0)))
        mapped = [
            np.asarray(self.passes.map(params, filled[start : start + LABELS_AT_ONCE]))
            for start in range(0, classes, LABELS_AT_ONCE)
        ]
        return np.concatenate(mapped)[:classes]

    def save(
        self,
        folder: Path,
        settings: Settings,
        anchors: dict[str, np.ndarray],
        *,
        encoder_config: Any,
        tokenizer: Any,
    ) -> None:
        """Writes a model folder, all but its card; see `weights.write_folder`."""
        host = jax.tree.map(np.asarray, self.params)
        write_folder(
            folder,
            settings,
            nnx.merge(self.graphdef, host),
            anchors,
            label_encoder=self.label_encoder() if self.label_encoder else None,
            encoder_config=encoder_config,
            tokenizer=tokenizer,
        )


def parts_of(config: Config, graphdef: Any, params: Any) -> Trained:
    """What a recognizer needs of a run's model.

    Args:
      config: of the run. The pretrained encoder, from which anchors were made, is read again.
      graphdef: static half of the Model.
      params: its parameters.
    """
    model = nnx.merge(graphdef, branches(params))
    parts = Representer(
        model.encoder,
        model.head,
        readout=config.readout,
        fusion=model.fusion,
        text=model.text,
    )
    representer, state = nnx.split(parts, nnx.Param)
    return Trained(
        representer,
        nnx.to_pure_dict(state),
        (
            (lambda: encoders.load(config.encoder, seed=config.seed).module)
            if config.anchor_encoding == "fixed"
            else None
        ),
    )


class Loaded(NamedTuple):
    """What a model folder holds, with the arguments of the constructor."""

    parts: Trained
    tokenizer: Any
    encoder_config: dict[str, Any]
    anchors: dict[str, np.ndarray]


def load(folder: Path, settings: Settings) -> Loaded:
    """Reads a model folder.

    Raises:
      UserError: a file is missing or damaged, or files do not belong together.
    """
    same = Unchanged(folder)
    loaded = load_encoder(folder, settings.encoder_dtype)
    check_longest(folder, settings, loaded.module.max_length)
    representer = nnx.eval_shape(
        lambda: Representer.build(
            loaded.module,
            settings.model,
            readout=settings.readout,
            classes=len(settings.labels) if settings.head == "predictor" else None,
            modalities=settings.fused,
            features=settings.features,
            rngs=nnx.Rngs(0),
        )
    )
    graphdef, abstract = nnx.split(representer, nnx.Param)
    shapes = nnx.to_pure_dict(abstract)
    shapes[settings.head] = shapes.pop("mapping")
    del shapes["encoder"]
    heads, anchors = read_heads(folder / "heads.safetensors", shapes, settings)
    heads["mapping"] = heads.pop(settings.head)
    encoder = nnx.to_pure_dict(nnx.state(loaded.module, nnx.Param))

    def label_encoder() -> encoders.Encoder:
        same.check()
        return load_label_encoder(folder, settings.encoder_dtype)

    fixed = settings.anchor_encoding == "fixed" and settings.made_of_words
    parts = Trained(graphdef, {"encoder": encoder, **heads}, label_encoder if fixed else None)
    return Loaded(parts, loaded.tokenizer, loaded.config, anchors)
