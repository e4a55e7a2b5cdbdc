"""JSON -> checked values, and back: one strict reader for every file and field that holds settings
or results.

A value has the type of its field, lies within the field's bounds and is finite; a field that is
missing, unknown or there twice is named. So that what is wrong is an error at once, and not an
answer of NaN later.
"""

import dataclasses
import json
import math
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from eacl_jax.errors import UserError


def read_json(file: Path, advice: str = "restore it") -> dict[str, Any]:
    """The object in a JSON file.

    Args:
      file: in UTF-8, with or without byte order mark.
      advice: what to do where it cannot be used, for the message.

    Raises:
      UserError: the file is missing, may not be read, or holds something else.
    """
    try:
        text = file.read_bytes().decode("utf-8-sig")
    except FileNotFoundError as error:
        raise UserError(f"{file} is missing; {advice}.") from error
    except OSError as error:
        raise UserError(f"{file} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{file} is not UTF-8 (byte {error.start}); {advice}.") from error
    value = decode(text, str(file), advice=advice)
    if not isinstance(value, dict):
        raise UserError(f"{file} must hold a JSON object, got {type(value).__name__}; {advice}.")
    return value


def decode(text: str, where: str, *, advice: str) -> Any:
    """The value of a JSON text.

    Args:
      text: of a file or line.
      where: which, for the message.
      advice: what to give, for the message.

    Raises:
      UserError: it is no JSON, holds a number that is not finite, or a field twice in one object.
    """
    try:
        return loads(text)
    except json.JSONDecodeError as error:
        line = f"line {error.lineno} " if "\n" in text.strip() else ""
        raise UserError(
            f"{where}: not valid JSON at {line}column {error.colno}: {error.msg}; {advice}."
        ) from error
    except (ValueError, RecursionError) as error:
        raise UserError(f"{where}: not usable JSON: {error}; {advice}.") from error


def loads(text: str) -> Any:
    """The value of a JSON text, as `json.loads`, but strict.

    Raises:
      ValueError: it is no JSON, holds a number that is not finite, or a field twice in one object:
        which of them is meant?
    """
    return json.loads(text, object_pairs_hook=_once, parse_constant=_no_number, parse_float=_finite)


def bounded(
    default: Any = dataclasses.MISSING,
    *,
    above: float | None = None,
    at_least: float | None = None,
    at_most: float | None = None,
    below: float | None = None,
    default_factory: Any = dataclasses.MISSING,
) -> Any:
    """A dataclass field whose number must lie within bounds; `build` checks it."""
    bounds = {"above": above, "at_least": at_least, "at_most": at_most, "below": below}
    return dataclasses.field(
        default=default,
        default_factory=default_factory,
        metadata={"bounds": {name: b for name, b in bounds.items() if b is not None}},
    )


def build(kind: type, mapping: Mapping[str, Any], where: str, problems: list[str]) -> Any:
    """A dataclass from plain values.

    Args:
      kind: the dataclass. Its fields are numbers, booleans, strings, `Literal`s, tuples of strings
        or numbers, dicts of one of these, anything (`Any`), or such dataclasses.
      mapping: by name.
      where: before each field's name, in what is noted.
      problems: what is wrong is added here.

    Returns:
      The dataclass, whatever was noted; None where a field or a group of fields is missing.
    """
    fields, hints = {f.name: f for f in dataclasses.fields(kind)}, typing.get_type_hints(kind)
    problems += [
        f"{where}.{key}: unknown key; known here: {', '.join(fields)}."
        for key in mapping
        if key not in fields
    ]
    values, whole = {}, True
    for name, field in fields.items():
        if name in mapping:
            values[name] = _value(
                hints[name],
                mapping[name],
                f"{where}.{name}",
                problems,
                field.metadata.get("bounds", {}),
            )
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            problems.append(f"{where}.{name}: missing.")
            whole = False
        whole = whole and not (
            dataclasses.is_dataclass(hints[name]) and name in values and values[name] is None
        )
    return kind(**values) if whole else None


