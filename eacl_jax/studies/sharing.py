"""What the runs of one process share: a corpus and an encoder, one at a time."""

import gc
from collections.abc import Callable, Hashable
from typing import Any

from eacl_jax.config import Config
from eacl_jax.studies.plan import shared_by


class Sharing:
    """Keeps what was loaded for the last run, for as long as runs are of the same corpus and
    encoder.
    """

    def __init__(self, load: Callable[[Config], Any]) -> None:
        """`load`: as `experiment.load`."""
        self._load = load
        self._kept: tuple[Hashable, Any] | None = None

    @property
    def key(self) -> Hashable:
        """`shared_by` of what is kept; None where nothing is."""
        return self._kept and self._kept[0]

    def of(self, config: Config) -> Any:
        """What a run of this configuration needs."""
        key = shared_by(config)
        if self._kept is None or self._kept[0] != key:
            self.forget()
            gc.collect()  # before the next is read: it may be large
            self._kept = key, self._load(config)
        return self._kept[1]

    def forget(self) -> None:
        """Keeps nothing."""
        self._kept = None
