"""PyTorch's pickle files, read through its reader of tensors alone, which runs none of their
contents.
"""

import pickle
import re
from pathlib import Path
from typing import Any

import numpy as np

from eacl_jax.encoders.weights.tensor_file import TYPES, TensorFile, damaged
from eacl_jax.errors import UserError
from eacl_jax.files.local import error_number


class TorchFile(TensorFile):
    """What torch.save wrote, through PyTorch's reader of tensors alone. Needs PyTorch, which
    nothing else here does.
    """

    def __init__(self, file: Path) -> None:
        torch = _import_torch(file)
        try:
            # Before PyTorch 1.6 the format was no zip archive; it cannot be mapped and is read into
            # memory.
            with file.open("rb") as stream:
                mapped = stream.read(4) == b"PK\3\4"
            loaded = torch.load(file, map_location="cpu", weights_only=True, mmap=mapped)
        # What a damaged file raises is not documented: RuntimeError, EOFError, KeyError, ...
        except Exception as error:
            raise UserError(_refused(file, error)) from error
        if not isinstance(loaded, dict):
            raise UserError(
                f"{file} holds a {type(loaded).__name__}, expected tensors by name (a state_dict);"
                " save it again."
            )
        # Others are skipped: deberta-large's file has an entry 'config'. What is then missing, the
        # caller says.
        self._tensors = {
            name: value.detach()
            for name, value in loaded.items()
            if isinstance(name, str)
            and isinstance(value, torch.Tensor)
            and value.layout == torch.strided
            and value.is_cpu
        }
        if not self._tensors and (inside := _holding(loaded, torch.Tensor)):
            raise UserError(
                f"{file}: the tensors are under {inside!r:.60}, as a training program saved them;"
                f" save that alone: torch.save(checkpoint[{inside!r:.60}], FILE)."
            )
        self.described = {
            name: (
                tuple(tensor.shape),
                TYPES.get(dtype := str(tensor.dtype).removeprefix("torch."), dtype),
            )
            for name, tensor in self._tensors.items()
        }

    def read(self, name: str) -> np.ndarray:
        # Let go of, so that as ours are made those that are in memory go.
        tensor = self._tensors.pop(name)
        # NumPy has no bfloat16, and every bfloat16 is a float32.
        return (tensor.float() if self.described[name][1] == "BF16" else tensor).numpy()


def _holding(loaded: dict[Any, Any], kind: type) -> str:
    """Under which name there are tensors by name, among what is no tensor; empty: under none."""
    return next(
        (
            str(name)
            for name, value in loaded.items()
            if isinstance(value, dict) and any(isinstance(each, kind) for each in value.values())
        ),
        "",
    )


def _import_torch(file: Path) -> Any:
    try:
        import torch
    except (ImportError, OSError) as error:
        raise UserError(
            needs_torch(str(file), f"which cannot be imported here ({error})")
        ) from error
    if torch.__version__ < "2.6":
        raise UserError(
            needs_torch(
                str(file),
                f"not {torch.__version__}, whose reader of tensors alone could run code"
                " (CVE-2025-32434)",
            )
        )
    return torch


def needs_torch(where: str, problem: str) -> str:
    return (
        f"{where}: to read pytorch_model.bin takes PyTorch 2.6 or newer, {problem}. Install it; or"
        " write model.safetensors on any machine that has it, with transformers'"
        " AutoModel.from_pretrained(SOURCE).save_pretrained(FOLDER), and give that folder."
    )


def _refused(file: Path, error: Exception) -> str:
    # PyTorch goes on to advise loading it all the same.
    reason = str(error).partition("In PyTorch 2.6")[0] or type(error).__name__
    if isinstance(error, pickle.UnpicklingError) and (
        other := re.search(r"GLOBAL (\S+)", str(error))
    ):
        return (
            f"{file} holds a {other[1]}, and only tensors are read, since anything else may run"
            " code when it is loaded. Fetch the weights as model.safetensors, or save their"
            " state_dict alone."
        )
    return damaged(file, "PyTorch checkpoint", error if error_number(error) else reason)