def plain(value: Any) -> Any:
    """The opposite of `build`: a dataclass, or what one holds, as plain values. What is None where
    that is a field's default is left out.
    """
    if dataclasses.is_dataclass(value):
        return {
            field.name: plain(found)
            for field in dataclasses.fields(value)
            if (found := getattr(value, field.name)) is not None or field.default is not None
        }
    if isinstance(value, Mapping):
        return {name: plain(each) for name, each in value.items()}
    return [plain(each) for each in value] if isinstance(value, (tuple, list)) else value


def _value(
    hint: Any, value: Any, where: str, problems: list[str], bounds: Mapping[str, float]
) -> Any:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if hint is Any:
        return value
    if dataclasses.is_dataclass(hint):
        if not isinstance(value, Mapping) and not hasattr(
            value, "items"
        ):  # ml_collections' is no Mapping
            problems.append(f"{where}: expected a group of settings, got {value!r:.80}.")
            return None
        return build(typing.cast(type, hint), value, where, problems)
    if origin is Literal:
        if value not in arguments or isinstance(value, bool) != any(
            value is each for each in arguments if each in (0, 1)
        ):
            problems.append(
                f"{where}: expected one of {', '.join(map(str, arguments))}; got {value!r:.80}."
            )
        return value
    if origin is tuple:
        if isinstance(value, str) or not isinstance(value, (tuple, list)):
            problems.append(
                f"{where}: expected a tuple of {_PLURALS[arguments[0]]}, got {value!r:.80}."
            )
            return ()
        if arguments[0] is not str:
            return tuple(
                _value(arguments[0], each, f"{where}[{number}]", problems, bounds)
                for number, each in enumerate(value)
            )
        if not all(isinstance(v, str) for v in value):
            problems.append(f"{where}: expected a tuple of strings, got {value!r:.80}.")
            return ()
        return tuple(value)
    if origin is dict:
        if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
            problems.append(f"{where}: expected an object, got {value!r:.80}.")
            return {}
        return {
            key: _value(arguments[1], each, f"{where}.{key}", problems, bounds)
            for key, each in value.items()
        }
    if origin is types.UnionType:
        if value is None and type(None) in arguments:
            return None
        return _value(
            next(each for each in arguments if each is not type(None)),
            value,
            where,
            problems,
            bounds,
        )
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        try:
            value = float(value)
        except OverflowError:
            value = math.inf
    if not isinstance(value, hint) or (hint is not bool and isinstance(value, bool)):
        problems.append(f"{where}: expected {hint.__name__}, got {value!r:.80}.")
    elif hint in (int, float) and not _within(value, bounds):
        problems.append(f"{where}: {_rule(bounds, value)}, got {value!r:.80}.")
    return value


_PLURALS = {str: "strings", float: "numbers", int: "whole numbers"}


def _within(value: float, bounds: Mapping[str, float]) -> bool:
    return (
        _is_finite(value)
        and value > bounds.get("above", -math.inf)
        and value >= bounds.get("at_least", -math.inf)
        and value <= bounds.get("at_most", math.inf)
        and value < bounds.get("below", math.inf)
    )


def _is_finite(value: float) -> bool:
    """Whether it is a number that a float can hold."""
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


def _rule(bounds: Mapping[str, float], value: float) -> str:
    lower, upper = (
        bounds.get("above", bounds.get("at_least")),
        bounds.get("below", bounds.get("at_most")),
    )
    if not _is_finite(value) and not (lower is not None and value < lower):
        return "must be a finite number"
    if lower is not None and upper is not None:
        return (
            f"must be in {'(' if 'above' in bounds else '['}{lower:g},"
            f" {upper:g}{')' if 'below' in bounds else ']'}"
        )
    if lower == 0:
        return "must be positive" if "above" in bounds else "must not be negative"
    return f"must be at least {lower:g}" if lower is not None else f"must be at most {upper:g}"


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        twice = next(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise ValueError(f"the field {twice!r:.60} is there twice in one object")
    return found


def _no_number(constant: str) -> Any:
    raise ValueError(f"it holds {constant}, which JSON has no number for (null stands for it)")


def _finite(text: str) -> float:
    if not math.isfinite(value := float(text)):
        raise ValueError(f"the number {text:.40} is too large")
    return value
