"""`--config=FILE` and its overrides, from a command line to a checked configuration."""

import ast
import functools
import re
import shlex
import sys
import traceback
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from absl import flags

from eacl_jax.config import Config
from eacl_jax.errors import UserError
from eacl_jax.files import local

if TYPE_CHECKING:
    from ml_collections import ConfigDict

_CHECKOUT = Path(__file__).resolve().parents[2]


def parse_config(name: str, overrides: Sequence[str]) -> Config:
    """The checked configuration of `--config=NAME` and its overrides.

    Args:
      name: `FILE[:ARGUMENT]`. The file may import what stands beside it as its folder's modules, as
        `configs.base`, and in a checkout of this project `configs.base` from wherever it lies. Or a
        run's `config.json`: that run's configuration, in which what nothing read may stand.
      overrides: `--config.SETTING=VALUE`. Those that nothing reads are refused there too.

    Raises:
      UserError: the file is missing, its values cannot be used, or something else than overrides is
        given.
    """
    value = _value(_load(name, "config", overrides), "--config")
    if not _is_record(name):
        return Config.from_mapping(value)
    config = Config.from_record(value)
    known = Config.from_record(_value(_load(name, "config", ()), "--config")).unread()
    if new := [line for line in config.unread() if line not in known]:
        raise UserError("\n  ".join(["the configuration cannot be used:", *new]))
    return config


def load_study(name: str) -> Any:
    """The fields of a study, as its file gives them; `studies.reading` checks them.

    Args:
      name: `FILE[:ARGUMENT]`. It may import `configs.studies.base`, as configurations import
        `configs.base`.

    Raises:
      UserError: the file is missing or cannot be used, or a dict in it has a name twice.
    """
    file = local.expand(name.partition(":")[0], "the study")
    if file.is_file():
        sys.path.insert(0, str(file.resolve().parents[min(2, len(file.resolve().parents) - 1)]))
        if twice := doubled_names(local.read_text(file)):
            raise UserError("\n  ".join([f"{file} cannot be used:", *twice]))
    return _value(_load(name, "study", ()), "the study")


def doubled_names(source: str) -> list[str]:
    """A line for each name that a dict of a Python file has twice: Python keeps the last alone."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return []  # found again, and reported, where the file is run
    lines = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Dict):
            seen = set()
            for key in node.keys:
                if isinstance(key, ast.Constant):
                    if key.value in seen:
                        lines.append(
                            f"line {key.lineno}: {key.value!r} is there twice in one dict."
                        )
                    seen.add(key.value)
    return lines


def _load(name: str, flag: str, overrides: Sequence[str]) -> Any:
    """The holder of a configuration file's value. Raises `UserError` as `parse_config` does."""
    from ml_collections import config_flags

    named = f"--{flag}" if flag == "config" else "the study"
    name = str(local.expand(name, named))
    _check_there(Path(name.partition(":")[0]), named)
    sys.path.insert(0, str(Path(name.partition(":")[0]).resolve().parent.parent))
    if (_CHECKOUT / "configs" / "base.py").is_file():
        sys.path.append(str(_CHECKOUT))
    arguments = ["eacl", f"--{flag}={name}", *overrides]
    values = flags.FlagValues()
    if flag == "config" and _is_record(name):
        del arguments[1]
        define = functools.partial(config_flags.DEFINE_config_dict, flag, _record(name))
    else:
        define = functools.partial(config_flags.DEFINE_config_file, flag, None)
    problem = "the command line cannot be used:"
    try:
        holder = define(lock_config=True, flag_values=values, sys_argv=arguments)
        rest = values(arguments)[1:]
    except UserError as error:
        raise UserError(f"{problem} {error}") from error
    except Exception as error:
        file = Path(name.partition(":")[0])
        for first in _causes(error):
            if (line := _line_of(first, file)) is not None:
                words = first.msg if isinstance(first, SyntaxError) else str(first)
                kind = type(first).__name__
                said = f"{file} cannot be used: line {line}: {kind}: {' '.join(words.split())}"
                raise UserError(said + _of_configs(first)) from error
        raise _mistake(error, problem) from error
    if rest:
        raise UserError(
            f"{problem} {' '.join(rest)} is neither an option nor --config.SETTING=VALUE."
        )
    if twice := repeated(values):
        raise UserError(
            f"{problem} --{twice} is given more than once, and takes one value: give it once."
        )
    for name in values:
        if isinstance(values[name], flags.MultiFlag):
            _check_several(name, values[name].value or (), overrides)
    return holder


def _is_record(name: str) -> bool:
    """Whether a configuration's name is that of a run's `config.json`."""
    return name.partition(":")[0].endswith(".json")


def _record(name: str) -> "ConfigDict":
    """What a run's `config.json` holds. Raises `UserError` where it cannot be used."""
    from ml_collections import ConfigDict

    from eacl_jax.training import run_folder

    file, colon, argument = name.partition(":")
    if colon:
        raise UserError(
            f"--config: {file} is a run's configuration and takes no argument, got {argument!r};"
            " change its settings by --config.SETTING=VALUE."
        )
    return ConfigDict(run_folder.read_config_file(Path(file)).to_dict())


def _check_several(name: str, value: Sequence[Any], overrides: Sequence[str]) -> None:
    """Raises `UserError` where a tuple is given as one plain text with commas: it would be a tuple
    of that text.
    """
    if len(value) != 1 or not isinstance(value[0], str) or "," not in value[0]:
        return
    if {value[0], f"--{name}={value[0]}"} & {*overrides}:  # and not 'a,b' in quotes, which means it
        raise UserError(f"the command line cannot be used: {_no_tuple(name, value[0])}")


