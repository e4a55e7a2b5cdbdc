"""Settings by dotted name, as variants and corpora give them, put into a configuration."""

from collections.abc import Mapping, Sequence
from typing import Any

Settings = dict[str, Any]
"""Values by dotted name: `{"loss.temperature": 0.2}`."""


def plain(value: Any) -> Any:
    """Groups as dicts, also those of ml_collections."""
    return {key: plain(each) for key, each in value.items()} if hasattr(value, "items") else value


def flat(settings: Mapping[str, Any], above: str = "") -> Settings:
    found: Settings = {}
    for name, value in settings.items():
        if isinstance(value, Mapping):
            found |= flat(value, f"{above}{name}.")
        else:
            found[f"{above}{name}"] = value
    return found


def combined(base: Mapping[str, Any], settings: Settings) -> tuple[dict[str, Any], list[str]]:
    """The base with settings by dotted name, and which of them it has no group for."""
    made, wrong = plain(base), []
    for name, value in settings.items():
        *groups, last = name.split(".")
        inner = made
        for group in groups:
            inner = inner.get(group) if isinstance(inner, dict) else None
        if not isinstance(inner, dict):
            wrong.append(f"config.{name}: there is no group of settings {'.'.join(groups)!r}.")
        elif isinstance(inner.get(last), dict):
            wrong.append(f"config.{name}: a group of settings, got {value!r:.80}.")
        else:
            inner[last] = value
    return made, wrong


def who(where: Sequence[tuple[str, str]], corpora: Sequence[str], variants: Sequence[str]) -> str:
    """The cells that have a problem, in few words."""
    on, of = (list(dict.fromkeys(names)) for names in zip(*where, strict=True))
    if len(where) != len(on) * len(of):
        return "; ".join(f"variant {variant!r} on corpus {corpus!r}" for corpus, variant in where)
    every_variant, every_corpus = len(of) == len(variants) > 1, len(on) == len(corpora) > 1
    named = "every variant" if every_variant else f"variant {', '.join(map(repr, of))}"
    return f"{named} on " + (
        "every corpus" if every_corpus else f"corpus {', '.join(map(repr, on))}"
    )
