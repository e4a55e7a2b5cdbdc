"""Runs a program by OpenVINO, without JAX."""

import functools
import io
import queue
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from eacl_jax.errors import UserError
from eacl_jax.files.machine import Threads, processors
from eacl_jax.onnx.session import OUTPUT, Session, damaged

_DEVICE = "CPU"
_SINCE = "2026.3"
# OpenVINO's own choice is bfloat16 wherever the processor has it.
_HINTS = {"float32": "f32", "bfloat16": "bf16"}
# Kernels of so many shapes that came before are kept: after 480 shapes the process has 0.8 GB, and
# 1.1 GB by OpenVINO's own choice.
_SHAPES = 128
# Tokens of a batch. Of 384 to 2,048, on MiniLM in bfloat16 with AMX, 768 were fastest.
_TOKENS = {"float32": 512, "bfloat16": 768}


def openvino_session(program: bytes | Path, precision: str) -> Session:
    """A program that is loaded, its products float32 or bfloat16.

    Raises:
      UserError: this processor has no products of bfloat16.
    """
    if precision == "bfloat16" and "BF16" not in capabilities():
        raise UserError(
            "precision 'bfloat16': this processor does not multiply such numbers (that takes AMX or"
            " AVX512-BF16), and would be slower than with float32: use that, or int8 of runtime"
            " 'onnx'."
        )
    load = functools.partial(_load, precision=precision)
    return Session(program, load=load, tokens=_TOKENS[precision])


def capabilities() -> list[str]:
    """What OpenVINO says that this processor computes with."""
    return openvino_package().Core().get_property(_DEVICE, "OPTIMIZATION_CAPABILITIES")


@functools.cache
def openvino_package() -> Any:
    """The package. Its import sends an event over the network and writes into the home folder by
    `openvino_telemetry`, but does without where that cannot be imported.
    """
    name = "openvino_telemetry"
    there = sys.modules.get(name)
    sys.modules[name] = None  # type: ignore[assignment]
    try:
        import openvino
    finally:
        if there is None:
            del sys.modules[name]
        else:
            sys.modules[name] = there
    return openvino


def _numbers(version: str) -> list[int]:
    return [int(part) for part in version.split(".")[:2]]


def _load(program: bytes | Path, *, precision: str) -> Any:
    openvino = openvino_package()
    core, threads = openvino.Core(), processors()
    try:
        model = core.read_model(io.BytesIO(program) if isinstance(program, bytes) else str(program))
    except RuntimeError as error:
        version = openvino.get_version().partition("-")[0]
        if _numbers(version) >= _numbers(_SINCE):
            raise damaged(program, error) from error
        raise UserError(
            f"OpenVINO {version} does not know all that the program does, which takes {_SINCE} or"
            f" newer: pip install 'openvino>={_SINCE}'; or use runtime 'onnx'."
        ) from error
    compiled = core.compile_model(
        model,
        _DEVICE,
        {
            "INFERENCE_PRECISION_HINT": _HINTS[precision],
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": threads,
            "CPU_RUNTIME_CACHE_CAPACITY": _SHAPES,
        },
    )
    # Architectures whose positions are distances do not read `positions`.
    reads = {name for port in compiled.inputs for name in port.get_names()}
    # One at a time may use a request.
    free: queue.SimpleQueue[Any] = queue.SimpleQueue()
    made_here = Threads()
    for _ in range(threads):
        free.put(compiled.create_infer_request())

    def compute(inputs: Mapping[str, np.ndarray]) -> Float[np.ndarray, "n m"]:
        made_here.check()
        request = free.get()
        try:
            given = {name: value for name, value in inputs.items() if name in reads}
            return np.array(request.infer(given, share_inputs=True)[OUTPUT])
        finally:
            free.put(request)

    return compute
