"""The run's report: one page with figures."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from eacl_jax.reports.page import write_report

__all__ = ["write_report"]


def __getattr__(name: str) -> Any:
    # Only on demand: it imports matplotlib and scikit-learn, for which a program that wants colours
    # only should not wait.
    if name == "write_report":
        from eacl_jax.reports.page import write_report

        return write_report
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
