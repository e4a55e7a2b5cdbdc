"""What follows the colon where a configuration is named, FILE:ARGUMENT."""

from typing import Any

from eacl_jax.errors import UserError

_EXPECTED = {bool: "true or false", int: "a whole number", float: "a number"}


def parse_argument(argument: str | None, **defaults: Any) -> dict[str, Any]:
    """Reads `name=value,switch,...`, what follows the colon where a configuration is named,
    FILE:ARGUMENT.

    Args:
      argument: the text, or None.
      **defaults: every name that may occur. A value is read as its default's type (str, int,
        float); a name whose default is False is a switch, given alone or as `name=true` or
        `name=false`. A type in place of a default: None where the name is not given.

    Raises:
      UserError: an unknown or repeated name, or a value that cannot be read.
    """
    values: dict[str, Any] = {}
    for part in argument.split(",") if argument else []:
        name, equals, text = part.partition("=")
        known = ", ".join(
            f"{key}" if isinstance(value, bool) else f"{key}=..." for key, value in defaults.items()
        )
        if name not in defaults:
            raise UserError(f"config argument {part!r}: unknown name {name!r}; known: {known}.")
        if name in values:
            raise UserError(f"config argument {part!r}: {name!r} is given twice.")
        kind = _kind(defaults[name])
        if kind is not bool and not text:
            raise UserError(f"config argument {part!r}: {name} needs a value; known: {known}.")
        try:
            if kind is bool:
                values[name] = {"true": True, "false": False}[text.lower()] if equals else True
            else:
                values[name] = kind(text)
        except (ValueError, KeyError) as error:
            raise UserError(
                f"config argument {part!r}: {name} must be {_EXPECTED[kind]}, got {text!r}."
            ) from error
    absent = {name: None if isinstance(each, type) else each for name, each in defaults.items()}
    return {**absent, **values}


def _kind(default: Any) -> type:
    return default if isinstance(default, type) else type(default)
