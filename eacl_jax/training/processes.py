"""Several processes that do one run together, by JAX's own runtime: who this one is, and how all of
them agree.

One process, with which a run on one machine has to do, agrees with itself at once. With several,
all must come to the same calls in the same order. What they agree on passes through the
coordination service that `jax.distributed.initialize` started, which needs no devices.
"""

import collections
import contextlib
import json
import os
import signal
import socket
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeVar, cast

import jax
import numpy as np

# JAX has no public name for the service's client; orbax takes it from here as well.
from jax._src.distributed import global_state
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from eacl_jax.errors import UserError

PATIENCE = 3600.0
"""Seconds for which a process waits for the others: one may have a corpus to fetch, or to export.
Those that are dead are noticed otherwise."""
_ANSWER_SECONDS = 30.0  # seconds more for the answer than for the question
_FOLDER = "eacl_jax"
_FAILED = "failed"
_NUMBER = "the number of processes"
_LOOK = 1000  # milliseconds between two looks at signals, and whether who is waited for has failed
T = TypeVar("T")


class LateError(UserError):
    """Some processes did not come in time."""


class CommonError(UserError):
    """What all processes of a run say alike."""


class AbsentError(CommonError):
    """Another process has failed, and does not come."""


_asked: collections.Counter[str] = collections.Counter()
_scope = ""
_points = 0


def count() -> int:
    """Number of processes."""
    return int(global_state.num_processes) if global_state.client is not None else 1


def index() -> int:
    """This process' number, from 0."""
    return int(global_state.process_id) if count() > 1 else 0


def is_main() -> bool:
    """Whether this is the process that writes and speaks for all."""
    return index() == 0


def agree(name: str, value: Any, seconds: float = PATIENCE) -> list[Any]:
    """The values that all processes bring, in their order; each gets the same list.

    Args:
      name: of the question, the same in all processes.
      value: JSON value.
      seconds: how long to wait for the others.

    Raises:
      LateError: some did not come in time; says which.
      AbsentError: one has failed in this `attempt`.
    """
    if count() == 1:
        return [value]
    name = f"{_scope}{name}"
    _asked[name] += 1
    key = f"{_FOLDER}/{name}/{_asked[name]}"
    client, deadline = _client(), time.monotonic() + seconds
    client.key_value_set(f"{key}/{index()}", json.dumps(value))
    if is_main():
        values = [_get(f"{key}/{number}", deadline) for number in range(count())]
        late = [number for number, found in enumerate(values) if found is None]
        client.key_value_set(f"{key}/all", json.dumps({"late": late, "values": values}))
    answer = _get(f"{key}/all", deadline + _ANSWER_SECONDS)
    late = [0] if answer is None else json.loads(answer)["late"]
    if late:
        raise LateError(
            f"waited {seconds:.0f} s for {names(late)} at {name!r}; look at what"
            f" {'they say' if len(late) > 1 else 'it says'}, and start all again to go on."
        )
    return [json.loads(each) for each in json.loads(str(answer))["values"]]


@contextlib.contextmanager
def attempt(name: str, but: type[Exception]) -> Iterator[None]:
    """What all processes do together, and may fail at singly: where one leaves the block with an
    exception, those that wait for its answers get an `AbsentError`, and what is asked later has
    nothing to do with what was asked within.

    Args:
      name: of the attempt, another each time.
      but: an exception with which all leave alike.
    """
    global _scope
    before, _scope = _scope, f"{name}/"
    try:
        yield
    except Exception as error:
        if count() > 1 and not isinstance(error, but):
            publish(f"{_scope}{_FAILED}", names([index()]))
        raise
    finally:
        _scope = before


def barrier(name: str, seconds: float = PATIENCE) -> None:
    """Waits until all processes are here.

    Raises:
      LateError: some did not come in time; says which.
    """
    agree(name, None, seconds)


def by_main(name: str, do: Callable[[], T]) -> T:
    """What the first process' `do` returns, in all processes.

    Args:
      name: of what is done, the same in all processes.
      do: called in the first process only; returns a JSON value.

    Raises:
      CommonError: in all processes, where `do` raises a UserError and there are several.
      Exception: what `do` raises; in other processes a CommonError says it.
    """
    if count() == 1:
        return do()
    if not is_main():
        value, problem = agree(name, None)[0]
        if problem is not None:
            raise CommonError(problem)
        return cast(T, value)
    try:
        value = do()
    except UserError as error:
        agree(name, [None, str(error)])
        raise CommonError(str(error)) from error.__cause__ or error
    except Exception as error:
        agree(name, [None, f"{names([0])}: {type(error).__name__}: {error}"])
        raise
    agree(name, [value, None])
    return value


def of_main(array: np.ndarray) -> np.ndarray:
    """The first process' array, in all processes; over the devices, which must be there.

    Args:
      array: of the same shape and type in all processes.
    """
    devices = {device.process_index: device for device in reversed(jax.devices())}
    mesh = Mesh([devices[number] for number in sorted(devices)], ("process",))
    mine = array if is_main() else np.zeros_like(array)
    rows = jax.make_array_from_single_device_arrays(
        (count(), *array.shape),
        NamedSharding(mesh, PartitionSpec("process")),
        [jax.device_put(mine[None], devices[jax.process_index()])],
    )
    first = jax.jit(_first, out_shardings=NamedSharding(mesh, PartitionSpec()))(rows)
    return np.asarray(first.addressable_data(0))


