"""Reads the fields of a checkpoint's config.json, and names every problem at once."""

from collections.abc import Mapping, Sequence
from typing import Any

from eacl_jax.errors import UserError

_NEEDED: Any = object()


class Fields:
    """A view of a decoded config.json that remembers what was wrong with it.

    Each reading returns a usable value even where it notes a problem; `check` then raises one error
    for all of them.

    Args:
      config: the decoded JSON object.
      where: the file's name, for the message.
    """

    def __init__(self, config: Mapping[str, Any], where: str) -> None:
        self._config = config
        self._where = where
        self._problems: list[str] = []

    @property
    def names(self) -> set[str]:
        """Of all fields that are there."""
        return set(self._config)

    def integer(self, name: str, default: int = _NEEDED, *, at_least: int = 1) -> int:
        """An integer field, `default` where it is absent or null."""
        value = self._read(name, default, "a whole number")
        if value is _NEEDED:
            return at_least
        if isinstance(value, bool) or not isinstance(value, int) or value < at_least:
            self._note(f"{name!r} must be a whole number of at least {at_least}, got {value!r}")
            return at_least
        return value

    def number(self, name: str, default: float, *, below: float = float("inf")) -> float:
        """A number in [0, below), `default` where it is absent or null."""
        value = self._read(name, default, "a number")
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < below:
            self._note(f"{name!r} must be a number from 0 to below {below}, got {value!r}")
            return default
        return float(value)

    def choice(self, name: str, choices: Sequence[Any], default: Any) -> Any:
        """A field that must be one of `choices`, `default` where it is absent or null."""
        value = self._read(name, default, "one of them")
        if value not in choices:
            self._note(f"{name!r} must be one of {', '.join(map(str, choices))}; got {value!r}")
            return default
        return value

    def boolean(self, name: str, default: bool) -> bool:
        """A field that is true or false, `default` where it is absent or null."""
        return bool(self.choice(name, (True, False), default))

    def words(self, name: str, choices: Sequence[str]) -> tuple[str, ...]:
        """A list of some of `choices`, or these joined by "|"; nothing where the field is absent or
        null.
        """
        value = self._read(name, (), "a list")
        parted = value.split("|") if isinstance(value, str) else value
        if not isinstance(parted, list | tuple):
            parted = [value]
        words = tuple(
            word
            for word in (str(word).strip().lower() for word in parted)
            if word not in ("", "none")
        )
        if unknown := [word for word in words if word not in choices]:
            self._note(f"{name!r} must be some of {', '.join(choices)}; got {unknown[0]!r}")
        return words

    def sequence(self, name: str, choices: Sequence[str]) -> tuple[str, ...]:
        """A list whose members are each one of `choices`; empty where it is absent or null."""
        value = self._read(name, (), "a list")
        if not isinstance(value, list | tuple) or any(member not in choices for member in value):
            self._note(f"{name!r} must be a list of {', '.join(choices)}; got {value!r:.200}")
            return ()
        return tuple(value)

    def integers(self, name: str, default: Sequence[int]) -> tuple[int, ...]:
        """A list of whole numbers of at least 1, `default` where it is absent or null."""
        value = self._read(name, default, "a list")
        if (
            not isinstance(value, list | tuple)
            or not value
            or any(isinstance(each, bool) or not isinstance(each, int) for each in value)
            or min(value) < 1
        ):
            self._note(f"{name!r} must be a list of whole numbers from 1, got {value!r:.200}")
            return tuple(default)
        return tuple(value)

    def mapping(self, name: str) -> "Fields":
        """The fields of an object inside this one; empty where it is absent or null. Its problems
        are noted here.
        """
        value = self._read(name, {}, "an object")
        if not isinstance(value, Mapping):
            self._note(f"{name!r} must be an object, got {value!r}")
            value = {}
        inner = Fields(value, f"{self._where}: {name}")
        inner._problems = self._problems
        return inner

    def multiple(self, name: str, of: str) -> None:
        """Notes where the integer field `name` is no multiple of the integer field `of`."""
        value, unit = self.integer(name), self.integer(of)
        self.need(value % unit == 0, f"{name!r} ({value}) must be a multiple of {of!r} ({unit})")

    def need(self, condition: bool, problem: str) -> None:
        """Notes `problem` where `condition` does not hold."""
        if not condition:
            self._note(problem)

    def check(self) -> None:
        """Raises `UserError` with every problem noted so far, if there is any."""
        if self._problems:
            raise UserError(
                f"{self._where} does not describe an encoder that can be built:\n  "
                + "\n  ".join(self._problems)
            )

    def _note(self, problem: str) -> None:
        if problem not in self._problems:
            self._problems.append(problem)

    def _read(self, name: str, default: Any, kind: str) -> Any:
        value = self._config.get(name)
        if value is None:
            if default is _NEEDED:
                self._note(f"{name!r} is missing; expected {kind}")
            return default
        return value
