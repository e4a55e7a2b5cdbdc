"""Commands that refuse an option which is given twice and takes one value."""

from collections import Counter
from typing import Any

from typer.core import TyperCommand, TyperOption

from eacl_jax.errors import UserError


class Command(TyperCommand):
    """As typer's, which would keep the last value and drop the others without a word.

    A switch may be repeated: it has no value that could be lost.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        # Of the parser itself: what is left afterwards has one value an option.
        _, _, given = self.make_parser(ctx).parse_args([*args])
        for option, times in Counter(given).items():
            if (
                times > 1
                and isinstance(option, TyperOption)
                and not (option.multiple or option.is_flag)
                and not {*ctx.help_option_names} & {*args}
            ):
                raise UserError(f"{option.opts[0]} is given {times} times; {_remedy(option)}")
        return super().parse_args(ctx, args)


def _remedy(option: TyperOption) -> str:
    if (option.metavar or "").endswith(",..."):
        return f"give it once, with commas between all that it lists ({option.metavar})."
    return "it takes one value: give it once, or run the command once for each value."