def _first(rows: jax.Array) -> jax.Array:
    return rows[0]


def all_ready(name: str, do: Callable[[], T]) -> T:
    """What `do` returns, once all processes have done it.

    Args:
      name: of what is done, the same in all processes.
      do: called in each process.

    Raises:
      CommonError: in all processes, where `do` raises a UserError in some of several; says who and
        why.
    """
    if count() == 1:
        return do()
    try:
        value, cause = do(), None
    except UserError as error:
        cause = error
    problems = agree(name, None if cause is None else [socket.gethostname(), str(cause)])
    texts = {text for _, text in filter(None, problems)}
    if not texts:
        return value
    if len(texts) == 1 and all(problems):
        (message,) = texts
    else:
        message = "\n  ".join(
            f"{names([number])} ({found[0]}): {found[1]}"
            for number, found in enumerate(problems)
            if found
        )
    raise CommonError(message) from cause


def check_equal(what: Mapping[str, str]) -> None:
    """Makes sure that all processes bring the same, and know of equally many.

    Args:
      what: a text for each thing, by the words that tell a person what it is.

    Raises:
      CommonError: names each thing that differs, and who differs from process 0 in it.
    """
    first, *others = agree("given", {_NUMBER: str(count()), **what})
    lines = []
    for name in {**first, **{key: None for other in others for key in other}}:
        apart = [
            number for number, other in enumerate(others, 1) if other.get(name) != first.get(name)
        ]
        if apart:
            values = {str(others[number - 1].get(name)) for number in apart}
            lines.append(
                f"{name}: {names([0])} has {_short(first.get(name), values)}, {names(apart)}"
                f" {' or '.join(_short(v, {str(first.get(name))}) for v in sorted(values))}"
            )
    if lines:
        raise CommonError(
            "the processes of this run were not given the same; all need the same code, settings,"
            " data and encoder. They differ in\n  " + "\n  ".join(lines)
        )


def names(numbers: Iterable[int]) -> str:
    """`process 1`, or `processes 1, 2`."""
    found = [str(number) for number in numbers]
    return f"process{'es' if len(found) > 1 else ''} {', '.join(found)}"


def ask_to_stop() -> None:
    """Has all processes stop at the same point, as a SIGTERM from outside would."""
    os.kill(os.getpid(), signal.SIGTERM)


def reached_stop(requested: bool) -> bool:
    """Whether the run is to stop here; asked at the same points by all processes, it is answered
    alike in all of them.

    With several processes SIGTERM belongs to JAX's preemption service, which has them all stop at
    the same point.

    Args:
      requested: whether this process was asked to stop; what counts where there is only one.
    """
    global _points
    if count() == 1:
        return requested
    _points += 1
    return bool(multihost_utils.reached_preemption_sync_point(_points))


def points() -> int:
    """How often this process has asked whether to stop."""
    return _points


def go_on_from(point: int) -> None:
    """Has the next question whether to stop be the one after this, in all processes alike."""
    global _points
    _points = point


def publish(name: str, text: str, *, again: bool = False) -> bool:
    """Lets all processes read a text under a name.

    Args:
      name: of the text.
      text: what to read.
      again: replace what is there.

    Returns:
      Whether it stands there now: not where there was one already.
    """
    try:
        _client().key_value_set(f"{_FOLDER}/{name}", text, allow_overwrite=again)
    except jax.errors.JaxRuntimeError as error:
        if "ALREADY_EXISTS" not in str(error):
            raise
        return False
    return True


def published(name: str) -> str | None:
    """The text under a name; None where there is none yet."""
    return _try(f"{_FOLDER}/{name}")


def _client() -> Any:
    return global_state.client


def _get(key: str, deadline: float) -> str | None:
    """The text under a key, once it is there; None where it is not in time."""
    while (wait := int((deadline - time.monotonic()) * 1000)) > 0:
        try:
            # Never for long: Python handles signals between two waits only.
            return str(_client().blocking_key_value_get(key, min(wait, _LOOK)))
        except jax.errors.JaxRuntimeError as error:
            if "DEADLINE_EXCEEDED" not in str(error):
                raise
        if _scope and (who := _try(f"{_FOLDER}/{_scope}{_FAILED}")):
            if (last := _try(key)) is not None:  # its answer may have come just before
                return last
            raise AbsentError(f"{who} has failed.")
    # One who was asked for last, after others who were late, may well be here.
    return _try(key)


def _try(key: str) -> str | None:
    """The text under a key; None where it is not there."""
    try:
        return str(_client().key_value_try_get(key))
    except jax.errors.JaxRuntimeError as error:
        if "NOT_FOUND" not in str(error):
            raise
        return None


def _short(value: Any, others: set[str]) -> str:
    """A text; of a long one, the part where it begins to differ from others."""
    text = str(value)
    if len(text) <= 40:
        return text
    alike = min(
        next((i for i, (a, b) in enumerate(zip(text, other, strict=False)) if a != b), len(other))
        for other in others
    )
    begin = max(alike - 4, 0)
    return f"{'...' if begin else ''}{text[begin : begin + 30]}..."
