"""Runs a program on examples by ONNX Runtime, without JAX."""

import functools
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnxruntime
from jaxtyping import Float
from onnxruntime.capi.onnxruntime_pybind11_state import Fail, InvalidGraph, InvalidProtobuf

from eacl_jax.data.prompts import Example
from eacl_jax.errors import UserError
from eacl_jax.files.machine import processors

OUTPUT = "representations"
ANCHORS = "anchors"
SHARES = "shares"
# Tokens of a batch, with padding. Of 256 to 4,096 on MiniLM 512 and 1,024 were fastest: what a
# layer makes of them stays in the processor's caches.
_TOKENS = 512
_ERRORS_ONLY = 3

Compute = Callable[[Mapping[str, np.ndarray]], np.ndarray]
"""A program: its inputs by name -> representations [n, m]. Several threads may call it at once."""


class Session:
    """A program that is loaded, by ONNX Runtime unless `load` is another's.

    Each batch is run by one thread, and as many at once as there are processors: on two cores this
    answers 3 to 15% more than one batch by two threads, and does not lose where others use them.
    """

    def __init__(
        self,
        program: bytes | Path,
        *,
        load: Callable[[bytes | Path], Compute] | None = None,
        tokens: int = _TOKENS,
    ) -> None:
        """Args:
        program: its file, or what would be in it.
        load: loads it.
        tokens: of a batch, at most.
        """
        self._compute = (load or _by_onnx_runtime)(program)
        self._threads, self._tokens = processors(), tokens
        self._pool_of: tuple[int, ThreadPoolExecutor] | None = None

    def _pool(self) -> ThreadPoolExecutor:
        """Of this process: `os.fork` does not take threads along."""
        if self._pool_of is None or self._pool_of[0] != os.getpid():
            pool = ThreadPoolExecutor(self._threads, thread_name_prefix="onnx")
            self._pool_of = os.getpid(), pool
        return self._pool_of[1]

    def represent(self, examples: Sequence[Example]) -> Float[np.ndarray, "N m"]:
        """Representations of the examples, in their order."""
        batches = list(batches_of(examples, self._threads, self._tokens))
        run = self._pool().map if len(batches) > 1 and self._threads > 1 else map
        found = list(run(functools.partial(self._run, examples), batches))
        order = np.concatenate(batches)
        stacked = np.concatenate(found)
        result = np.empty_like(stacked)
        result[order] = stacked
        return result

    def _run(self, examples: Sequence[Example], batch: Sequence[int]) -> Float[np.ndarray, "n m"]:
        return self._compute(inputs_of([examples[i] for i in batch]))


def _by_onnx_runtime(program: bytes | Path) -> Compute:
    session = session_of(program)
    return lambda inputs: session.run([OUTPUT], inputs)[0]


def label_anchors(
    session: onnxruntime.InferenceSession, words: Sequence[Example], classes: int
) -> Float[np.ndarray, "C m"]:
    """Anchors of C labels by `program.label_program`.

    Args:
      session: the program.
      words: all labels' words or phrases, each with its `label`, from 0 to C - 1.
      classes: C.
    """
    owners = np.array([word.label for word in words])
    member = (owners == np.arange(classes)[:, None]).astype(np.float32)
    given = inputs_of(words)
    del given["readout"]
    given[SHARES] = member / member.sum(1, keepdims=True)
    return session.run([ANCHORS], given)[0]


def session_of(program: bytes | Path) -> onnxruntime.InferenceSession:
    """A program, loaded for one thread.

    Raises:
      UserError: it is damaged.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = _ERRORS_ONLY
    given = program if isinstance(program, bytes) else str(program)
    try:
        return onnxruntime.InferenceSession(given, options, providers=["CPUExecutionProvider"])
    except (InvalidProtobuf, InvalidGraph, Fail) as error:
        raise damaged(program, error) from error


def damaged(program: bytes | Path, error: Exception) -> UserError:
    """What to say of a program that cannot be loaded."""
    name = "the program" if isinstance(program, bytes) else str(program)
    reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return UserError(f"{name} cannot be read ({reason}): prepare the model again.")


def batches_of(
    examples: Sequence[Example], threads: int, most: int = _TOKENS
) -> Iterator[list[int]]:
    """Indices of examples of about one length, the longest first, so that hardly anything is
    padding; a batch has at most so many tokens, or one example. Few examples, as of a service's
    call, are divided among all threads.
    """
    lengths = [len(example.tokens) for example in examples]
    # A little more than a share, so that nothing is left over for one more batch.
    tokens = min(most, sum(lengths) // threads + max(lengths) // 2)
    batch: list[int] = []
    for index in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        if batch and (len(batch) + 1) * lengths[batch[0]] > tokens:
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch


def inputs_of(examples: Sequence[Example]) -> dict[str, np.ndarray]:
    """What a program is given: each example in a row of its own."""
    longest = max(len(example.tokens) for example in examples)
    tokens, positions, segment_ids = np.zeros((3, len(examples), longest), np.int32)
    for row, example in enumerate(examples):
        count = len(example.tokens)
        tokens[row, :count], segment_ids[row, :count] = example.tokens, 1
        positions[row, :count] = np.arange(count)
    readout = np.array([[row, each.readout] for row, each in enumerate(examples)], np.int32)
    return {
        "tokens": tokens,
        "positions": positions,
        "segment_ids": segment_ids,
        "readout": readout,
    }
