"""`eacl serve`: a model as an HTTP service."""

import os
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from eacl_jax.cli.options import Model, Precision, Revision, Runtime
from eacl_jax.errors import UserError
from eacl_jax.files import stores
from eacl_jax.serving.http.peers import is_loopback

if TYPE_CHECKING:
    from eacl_jax.serving.settings import OutOfRangeError

_TOKEN = "EACL_TOKEN"
_PACKAGES = ("fastapi", "prometheus_client", "uvicorn")
# The options of the service's settings; all others are called by the setting, with "max" before it.
_OPTIONS = {name: name for name in ("queue", "timeout", "grace")} | {
    "batch": "batch-size",
    "idle": "conversation-ttl",
    "sound_bytes": "max-sound-mb",
}


def serve(
    model: Model,
    host: Annotated[
        str, typer.Option(help="Name or address to listen at; 0.0.0.0 for all of this machine.")
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(help="Port; 0 for any that is free.", min=0, max=65535)
    ] = 8000,
    token: Annotated[
        str | None,
        typer.Option(
            envvar=_TOKEN,
            help=(
                "Ask every caller for this bearer token. Better in the environment: other users see"
                " a command line."
            ),
            show_default=False,
        ),
    ] = None,
    name: Annotated[
        str,
        typer.Option(
            help="The model's name, as callers see it; else from --model.", show_default=False
        ),
    ] = "",
    queue: Annotated[
        int, typer.Option(help="Utterances that may wait; beyond, callers are asked to come back.")
    ] = 2000,
    batch_size: Annotated[
        int,
        typer.Option(
            help="Utterances encoded together, four times as many where many wait. On a GPU or TPU,"
            " 64 or more is faster."
        ),
    ] = 16,
    timeout: Annotated[float, typer.Option(help="Seconds until a request is given up.")] = 30.0,
    grace: Annotated[
        float, typer.Option(help="Seconds to answer what is in, once asked to stop.")
    ] = 30.0,
    max_dialogues: Annotated[int, typer.Option(help="Dialogues of a request.")] = 100,
    max_utterances: Annotated[int, typer.Option(help="Utterances of a request.")] = 1000,
    max_characters: Annotated[int, typer.Option(help="Characters of an utterance.")] = 10_000,
    max_labels: Annotated[int, typer.Option(help="Labels that a request brings.")] = 50,
    max_body_bytes: Annotated[int, typer.Option(help="Bytes of a request.")] = 2**20,
    max_numbers: Annotated[
        int, typer.Option(help="Numbers of an utterance's features, where the model reads any.")
    ] = 50_000,
    max_sounds: Annotated[
        int, typer.Option(help="Sounds of a request, where the model reads any.")
    ] = 20,
    max_sound_mb: Annotated[
        int,
        typer.Option(
            help="MiB of a sound file; a request has room for one beside its other bytes."
        ),
    ] = 10,
    max_sound_seconds: Annotated[int, typer.Option(help="Seconds of a sound.")] = 60,
    max_connections: Annotated[int, typer.Option(help="Connections at once.")] = 1000,
    max_conversations: Annotated[
        int,
        typer.Option(
            help="Conversations kept at once; for one more, the one idle longest is forgotten."
        ),
    ] = 1000,
    conversation_ttl: Annotated[
        float, typer.Option(help="Seconds after which an idle conversation is forgotten.")
    ] = 3600.0,
    # One name: with its opposite beside it, a column of the help has no room for long ones.
    no_compile_ahead: Annotated[
        bool,
        typer.Option(
            "--no-compile-ahead",
            help="Be ready before everything is compiled: the first answers then take long.",
        ),
    ] = False,
    runtime: Runtime = "jax",
    precision: Precision = "float32",
    revision: Revision = "main",
) -> None:
    """Serve a model: a page for people at /, JSON for programs under /v1, described at /docs."""
    if absent := [package for package in _PACKAGES if find_spec(package) is None]:
        raise UserError(
            f"`eacl serve` needs {', '.join(absent)}, not installed here: pip install"
            " 'eacl_jax[serve]'."
        )
    if token is None and _TOKEN in os.environ:
        raise UserError(
            f"{_TOKEN} is set but empty; give it the token, or unset it to serve without one."
        )
    from eacl_jax.cli import compiled, process
    from eacl_jax.serving.server import bind, run
    from eacl_jax.serving.settings import Limits, OutOfRangeError, ServiceSettings

    try:
        settings = ServiceSettings(
            name=name or _name_of(model),
            token=token,
            host=host,
            limits=Limits(
                max_dialogues,
                max_utterances,
                max_characters,
                max_labels,
                max_body_bytes,
                max_numbers,
                max_sounds,
                max_sound_mb * 2**20,
                max_sound_seconds,
            ),
            queue=queue,
            requests=min(ServiceSettings.requests, max(max_connections // 2, 1)),
            connections=max_connections,
            batch=batch_size,
            timeout=timeout,
            grace=grace,
            conversations=max_conversations,
            idle=conversation_ttl,
            compile_ahead=not no_compile_ahead,
        )
    except OutOfRangeError as error:
        raise UserError(_by_its_flag(error)) from error
    process.quiet_libraries()
    with process.ending_at_once("before the service was up"):
        bound = bind(host, port)
        if token is None and not is_loopback(host):
            typer.echo(
                f"warning: whoever reaches {host} may use this service; --token or {_TOKEN} asks"
                " for a token.",
                err=True,
            )
        if runtime == "jax":
            compiled.keep_compiled()
        from eacl_jax.recognizer.recognizer import EmotionRecognizer

        recognizer = EmotionRecognizer.from_pretrained(
            model,
            runtime=runtime,
            precision=precision,
            revision=revision,
            batch_size=batch_size,
        )
        announce = f"{settings.name} answers at {{}} (Ctrl+C stops it)".format
        run(
            recognizer,
            settings,
            bound,
            lambda address: typer.echo(announce(address)),
            signals=process.handling,
        )


def _name_of(model: str) -> str:
    """The folder's own name, and that of the folder above where it is called what a run calls its
    model.
    """
    address = stores.address_of(model)
    if not address and not Path(model).is_dir():
        return model
    folder = Path(model) if address else Path(model).resolve()
    name = f"{folder.parent.name}/{folder.name}" if folder.name == "model" else folder.name
    return name.encode("utf-8", "replace").decode()[:100] or "model"


def _by_its_flag(error: "OutOfRangeError") -> str:
    """What to say of a number that cannot be, by the option that gave it."""
    option = _OPTIONS.get(error.name, f"max-{error.name.replace('_', '-')}")
    value, most = error.value, error.most
    if error.name == "sound_bytes":
        value, most = value // 2**20, most // 2**20
    return f"--{option} must be more than {error.above} and at most {most:,}, got {value:,}."
