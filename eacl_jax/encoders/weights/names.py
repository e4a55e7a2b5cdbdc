"""Names of a checkpoint's tensors and of our parameters, paired one to one so that the same table
reads and writes.

A name may hold `{layer}`, which stands for each layer's number. Where layers are stacked, our
parameter has no number in its path: tensor i of the checkpoint is row i of it.
"""

import dataclasses
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any, ClassVar

from flax import nnx


@dataclasses.dataclass(frozen=True)
class Name:
    """A tensor of the checkpoint and the parameter it fills.

    Attributes:
      tensor, parameter: their names.
      transpose: PyTorch's [out, in] is our kernel's [in, out].
      first: lower layers have no such tensor. Their row of a stacked parameter is there, and
        nothing reads it.
    """

    tensor: str
    parameter: str
    transpose: bool = False
    first: int = 0


def linear(tensor: str, parameter: str) -> tuple[Name, ...]:
    """A dense layer, with or without a bias."""
    return Name(f"{tensor}.weight", f"{parameter}.kernel", transpose=True), Name(
        f"{tensor}.bias", f"{parameter}.bias"
    )


def norm(tensor: str, parameter: str, *, first: int = 0) -> tuple[Name, ...]:
    """A LayerNorm with scale and bias, or one of its kind with less."""
    return (
        Name(f"{tensor}.weight", f"{parameter}.scale", first=first),
        Name(f"{tensor}.bias", f"{parameter}.bias", first=first),
    )


def table(tensor: str, parameter: str) -> tuple[Name, ...]:
    """An embedding table."""
    return (Name(f"{tensor}.weight", f"{parameter}.embedding"),)


def prefixes(model: str) -> tuple[str, ...]:
    """What may stand before an encoder's names: `model` in a task model, `0.auto_model` in
    sentence-transformers' files.
    """
    return "", f"{model}.", "0.auto_model.", f"0.auto_model.{model}."


@dataclasses.dataclass(frozen=True)
class Slot:
    """Where one tensor goes: a parameter's path, and the row of it where layers are stacked."""

    path: str
    row: int | None
    transpose: bool


@dataclasses.dataclass(frozen=True)
class NameTable:
    """All of an architecture's names.

    Attributes:
      pairs: every tensor that an encoder of the architecture may have; config.json decides which of
        them it has.
      anchor: the tensor by which a checkpoint's prefix is found: always there, once.
      prefixes: what may stand before the names.
      ignored: regular expressions of tensors, without prefix, that are known and not part of the
        encoder.
      aliases: other names of tied tensors; where one is there under both, the one under its alias
        counts: transformers takes T5's `encoder.embed_tokens`, also where `shared` is another.
    """

    pairs: tuple[Name, ...]
    anchor: str
    prefixes: tuple[str, ...]
    ignored: tuple[str, ...]
    aliases: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def slots(
        self, num_layers: int, parameters: Collection[str], *, stacked: bool
    ) -> dict[str, Slot]:
        """The names of an encoder's tensors, without prefix, and where they go.

        Args:
          num_layers: of the encoder.
          parameters: paths of its parameters.
          stacked: its layers' parameters are stacked.
        """
        slots: dict[str, Slot] = {}
        for pair in self.pairs:
            for layer in range(pair.first, num_layers) if "{layer}" in pair.tensor else (None,):
                tensor = pair.tensor.replace("{layer}", str(layer))
                path = pair.parameter.replace(".{layer}", "" if stacked else f".{layer}")
                if tensor in slots:
                    raise ValueError(f"two pairs of the name table are for {tensor!r}.")
                if path in parameters:
                    slots[tensor] = Slot(path, layer if stacked else None, pair.transpose)
        return slots

    def unread(self) -> set[str]:
        """Paths of parameters, layers not stacked, that have no tensor and that nothing reads: see
        `Name.first`.
        """
        return {
            pair.parameter.replace("{layer}", str(layer))
            for pair in self.pairs
            for layer in range(pair.first)
        }

    def find(
        self,
        keys: Sequence[str],
        slots: dict[str, Slot],
        problems: list[str],
        *,
        ignored: Sequence[str] = (),
    ) -> dict[str, str]:
        """Pairs each of `slots` with the key of a checkpoint that fills it; notes in `problems`
        what does not fit.

        `ignored`: as the table's own, and beside them.

        Returns:
          Checkpoint key by tensor name. Tensors that are missing are left out.
        """
        plain = {
            key: _OLD_NORM.sub(lambda old: f"LayerNorm.{_NEW_NORM[old[1]]}", key) for key in keys
        }
        anchors = {
            self.anchor,
            *(alias for alias, name in self.aliases.items() if name == self.anchor),
        }
        prefixes = [
            prefix
            for prefix in self.prefixes
            if any(prefix + anchor in plain.values() for anchor in anchors)
        ]
        if len(prefixes) != 1:
            expected = ", ".join(repr(prefix + self.anchor) for prefix in self.prefixes)
            problems.append(
                f"expected exactly one of {expected}; found {len(prefixes)} among"
                f" {_some(keys) or 'no tensors'}"
            )
            if not prefixes and (before := self._before(list(plain.values()), anchors)):
                problems.append(
                    f"all names begin with {before!r}: save the encoder without it"
                    if all(key.startswith(before) for key in keys)
                    else f"the encoder's names begin with {before!r}: save it alone and without it"
                )
            return {}
        found: dict[str, str] = {}
        unknown = []
        names = {key: name.removeprefix(prefixes[0]) for key, name in plain.items()}
        twice = {self.aliases[name] for name in names.values() if name in self.aliases}
        for key, name in names.items():
            if name in twice:
                continue
            name = self.aliases.get(name, name)
            if name in found:
                problems.append(f"{found[name]!r} and {key!r} are the same tensor")
            elif name in slots:
                found[name] = key
            elif not any(re.fullmatch(pattern, name) for pattern in (*self.ignored, *ignored)):
                unknown.append(key)
        if missing := [prefixes[0] + name for name in slots if name not in found]:
            problems.append(f"missing: {_some(missing)}")
        if unknown:
            problems.append(f"not part of this architecture: {_some(unknown)}")
        return found

    def _before(self, names: Sequence[str], anchors: Collection[str]) -> str:
        """What a program put before an encoder's names, such as "module."; empty where that cannot
        be told.
        """
        found = {
            # The longest that is known belongs to the names.
            min(
                name.removesuffix(prefix + anchor)
                for prefix in self.prefixes
                if name.endswith(prefix + anchor)
            )
            for anchor in anchors
            for name in names
            if name.endswith(f".{anchor}")
        }
        return found.pop() if len(found) == 1 else ""


class Named(nnx.Module):
    """A module whose parameters a name table pairs with a checkpoint's tensors: a stack of like
    layers, and what is around it.

    Attributes:
      names: of every parameter.
      num_layers: layers in the stack.
      layers: the stack, as `stack_layers` makes it.
    """

    names: ClassVar[NameTable]
    num_layers: int
    layers: Any


# Checkpoints converted from TensorFlow call a LayerNorm's scale and bias gamma and beta.
_OLD_NORM = re.compile(r"LayerNorm\.(gamma|beta)$")
_NEW_NORM = {"gamma": "weight", "beta": "bias"}
# Names of tensors in a message.
_MOST = 8


def _some(names: Sequence[str]) -> str:
    rest = len(names) - _MOST
    return ", ".join(map(repr, names[:_MOST])) + (f" and {rest} more" if rest > 0 else "")
