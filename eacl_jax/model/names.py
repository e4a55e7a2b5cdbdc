"""Names of parameters: where each stands in the tree."""

from typing import Any


def path_name(path: tuple[Any, ...]) -> str:
    """A tree path as `encoder/layers/0/kernel`."""
    return "/".join(
        str(getattr(part, "key", getattr(part, "name", getattr(part, "idx", part))))
        for part in path
    )
