"""Reads pickles that hold data alone: numbers, texts, lists, dicts, tuples, sets, NumPy arrays.

The machine below knows the instructions of protocols 0 to 5 that make such data. It looks nothing
up, imports nothing and calls nothing of what a pickle names: whoever wrote the file cannot have
anything run. What a file claims is compared with what is left of it before memory is taken, and all
that is made counts against an allowance. Source: the instructions are documented in Python's
`pickletools`.
"""

import codecs
import os
import pickle
import stat
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from eacl_jax.errors import UserError
from eacl_jax.features.pickles.arrays import (
    Array,
    Refused,
    Type,
    Unfit,
    cost,
    known_name,
    made,
    plain_key,
)
from eacl_jax.files.local import unreadable

MOST_OBJECTS = 32
"""Pickles that may follow each other in a file: one a field, in some."""

# What is made of a file may take so many times its size, in bytes, and so much more.
_TIMES, _MORE = 6, 32 << 20
_LONGEST_NUMBER, _LONGEST_NAME, _MOST_NUMBER_BYTES = 64, 256, 32


def read_pickles(file: Path, most_bytes: int) -> list[Any]:
    """The objects in a file, one after the other; arrays in them are `arrays.Array`.

    Args:
      file: holds one pickle or several.
      most_bytes: a larger file is not read.

    Raises:
      UserError: it is larger, is no pickle, is damaged, or asks for anything but data.
    """
    try:
        with file.open("rb") as stream:
            status = os.fstat(stream.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise UserError(f"{file} is no file; expected a pickle.")
            if status.st_size > most_bytes:
                raise UserError(
                    f"{file} has {status.st_size / 2**20:.0f} MB, and at most"
                    f" {most_bytes / 2**20:.0f} are read: if it should be, raise the limit of"
                    " megabytes."
                )
            machine = _Machine(stream, status.st_size)
            found: list[Any] = []
            try:
                while machine.left or not found:
                    if len(found) == MOST_OBJECTS:
                        raise Refused(f"it holds more than {MOST_OBJECTS} pickles")
                    found.append(machine.next_object())
            except Refused as error:
                at = status.st_size - machine.left
                advice = (
                    "lists or arrays of numbers, a vector an utterance"
                    if isinstance(error, Unfit)
                    else "take a fresh copy from where it is published"
                )
                raise UserError(
                    f"{file}: {error} (byte {at} of {status.st_size}); expected a pickle of"
                    f" features: {advice}."
                ) from error
            return found
    except OSError as error:
        raise UserError(f"{unreadable(file, error)}.") from error


class _Machine:
    """Attributes: left: bytes that have not been read."""

    def __init__(self, stream: BinaryIO, size: int) -> None:
        self._stream, self.left = stream, size
        self._allowed = _TIMES * size + _MORE

    def next_object(self) -> Any:
        self._stack: list[Any] = []
        self._marks: list[int] = []
        self._memo: dict[int, Any] = {}
        while True:
            code = self._take(1)
            if code == pickle.STOP:
                return self._pop()
            if code not in _DO:
                if code in (pickle.NEXT_BUFFER, pickle.READONLY_BUFFER):
                    raise Unfit(_OUT)
                raise Refused(_ELSEWHERE.get(code, "it is damaged, or no pickle"))
            try:
                _DO[code](self)
            except (TypeError, ValueError, OverflowError, LookupError, struct.error) as error:
                # A list as a key, digits that are none, bytes that are no UTF-8, ...
                raise Refused("it is damaged, or no pickle") from error

    def _take(self, count: int) -> bytes:
        """The next bytes."""
        if count > self.left:
            raise Refused(
                f"it is cut off, or damaged: {count} more bytes should be there, and {self.left}"
                " are"
            )
        content = self._stream.read(count)
        self.left -= len(content)
        if len(content) < count:
            raise Refused("it is cut off")
        return content

    def _line(self, most: int) -> bytes:
        line = self._stream.readline(min(most, self.left))
        self.left -= len(line)
        if not line.endswith(b"\n"):
            raise Refused("it is cut off, or no pickle")
        return line[:-1]

    def _integer(self, size: int) -> int:
        return int.from_bytes(self._take(size), "little")

    def _spend(self, count: int) -> None:
        self._allowed -= count
        if self._allowed < 0:
            raise Refused("what it makes takes far more memory than its size, as features do not")

    def _push(self, value: Any, size: int = 32) -> None:
        self._spend(size + 16)
        self._stack.append(value)

    def _pop(self) -> Any:
        if len(self._stack) <= (self._marks[-1] if self._marks else 0):
            raise Refused("it is damaged, or no pickle")
        return self._stack.pop()

    def _last(self, kind: type) -> Any:
        """The last object, that others are put into."""
        last = self._pop()
        if type(last) is not kind:
            raise Refused(f"it puts something into a {type(last).__name__}")
        self._stack.append(last)
        return last

    def _since_mark(self) -> list[Any]:
        if not self._marks:
            raise Refused("it is damaged, or no pickle")
        start = self._marks.pop()
        items = self._stack[start:]
        del self._stack[start:]
        return items

    def protocol(self) -> None:
        if (version := self._integer(1)) > 5:
            raise Refused(f"it is of protocol {version}, and known are 0 to 5")

    def frame(self) -> None:
        if (size := self._integer(8)) > self.left:
            raise Refused(f"it is cut off, or damaged: {size} more bytes should be there")

    def mark(self) -> None:
        self._spend(16)
        self._marks.append(len(self._stack))

    def pop(self) -> None:
        if self._marks and self._marks[-1] == len(self._stack):
            self._marks.pop()
        else:
            self._pop()

    def duplicate(self) -> None:
        value = self._pop()
        self._stack.append(value)
        self._push(value)

    def put(self, at: int) -> None:
        self._spend(100)
        self._memo[at] = self._pop()
        self._stack.append(self._memo[at])

    def get(self, at: int) -> None:
        self._push(self._memo[at], 0)

    def small(self, size: int) -> None:
        self._push(int.from_bytes(self._take(size), "little", signed=True), 64)

    def whole(self) -> None:
        line = self._line(_LONGEST_NUMBER)
        self._push({b"00": False, b"01": True}[line] if line in (b"00", b"01") else int(line))

    def long(self, width: int) -> None:
        size = self._integer(width)
        if size > _MOST_NUMBER_BYTES:
            raise Refused(f"it holds an integer of {size} bytes, as features do not")
        self.small(size)

    def data(self, content: bytes) -> None:
        self._push(content, len(content) + 40)

    def buffer(self) -> None:
        self.data(self._take(self._integer(8)))

    def text(self, content: bytes, encoding: str, errors: str = "strict") -> None:
        self._spend(len(content))
        self._push(content.decode(encoding, errors), len(content) + 60)

    def quoted(self) -> None:
        line = self._line(self.left).strip()
        if len(line) < 2 or line[0] != line[-1] or line[:1] not in (b"'", b'"'):
            raise Refused("a text in it is damaged")
        self._spend(len(line))
        self.text(codecs.escape_decode(line[1:-1])[0], "latin1")

    def into_list(self, items: list[Any]) -> None:
        self._last(list).extend(items)

    def into_dict(self, items: list[Any]) -> None:
        target = self._last(dict)
        if len(items) % 2:
            raise Refused("it is damaged")
        self._spend(60 * len(items))
        for key, value in zip(items[::2], items[1::2], strict=True):
            target[plain_key(key)] = value

    def into_set(self, items: list[Any]) -> None:
        self._spend(60 * len(items))
        self._last(set).update(map(plain_key, items))

    def new_dict(self, items: list[Any]) -> None:
        self._push({}, 72)
        self.into_dict(items)

    def row(self, items: list[Any]) -> None:
        self._push(tuple(items), 40 + 8 * len(items))

    def last_row(self, count: int) -> None:
        self.row([self._pop() for _ in range(count)][::-1])

    def name(self) -> None:
        module, name = (self._line(_LONGEST_NAME).decode() for _ in range(2))
        self._push(known_name(module, name), 100)

    def name_of_stack(self) -> None:
        name, module = self._pop(), self._pop()
        self._push(known_name(module, name), 100)

    def instance(self) -> None:
        self.name()
        self.new()

    def new(self) -> None:
        raise Refused("it makes an object of a class, which features have no need of")

    def call(self) -> None:
        arguments, name = self._pop(), self._pop()
        if type(arguments) is tuple:
            self._spend(cost(arguments))
        self._push(made(name, arguments), 200)

    def state(self) -> None:
        state, target = self._pop(), self._pop()
        if not isinstance(target, (Array, Type)):
            raise Refused(f"it gives a state to a {type(target).__name__}")
        if type(state) is tuple:
            self._spend(cost(state))
        target.set_state(state)
        self._stack.append(target)


_OUT = "its arrays lie outside of the file; write it again by pickle.dump(..., protocol=4)"
_ELSEWHERE = {
    pickle.PERSID: "it asks for an object outside of it (a persistent id), and gets none",
    pickle.BINPERSID: "it asks for an object outside of it (a persistent id), and gets none",
    pickle.EXT1: "it asks for a registered object (an extension code), and gets none",
    pickle.EXT2: "it asks for a registered object (an extension code), and gets none",
    pickle.EXT4: "it asks for a registered object (an extension code), and gets none",
}

_DO: dict[bytes, Callable[[_Machine], Any]] = {
    pickle.PROTO: _Machine.protocol,
    pickle.FRAME: _Machine.frame,
    pickle.MARK: _Machine.mark,
    pickle.POP: _Machine.pop,
    pickle.POP_MARK: lambda m: m._since_mark() and None,
    pickle.DUP: _Machine.duplicate,
    pickle.NONE: lambda m: m._push(None, 0),
    pickle.NEWTRUE: lambda m: m._push(True, 0),
    pickle.NEWFALSE: lambda m: m._push(False, 0),
    pickle.INT: _Machine.whole,
    pickle.LONG: lambda m: m._push(int(m._line(_LONGEST_NUMBER).rstrip(b"L"))),
    pickle.BININT: lambda m: m.small(4),
    pickle.BININT1: lambda m: m._push(m._integer(1), 0),
    pickle.BININT2: lambda m: m._push(m._integer(2)),
    pickle.LONG1: lambda m: m.long(1),
    pickle.LONG4: lambda m: m.long(4),
    pickle.FLOAT: lambda m: m._push(float(m._line(_LONGEST_NUMBER))),
    pickle.BINFLOAT: lambda m: m._push(struct.unpack(">d", m._take(8))[0]),
    # Strings of Python 2 are bytes: latin1 keeps each as a character.
    pickle.STRING: _Machine.quoted,
    pickle.BINSTRING: lambda m: m.text(m._take(m._integer(4)), "latin1"),
    pickle.SHORT_BINSTRING: lambda m: m.text(m._take(m._integer(1)), "latin1"),
    pickle.UNICODE: lambda m: m.text(m._line(m.left), "raw-unicode-escape"),
    pickle.BINUNICODE: lambda m: m.text(m._take(m._integer(4)), "utf-8", "surrogatepass"),
    pickle.SHORT_BINUNICODE: lambda m: m.text(m._take(m._integer(1)), "utf-8", "surrogatepass"),
    pickle.BINUNICODE8: lambda m: m.text(m._take(m._integer(8)), "utf-8", "surrogatepass"),
    pickle.BINBYTES: lambda m: m.data(m._take(m._integer(4))),
    pickle.SHORT_BINBYTES: lambda m: m.data(m._take(m._integer(1))),
    pickle.BINBYTES8: _Machine.buffer,
    pickle.BYTEARRAY8: _Machine.buffer,
    pickle.EMPTY_LIST: lambda m: m._push([], 64),
    pickle.LIST: lambda m: m._push(m._since_mark(), 64),
    pickle.APPEND: lambda m: m.into_list([m._pop()]),
    pickle.APPENDS: lambda m: m.into_list(m._since_mark()),
    pickle.EMPTY_DICT: lambda m: m._push({}, 72),
    pickle.DICT: lambda m: m.new_dict(m._since_mark()),
    pickle.SETITEM: lambda m: m.into_dict([m._pop(), m._pop()][::-1]),
    pickle.SETITEMS: lambda m: m.into_dict(m._since_mark()),
    pickle.EMPTY_SET: lambda m: m._push(set(), 220),
    pickle.ADDITEMS: lambda m: m.into_set(m._since_mark()),
    pickle.FROZENSET: lambda m: m._push(frozenset(map(plain_key, m._since_mark())), 220),
    pickle.EMPTY_TUPLE: lambda m: m._push((), 0),
    pickle.TUPLE: lambda m: m.row(m._since_mark()),
    pickle.TUPLE1: lambda m: m.last_row(1),
    pickle.TUPLE2: lambda m: m.last_row(2),
    pickle.TUPLE3: lambda m: m.last_row(3),
    pickle.PUT: lambda m: m.put(int(m._line(_LONGEST_NUMBER))),
    pickle.BINPUT: lambda m: m.put(m._integer(1)),
    pickle.LONG_BINPUT: lambda m: m.put(m._integer(4)),
    pickle.MEMOIZE: lambda m: m.put(len(m._memo)),
    pickle.GET: lambda m: m.get(int(m._line(_LONGEST_NUMBER))),
    pickle.BINGET: lambda m: m.get(m._integer(1)),
    pickle.LONG_BINGET: lambda m: m.get(m._integer(4)),
    pickle.GLOBAL: _Machine.name,
    pickle.STACK_GLOBAL: _Machine.name_of_stack,
    pickle.INST: _Machine.instance,
    pickle.OBJ: _Machine.new,
    pickle.NEWOBJ: _Machine.new,
    pickle.NEWOBJ_EX: _Machine.new,
    pickle.REDUCE: _Machine.call,
    pickle.BUILD: _Machine.state,
}
