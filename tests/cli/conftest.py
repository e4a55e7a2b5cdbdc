"""The command line as the tests call it: in this process, with a stand-in for the recognizer or a
tiny real one.
"""

import io
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from eacl_jax.cli.job import Job
from eacl_jax.cli.main import main
from eacl_jax.studies import runner
from eacl_jax.studies.search import runner as search_runner
from tests.stubs.bulk import Stub
from tests.stubs.several import make_several
from tests.stubs.toys import make_encoder_folder, make_recognizer

# A study or search of two seeds and a corpus of four dialogues, and what else a module names.
STUDY = """
import json
from ml_collections import ConfigDict
from eacl_jax.config import Config

def get_config(argument=None):
    base = ConfigDict(Config().to_dict())
    base.encoder.path = "{encoder}"
    fields = dict(
        name="small", base=base, seeds=(0, 1), corpora={{"talk": {{
            "data.corpus": "smalltalk", "data.max_dialogues": 6, "data.cache_dir": "{cache}"}}}},
        {fields}
    )
    fields.update(json.loads(argument) if argument else {{}})
    return ConfigDict(fields, convert_dict=False)
"""


class Done(NamedTuple):
    """How a command ended."""

    status: int
    output: bytes
    errors: str


@pytest.fixture(scope="session")
def model(tmp_path_factory) -> Path:
    """A model folder of joy, anger and neutral."""
    folder = tmp_path_factory.mktemp("cli") / "model"
    make_recognizer(tmp_path_factory.mktemp("cli_encoder"), shift=0.1).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def several(tmp_path_factory) -> Path:
    """A model folder of several labels an utterance, the same ones."""
    folder = tmp_path_factory.mktemp("cli") / "several"
    make_several(tmp_path_factory.mktemp("cli_encoder")).save_pretrained(folder)
    return folder


@pytest.fixture
def eacl(monkeypatch, capsysbinary) -> Callable[..., Done]:
    """Runs `eacl ARGUMENTS`, or the launch script of the command; `given` is its standard input."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "unraisablehook", sys.unraisablehook)

    def run(*arguments: str | Path, given: bytes = b"", script: str = "") -> Done:
        command, typed = (arguments[:1], arguments[1:]) if script else ((), arguments)
        monkeypatch.setattr(sys, "argv", [script or "eacl", *map(str, typed)])
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(given)))
        handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            with pytest.raises(SystemExit) as ended:
                main(*map(str, command))
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)
        output, errors = capsysbinary.readouterr()
        return Done(int(ended.value.code or 0), output, errors.decode())

    return run


@pytest.fixture
def stub(monkeypatch) -> Stub:
    """Answers in place of the model."""
    stand_in = Stub()
    monkeypatch.setattr(Job, "_recognizer", lambda *_: stand_in)
    return stand_in


@pytest.fixture(scope="module")
def study_file(request, tmp_path_factory) -> Path:
    """`STUDY` with the `FIELDS` of the test's module, and its encoder."""
    folder = tmp_path_factory.mktemp("study")
    encoder = make_encoder_folder(folder / "encoder")
    fields = request.module.FIELDS
    text = STUDY.format(encoder=encoder, cache=folder / "cache", fields=fields)
    (folder / "small.py").write_text(text)
    return folder / "small.py"


@pytest.fixture
def study(eacl, study_file, train, tmp_path, monkeypatch) -> Callable[..., Done]:
    """Runs `eacl study` on it; the module's `train` stands in for runs."""
    for module, name in ((runner, "run_study"), (search_runner, "run_search")):
        whole = getattr(module, name)

        def stand_in(*arguments, whole=whole, **options):
            return whole(*arguments, train=train, load=lambda _: None, **options)

        monkeypatch.setattr(module, name, stand_in)

    def run(*options, argument=""):
        return eacl("study", f"{study_file}{argument}", f"--workdir={tmp_path / 'study'}", *options)

    run.train, run.folder = train, tmp_path / "study"
    return run
