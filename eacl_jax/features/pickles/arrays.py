"""The few names that a pickle of numbers asks for, and what is made for each: never what it names.

An array is built from shape, type and bytes once these were seen to fit each other, so that no
state of a pickle's reaches NumPy.
"""

import math
import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

_OBJECT = 64  # bytes, beside its content, of a text, or of a place in a set
_LARGEST_KEY = 10**18
_MOST_EMPTY = 1 << 16  # rows without numbers, that take memory all the same


class Refused(Exception):
    """What a pickle asks for and does not get, or what is damaged in it."""


class Unfit(Refused):
    """What is whole and cannot be used: a fresh copy of the file would be the same."""


class Name:
    """What stands for a known name: it can be given to `made`, and nothing else."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text


class Type:
    """What stands for a NumPy type until it is used: `state` follows after it was made."""

    __slots__ = ("kind", "order", "size")
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, kind: str, size: int) -> None:
        self.kind, self.size, self.order = kind, size, "<"

    @property
    def width(self) -> int:
        """Bytes of a number or text."""
        return self.size * (4 if self.kind == "U" else 1)

    def set_state(self, state: Any) -> None:
        """Its byte order. Raises `Refused` for a type with fields, or what is no state."""
        if not isinstance(state, tuple) or len(state) < 5 or state[1] not in ("<", ">", "|", "="):
            raise Refused("a NumPy type in it is damaged")
        if state[2:5] != (None, None, None):
            raise Unfit("it holds arrays of records, which are no features")
        self.order = ">" if state[1] == ">" else "<"


class Objects:
    """What stands for an array of objects that is neither a list nor one of numbers."""

    __slots__ = ("axes",)

    def __init__(self, axes: int) -> None:
        self.axes = axes


class Array:
    """What stands for an array until its state follows.

    Attributes:
      value: numbers as an array, strings and objects as a list, other objects as `Objects`; None
        before.
    """

    __slots__ = ("value",)
    __hash__ = None  # type: ignore[assignment]

    def __init__(self) -> None:
        self.value: np.ndarray | list[Any] | Objects | None = None

    def set_state(self, state: Any) -> None:
        """Its content. Raises `Refused` where shape, type and bytes do not fit each other."""
        if not isinstance(state, tuple) or len(state) not in (4, 5):
            raise Refused("an array in it is damaged")
        shape, kind, fortran, data = state[-4:]
        self.value = _filled(shape, kind, "F" if fortran else "C", data)


def known_name(module: Any, name: Any) -> Name:
    """What stands for a name in a pickle. Raises `Refused`, by name, for every other one."""
    if not isinstance(module, str) or not isinstance(name, str):
        raise Refused("a name in it is damaged")
    module = module.replace("numpy._core", "numpy.core").replace("__builtin__", "builtins")
    text = f"{module}.{name}"
    if text not in _MAKERS and text not in _ARGUMENTS:
        raise Refused(
            f"it asks for {text[:80]!r}, which features have no need of; nothing of it was run"
        )
    return Name(text)


def made(name: Any, arguments: Any) -> Any:
    """What stands for the object that a pickle asks for. Raises `Refused`."""
    if not isinstance(name, Name) or not isinstance(arguments, tuple):
        raise Refused(f"it calls what cannot be called (a {type(name).__name__})")
    if name.text not in _MAKERS:
        raise Refused(
            f"it calls {name.text}, which features have no need of; nothing of it was run"
        )
    try:
        return _MAKERS[name.text](*arguments)
    except TypeError as error:  # other arguments, or what cannot be in a set
        raise Refused(f"it calls {name.text} with what does not fit it") from error


def cost(arguments: Sequence[Any]) -> int:
    """Bytes, at most, of what is made of the arguments of a call, or of an array's state."""
    kind = next((each for each in arguments if isinstance(each, Type)), None)
    total = 0
    for each in arguments:
        if isinstance(each, (str, bytes)):
            total += len(each)
            if kind is not None and kind.kind in "SU":
                total += _OBJECT * (len(each) // kind.width)
        elif isinstance(each, (list, tuple)):
            total += len(each) * (_OBJECT if kind is None else 8)
    return total


def plain_key(value: Any) -> Any:
    """What may be in a dict or set: hashing tuples in tuples without end would end the process, and
    of large integers any number have the same hash, which takes time with the square of it.
    """
    if not isinstance(value, (str, int, float, bytes)):
        raise Refused(f"it has a {type(value).__name__} for a key, expected a text or a number")
    if isinstance(value, int) and abs(value) >= _LARGEST_KEY:
        raise Refused("it has an integer of more than 18 digits for a key")
    return value


def _reconstructed(kind: Any, shape: Any, code: Any) -> Array:
    if not isinstance(kind, Name) or kind.text != "numpy.ndarray":
        raise Refused("it holds arrays of an unknown kind")
    return Array()


def _from_buffer(data: Any, kind: Any, shape: Any, order: Any, axes: Any = None) -> Array:
    # "K": neither rows nor columns follow each other, and the axes say what does.
    if order not in ("C", "F", "K") or (order == "K") != (axes is not None):
        raise Refused("an array in it has an unknown order")
    array = Array()
    array.value = _filled(shape, kind, "F" if order == "F" else "C", data)
    if axes is not None:
        if (
            not isinstance(array.value, np.ndarray)
            or not isinstance(axes, (list, tuple))
            # Before they are compared: nested ones would be without end.
            or any(type(axis) is not int for axis in axes)
            or sorted(axes) != [*range(len(shape))]
        ):
            raise Refused("an array in it has an unknown order")
        array.value = array.value.transpose(axes)
    return array


_TYPE = re.compile(r"[<>|=]?([a-zA-Z])(\d{0,9})")
_SIZES = {"f": (2, 4, 8), "i": (1, 2, 4, 8), "u": (1, 2, 4, 8), "b": (1,)}


def _type(code: Any, *_: Any) -> Type:
    found = _TYPE.fullmatch(code) if isinstance(code, str) else None
    kind, size = (found[1], int(found[2] or 8)) if found else ("", 0)
    if size in _SIZES.get(kind, ()) or (kind in "SU" and size > 0) or kind == "O":
        return Type(kind, size)
    raise Unfit(f"it holds an array of type {str(code)[:20]!r}, which are no features")


def _encoded(text: Any, encoding: Any) -> bytes:
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
        raise Refused("it encodes what is no text, or otherwise than in latin1")
    return _bytes_of(text)


def _bytes_of(data: Any) -> bytes:
    """Of bytes; Python 2's strings, which are bytes, are read as text in latin1."""
    try:
        return data.encode("latin1") if isinstance(data, str) else bytes(memoryview(data))
    except (TypeError, UnicodeEncodeError) as error:
        raise Refused("the numbers of an array in it are no bytes") from error


def _scalar(kind: Any, data: Any) -> Any:
    value = _filled((1,), kind, "C", data)
    return value.item() if isinstance(value, np.ndarray) else value[0]  # type: ignore[index]


def _filled(shape: Any, kind: Any, order: Any, data: Any) -> np.ndarray | list[Any] | Objects:
    if (
        not isinstance(kind, Type)
        or not isinstance(shape, tuple)
        or len(shape) > 4
        or not all(type(each) is int and 0 <= each < 2**40 for each in shape)
    ):
        raise Refused("shape or type of an array in it is damaged")
    count = math.prod(shape)
    if kind.kind == "O":
        if not isinstance(data, list) or len(data) != count:
            raise Refused("an array of objects in it has others than its shape says")
        if len(shape) == 1:
            return data
        if all(type(each) in (int, float) for each in data):
            return np.array(data, np.float64).reshape(shape)
        return Objects(len(shape))
    if not count and max(shape) > _MOST_EMPTY:
        raise Refused(f"an array in it has no numbers, and an axis of {max(shape)}")
    size = kind.width
    content = _bytes_of(data)
    if len(content) != count * size:
        raise Refused(
            f"an array in it should have {count} numbers of {size} bytes, and has"
            f" {len(content)} bytes"
        )
    if kind.kind in "SU":
        if len(shape) != 1:
            raise Unfit(
                f"it holds an array of texts of {len(shape)} axes, expected a list of texts"
            )
        return [_text(content[at : at + size], kind) for at in range(0, len(content), size)]
    try:
        return np.frombuffer(content, f"{kind.order}{kind.kind}{kind.size}").reshape(
            shape, order=order
        )
    except ValueError as error:
        raise Refused("shape and size of an array in it do not fit") from error


def _text(content: bytes, kind: Type) -> str:
    try:
        encoding = "latin1" if kind.kind == "S" else f"utf-32-{'be' if kind.order == '>' else 'le'}"
        return content.decode(encoding).rstrip("\0")
    except UnicodeDecodeError as error:
        raise Refused("a text in it is damaged") from error


_MAKERS: dict[str, Callable[..., Any]] = {
    "numpy.core.multiarray._reconstruct": _reconstructed,
    "numpy.core.multiarray.scalar": _scalar,
    "numpy.core.numeric._frombuffer": _from_buffer,
    "numpy.dtype": _type,
    "_codecs.encode": _encoded,
    # Python 3 writes empty bytes so, where it writes for Python 2.
    "builtins.bytes": lambda: b"",
    "builtins.set": lambda items=(): set(_keys(items)),
    "builtins.frozenset": lambda items=(): frozenset(_keys(items)),
}
_ARGUMENTS = ("numpy.ndarray",)


def _keys(items: Any) -> list[Any]:
    if not isinstance(items, (list, tuple)):
        raise Refused("it makes a set of what is no list")
    return [plain_key(each) for each in items]
