"""Settings by dotted name, as variants and corpora give them, put into a configuration."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

Settings = dict[str, Any]
"""Values by dotted name: `{"loss.temperature": 0.2}`."""


def plain(value: Any) -> Any:
    """Groups as dicts, also those of ml_collections."""
    return {key: plain(each) for key, each in value.items()} if hasattr(value, "items") else value


def flat(settings: Mapping[str, Any]) -> Settings:
    """Groups within groups as dotted names; of a setting that is there twice, the last."""
    return dict(_pairs(settings))


def doubled(settings: Mapping[str, Any]) -> list[str]:
    """The settings that are there twice: by a dotted name, and in a group."""
    names = [name for name, _ in _pairs(settings)]
    return [name for name in dict.fromkeys(names) if names.count(name) > 1]


def _pairs(settings: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in settings.items():
        if isinstance(value, Mapping) and value:
            yield from _pairs(value, f"{above}{name}.")
        else:
            yield f"{above}{name}", value


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
