"""How a benchmark starts and ends: its flags are absl's, and a mistake is reported in one line."""

from collections.abc import Callable
from typing import NoReturn

from absl import app, flags

from eacl_jax.cli import huge_pages, process
from eacl_jax.cli.configuration import repeated
from eacl_jax.errors import UserError


def run(main: Callable[[], None], *, pages: bool = True) -> NoReturn:
    """Reads the flags, runs `main` and exits.

    Args:
      main: the benchmark.
      pages: whether the allocator asks for huge pages, as that of the commands that train.
    """
    process.start()
    if pages:
        huge_pages.use_huge_pages()

    def guarded(_: list[str]) -> None:
        process.quiet_libraries()
        main()

    process.run(lambda: app.run(guarded, flags_parser=_parse))


def _parse(arguments: list[str]) -> list[str]:
    problem = "the command line cannot be used:"
    try:
        rest = flags.FLAGS(arguments)
    except flags.Error as error:
        raise UserError(f"{problem} {str(error).strip()}") from error
    if twice := repeated(flags.FLAGS):
        raise UserError(
            f"{problem} --{twice} is given more than once, and takes one value: give it once."
        )
    return rest