def _no_tuple(name: str, text: str) -> str:
    """What to write in place of a plain text that stands for a tuple."""
    items = [item.strip(" ()[]'\"") for item in text.split(",")]
    return (
        f"--{name}: {text!r} is one text; a tuple is written --{name}={_tuple(items)}"
        + f", and if the commas belong to it --{name}={_tuple([text])}" * ("," in text)
    )


def _tuple(items: Sequence[str]) -> str:
    """As a shell takes it."""
    text = repr(tuple(each for each in items if each)).replace("', '", "','")
    return shlex.quote(text) if re.search(r'["$`\\!]', text) else f'"{text}"'


def repeated(values: flags.FlagValues) -> str:
    """The first flag of one value that the command line gives more than once: absl keeps the last
    alone. Empty where there is none; those of several values (tuples) take all that are given.
    """
    return next(
        (
            name
            for name in values
            if values[name].present > 1 and not isinstance(values[name], flags.MultiFlag)
        ),
        "",
    )


def _check_there(file: Path, named: str) -> None:
    """Raises `UserError`, with the nearest name that there is, where a file is missing."""
    try:
        file.lstat()
    except (FileNotFoundError, NotADirectoryError) as error:
        hint = local.alike(file) or (
            "files of configs/ are found from the project's folder: run the command there, or write"
            " the path in full."
        )
        raise UserError(f"{named}: there is no file {file}; {hint}") from error
    except OSError:  # refused where it is read
        return


_QUOTES = "\"'"


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """An error, and what it was raised for, the first last."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _of_configs(error: BaseException) -> str:
    """What to add where the project's own configurations cannot be imported."""
    if not isinstance(error, ImportError) or (error.name or "").partition(".")[0] != "configs":
        return ""
    return (
        ". The project's configurations, `configs`, are in its checkout, not in the installed"
        " package, and a package of that name beside the file goes before: run it from a checkout,"
        " or write the file without them (docs/how-to/studies.md)."
    )


def _line_of(error: BaseException, file: Path) -> int | None:
    """The line of a file at which it raised an error, itself or by what it called; None where
    others did.
    """
    if isinstance(error, SyntaxError) and error.filename and Path(error.filename).exists():
        return error.lineno if Path(error.filename).samefile(file) else None
    for frame, line in traceback.walk_tb(error.__traceback__):
        name = Path(frame.f_code.co_filename)
        if name.exists() and name.samefile(file):
            return line
    return None


def _mistake(error: Exception, problem: str) -> Exception:
    """What to raise for an error of the libraries that read the command line: what nobody expected
    as it is.
    """
    # What ml_collections raises for the override of a setting that does not exist.
    if isinstance(error, KeyError | AttributeError):
        if "get_config" in str(error):
            return UserError(f"{problem} the file has no function get_config.")
        # As text, a KeyError is its argument as Python writes it; ml_collections raises it again
        # with a second line, which names the nearest setting.
        texts = [str(each.args[0]) for each in _causes(error) if each.args]
        plainest = min(texts, key=lambda text: ("\n" not in text, text.count("\\")))
        setting, *near = plainest.split("\n")
        hint = " ".join([*near, "eacl_jax/config/settings.py lists them."])
        return UserError(f"{problem} there is no setting {setting.strip(_QUOTES)!r}. {hint}")
    if isinstance(error, flags.Error | TypeError | ValueError | SyntaxError | ImportError):
        *_, first = _causes(error)
        if "get_config()" in str(first):  # else absl's message holds the whole traceback
            return UserError(f"{problem} {first}; it takes one argument, which may be None.")
        found = _UNREAD.match(str(error))
        if found and " as tuple. If you intended" in found["why"]:
            return UserError(f"{problem} {_no_tuple('config.' + found['setting'], found['value'])}")
        if found and (kind := _kind_of(found["why"])):
            return UserError(f"{problem} {found['setting']} must be {kind}, got {found['value']!r}")
        return UserError(f"{problem} {str(error).strip()}")
    return error


# What absl says of an override whose value is of another kind than the setting's.
_UNREAD = re.compile(r"flag --config\.(?P<setting>[\w.]+)=(?P<value>.*?): (?P<why>.*)", re.DOTALL)
_KINDS = {
    "invalid literal for int()": "a whole number",
    "could not convert string to float": "a number",
    "('Non-boolean argument": "True or False",
}


def _kind_of(why: str) -> str:
    """What a value should have been, by Python's or absl's complaint; empty where it says else."""
    return next((kind for beginning, kind in _KINDS.items() if why.startswith(beginning)), "")


def _value(holder: Any, named: str) -> Any:
    """What `get_config` gave. Raises `UserError` where the file cannot be read."""
    try:
        value = holder.value
        hasattr(value, "items")  # a file that could not be read raises when it is looked at
        return value
    except OSError as error:
        cause = " ".join(str(error.__cause__ or error).split())
        # absl names what it attempted before the reason.
        raise UserError(f"{named}: {cause[max(0, cause.find('[Errno')) :]}") from error


def overrides_of(config: Config) -> list[str]:
    """All settings as overrides that a shell takes: `--config.stage_one.epochs=8`."""
    return [shlex.quote(f"--config.{name}={value}") for name, value in _flat(config.to_dict())]


def _flat(settings: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in settings.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{above}{name}.")
        else:
            yield f"{above}{name}", value
