"""The commands of `eacl`, and the options that each has."""

from typer.main import get_command

from eacl_jax.cli.app import app

SUBCOMMANDS = {
    f"{group} {name}".strip(): command
    for group, commands in (
        ("", get_command(app).commands),  # type: ignore[attr-defined]
        ("features", get_command(app).commands["features"].commands),  # type: ignore[attr-defined]
    )
    for name, command in commands.items()
    if command.callback is not None
}
OPTIONS = {
    name: {"--help"}.union(
        *({*parameter.opts, *parameter.secondary_opts} for parameter in command.params)
    )
    for name, command in SUBCOMMANDS.items()
}
