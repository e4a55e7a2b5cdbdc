"""What the documents show is what the code does: Python runs, settings and options exist."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from eacl_jax.config import Config
from eacl_jax.corpora.files import read_file
from eacl_jax.errors import UserError
from tests.stubs.commands import OPTIONS

ROOT = Path(__file__).resolve().parents[2]
FILES = [ROOT / "README.md", *ROOT.glob("docs/**/*.md")]
PAGES = {str(path.relative_to(ROOT)): path.read_text(encoding="utf-8") for path in FILES}
# Excerpts of the file that is named.
EXCERPTS = {"docs/how-to/new-encoder.md": "eacl_jax/encoders/architectures/roberta.py"}

# One trains, the other extracts features from sound.
SLOW = ("docs/how-to/training-loop.md", "docs/how-to/features-extract.md")
SHOWN = "docs/architecture.md"  # with what it prints


def blocks(page: str, language: str) -> list[str]:
    """The page's blocks of code in a language; "" for what is printed."""
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGES[page], re.MULTILINE | re.DOTALL)


def with_blocks(language: str) -> list[str]:
    """Pages that have such blocks."""
    return [page for page in PAGES if blocks(page, language)]


@pytest.mark.parametrize(
    "page",
    [
        pytest.param(page, marks=pytest.mark.slow if page in SLOW else ())
        for page in with_blocks("python")
        if page not in EXCERPTS and page != SHOWN
    ],
)
def test_python_runs(page, project, monkeypatch):
    monkeypatch.chdir(project)
    names: dict[str, object] = {"__name__": "snippet"}
    for block in blocks(page, "python"):
        exec(compile(block, page, "exec"), names)


def test_the_forward_pass_prints_what_it_shows(project, monkeypatch, capsys):
    """Shapes and tokens depend on no machine."""
    monkeypatch.chdir(project)
    (code,) = blocks(SHOWN, "python")
    exec(compile(code, SHOWN, "exec"), {})
    assert capsys.readouterr().out in PAGES[SHOWN]


@pytest.mark.parametrize("page", EXCERPTS)
def test_excerpts_are_excerpts(page):
    source = (ROOT / EXCERPTS[page]).read_text(encoding="utf-8")
    assert all(block in source for block in blocks(page, "python"))


def test_a_corpus_of_the_how_to_can_be_loaded(project, monkeypatch, tmp_path):
    from eacl_jax.config import DataConfig

    monkeypatch.chdir(project)
    names: dict[str, object] = {"__name__": "snippet"}
    (code,) = blocks("docs/how-to/new-corpus.md", "python")
    exec(compile(code, "docs/how-to/new-corpus.md", "exec"), names)
    data = DataConfig(dir=str(ROOT / "eacl_jax" / "corpora" / "smalltalk_data"))
    assert len(names["Podcasts"].from_config(data, tmp_path).dialogues()["train"]) == 654  # type: ignore[attr-defined]


def test_one_file_is_divided_by_dialogue(project, monkeypatch):
    page = "docs/how-to/own-corpus.md"
    monkeypatch.chdir(project)
    names: dict[str, Any] = {"__name__": "snippet"}
    (code,) = blocks(page, "python")
    exec(compile(code, page, "exec"), names)
    parts = [read_file(f"runs/mine-{split}.jsonl") for split in ("train", "dev", "test")]
    assert [len(part) for part in parts] == [len(names[name]) for name in ("train", "dev", "test")]
    assert all(parts)
    divided = sorted((found.dialogue for part in parts for found in part), key=lambda d: d.id)
    assert divided == sorted(names["dialogues"], key=lambda d: d.id)
    # The page that an error names.
    with pytest.raises(UserError, match=re.escape(f'{page} ("One file alone")')):
        Config.from_mapping({"data": {"corpus": "custom", "train": "all.csv"}})
    assert "\n## One file alone\n" in PAGES[page]
    same = 2 * [names["dialogues"][0]] + names["dialogues"]
    first, second = names["divide"](same, 0.5)
    assert same[0] not in first or same[0] not in second


def test_the_loop_over_files_answers_each_once(tmp_path):
    """With a stand-in for the command, which notes its input and writes its output; the second time
    for a file that is new.
    """
    (loop,) = (code for code in blocks("docs/how-to/command-line.md", "sh") if "basename" in code)
    chats, program = tmp_path / "docs" / "how-to" / "chats", tmp_path / ".venv" / "bin" / "eacl"
    chats.mkdir(parents=True)
    program.parent.mkdir(parents=True)
    program.write_text('#!/bin/sh\necho "$5" >> asked; touch "$7"\n')
    program.chmod(0o755)
    for name in ("a b.csv", "c.csv", "d.csv"):
        (chats / name).write_text("")
        if name != "a b.csv":
            subprocess.run(["sh", "-c", loop], cwd=tmp_path, check=True)
    asked = (tmp_path / "asked").read_text().splitlines()
    assert [Path(each).name for each in asked] == ["a b.csv", "c.csv", "d.csv"]
    answers = sorted(path.name for path in (tmp_path / "runs" / "answers").iterdir())
    assert answers == ["a b.csv.jsonl", "c.csv.jsonl", "d.csv.jsonl"]


@pytest.mark.parametrize("page", PAGES)
def test_settings_exist(page):
    known = {
        f"{group}.{name}"
        for group, values in Config().to_dict().items()
        if isinstance(values, dict)
        for name in values
    }
    named = set(re.findall(r"--config\.([a-z_]+\.[a-z_]+)", PAGES[page]))
    assert named <= known
    assert all(
        (ROOT / file).is_file()
        for file in re.findall(r"--config=(configs/[a-z_]+\.py)", PAGES[page])
    )


def commands() -> list[tuple[str, str]]:
    """Each command of the documents' shell blocks with one of its options."""
    found = set()
    for page in with_blocks("sh"):
        for block in blocks(page, "sh"):
            for line in block.replace("\\\n", " ").splitlines():
                if match := re.search(r"\beacl ((?:features )?[a-z]+)\b([^#|;]*)", line):
                    found |= {
                        (match[1], option) for option in re.findall(r" (--[a-z][a-z-]*)", match[2])
                    }
    return sorted(found)


@pytest.mark.parametrize("command", sorted({command for command, _ in commands()}))
def test_options_exist(command):
    assert {option for name, option in commands() if name == command} <= OPTIONS[command]
