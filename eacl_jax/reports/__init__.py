"""The run's report: figures and a one-page HTML."""

from eacl_jax.reports.page import write_report

__all__ = ["write_report"]
