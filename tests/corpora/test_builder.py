"""Preparing a corpus: once, anew when the sources change, whole or not at all."""

import dataclasses
import errno
import json
import os
import pickle
import subprocess
import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from eacl_jax import corpora
from eacl_jax.config import DataConfig
from eacl_jax.corpora import builder
from eacl_jax.corpora.builder import CorpusBuilder
from eacl_jax.corpora.checks import Counts
from eacl_jax.corpora.custom import Custom
from eacl_jax.corpora.found import Found
from eacl_jax.dialogue import Corpus, Utterance
from eacl_jax.errors import UserError

Toy = Callable[..., DataConfig]


def texts(corpus: Corpus, split: str = "train") -> list[str]:
    return [
        utterance.text for dialogue in corpus.splits[split] for utterance in dialogue.utterances
    ]


def prepared(cache: Path) -> list[Path]:
    return sorted(cache.glob("corpora/*/*/1.0.0"))


def command(code: str, data: DataConfig, *arguments: Path) -> list[str]:
    """Another process that runs `code`, which knows `data`."""
    start = (
        "import os, sys, time\n"
        "from pathlib import Path\n"
        "from eacl_jax import corpora\n"
        "from eacl_jax.config import DataConfig\n"
        "from eacl_jax.corpora.builder import CorpusBuilder\n"
        f"data = {data!r}\n"
    )
    return [sys.executable, "-c", start + code, *map(str, arguments)]


def forbid_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Custom, split: str) -> None:
        raise AssertionError(f"{split} was read again")

    monkeypatch.setattr(Custom, "_read", refuse)


def test_second_load_reads_the_prepared_corpus(
    toy: Toy, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = toy()
    before = {path: path.stat() for path in Path(data.train).parent.iterdir()}
    first = corpora.load(data)
    forbid_reading(monkeypatch)
    assert corpora.load(data) == first
    after = {path: path.stat() for path in Path(data.train).parent.iterdir()}
    assert {path: (stat.st_mtime_ns, stat.st_size) for path, stat in after.items()} == {
        path: (stat.st_mtime_ns, stat.st_size) for path, stat in before.items()
    }
    (folder,) = prepared(cache)
    assert sorted(path.name for path in folder.glob("*.array_record*")) == [
        f"custom-{split}.array_record-00000-of-00001" for split in ("dev", "test", "train")
    ]
    assert [path.name for path in (cache / "corpora").iterdir()] == [folder.parents[1].name], (
        "nothing temporary is left"
    )


def test_changed_source_is_prepared_anew(toy: Toy, cache: Path) -> None:
    data = toy()
    assert texts(corpora.load(data))[0] == "The kettle is singing."
    train = Path(data.train)
    stat = train.stat()
    train.write_text(train.read_text().replace("kettle", "teapot"))
    os.utime(train, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert texts(corpora.load(data))[0] == "The teapot is singing."
    assert len(prepared(cache)) == 2


def test_half_a_surrogate(toy: Toy) -> None:
    utterance = {"speaker": "Ana", "text": "hi", "emotion": "joy"}
    with pytest.raises(UserError, match="the id holds half of a surrogate pair"):
        corpora.load(toy(dev=json.dumps({"id": "\ud83d", "utterances": [utterance]})))
    # In a field that nobody reads it does no harm.
    corpora.load(toy(dev=json.dumps({"id": "d", "note": "\ud83d", "utterances": [utterance]})))


def test_many_dialogues_keep_their_order(toy: Toy) -> None:
    many = [
        {
            "id": f"n{number}",
            "utterances": [{"speaker": "Ana", "text": str(number), "emotion": "joy"}],
        }
        for number in range(300)
    ]
    assert texts(corpora.load(toy(dev=many)), "dev") == [str(number) for number in range(300)]


def test_text_survives_the_round_trip(toy: Toy) -> None:
    text = "Tab\there, “quotes” ’ \\ é 😀 \u2028 next \r\n line"
    corpus = corpora.load(
        toy(dev=[{"id": "ü", "utterances": [{"speaker": "Zoë", "text": text, "emotion": "joy"}]}])
    )
    assert (corpus.splits["dev"][0].id, texts(corpus, "dev")) == ("ü", [text])


def test_interrupted_preparation_is_not_taken_for_a_whole_one(toy: Toy, cache: Path) -> None:
    data = toy()
    code = (
        "write = CorpusBuilder._generate_examples\n"
        "def die_at_test(self, *, split, found):\n"
        "    if split == 'test': os._exit(9)\n"
        "    yield from write(self, split=split, found=found)\n"
        "CorpusBuilder._generate_examples = die_at_test\n"
        "corpora.load(data)\n"
    )
    assert subprocess.run(command(code, data), check=False).returncode == 9
    assert list(cache.rglob("*train.array_record*")), "it died half-way, not before"
    assert not prepared(cache)
    assert len(texts(corpora.load(data))) == 3


def test_failed_preparation_leaves_nothing(toy: Toy, cache: Path) -> None:
    with pytest.raises(UserError):
        corpora.load(toy(dev="not json\n"))
    assert list((cache / "corpora").iterdir()) == []


@pytest.mark.slow
def test_processes_may_prepare_at_once(toy: Toy, cache: Path) -> None:
    data = toy()
    # Each stops before its rename until all have got there.
    code = (
        "publish = CorpusBuilder._publish\n"
        "def wait_for_all(built, final):\n"
        "    Path(sys.argv[1], str(os.getpid())).touch()\n"
        "    deadline = time.monotonic() + 60\n"
        "    while len(os.listdir(sys.argv[1])) < 3:\n"
        "        assert time.monotonic() < deadline, 'another process did not get here'\n"
        "        time.sleep(0.01)\n"
        "    publish(built, final)\n"
        "CorpusBuilder._publish = staticmethod(wait_for_all)\n"
        "c = corpora.load(data)\n"
        "print({split: len(found) for split, found in c.splits.items()})\n"
    )
    gate = cache.parent / "gate"
    gate.mkdir()
    running = [
        subprocess.Popen(command(code, data, gate), stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    try:
        outputs = [process.communicate(timeout=120)[0].strip() for process in running]
    finally:
        for process in running:
            process.kill()
    assert outputs == ["{'train': 2, 'dev': 1, 'test': 1}"] * 3
    assert len(prepared(cache)) == 1
    assert len(list((cache / "corpora").iterdir())) == 1


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("custom-dev.array_record-00000-of-00001", b"torn"),
        ("custom-dev.array_record-00000-of-00001", None),
        ("dataset_info.json", b""),
        ("dataset_info.json", b"{}"),
        ("features.json", b"torn"),
    ],
)
def test_damaged_preparation_is_prepared_anew(
    toy: Toy, cache: Path, name: str, content: bytes | None
) -> None:
    data = toy()
    expected = corpora.load(data)
    (folder,) = prepared(cache)
    if content is None:
        (folder / name).unlink()
    else:
        (folder / name).write_bytes(content)
    assert corpora.load(data) == expected
    assert prepared(cache) == [folder]
    assert list((cache / "corpora").iterdir()) == [folder.parents[1]]


def test_damaged_preparation_that_stays_is_named(
    toy: Toy, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = toy()
    corpora.load(data)
    (folder,) = prepared(cache)
    (folder / "dataset_info.json").write_text("")

    def refuse(path: Path) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("shutil.rmtree", refuse)
    with pytest.raises(
        UserError, match=r"cannot be read .*nor removed \(Permission denied\); delete that folder"
    ):
        corpora.load(data)


def test_full_disk_is_reported(toy: Toy, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise RuntimeError("UNAVAILABLE: write failed: No space left on device")

    monkeypatch.setattr(CorpusBuilder, "_generate_examples", full)
    with pytest.raises(
        UserError, match=r"cannot prepare custom in .*: no space left on the disk; free some"
    ):
        corpora.load(toy())


def test_source_that_changes_meanwhile(
    toy: Toy, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = toy()
    read = Custom._read

    def change_after(self: Custom, split: str) -> list[object]:
        found = list(read(self, split))
        with Path(data.train).open("a") as file:
            file.write("\n")
        return found

    monkeypatch.setattr(Custom, "_read", change_after)
    with pytest.raises(UserError, match="changed while they were read"):
        corpora.load(data)
    assert not prepared(cache)


def test_cache_that_cannot_be_written(toy: Toy, tmp_path: Path) -> None:
    (tmp_path / "occupied").write_text("a file")
    with pytest.raises(UserError, match=r"cannot prepare custom in .*config\.data\.cache_dir"):
        corpora.load(dataclasses.replace(toy(), cache_dir=str(tmp_path / "occupied")))


def test_builder_is_pickled_with_its_arguments(toy: Toy, cache: Path) -> None:
    made = Custom.from_config(toy(), cache)
    expected = made.dialogues()
    copy = pickle.loads(pickle.dumps(made))
    assert isinstance(copy, CorpusBuilder)
    assert (copy.sources, copy.options, copy.fingerprint) == (
        made.sources,
        made.options,
        made.fingerprint,
    )
    assert copy.dialogues() == expected


@pytest.mark.parametrize("elsewhere", [False, True])
def test_changed_code_reads_the_sources_anew(
    toy: Toy, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, elsewhere: bool
) -> None:
    package, module = tmp_path / "package", tmp_path / "mine.py"
    (package / "corpora").mkdir(parents=True)
    monkeypatch.setattr(builder, "_PACKAGE", package)
    monkeypatch.setattr(sys.modules[__name__], "__file__", str(module))
    changed = module if elsewhere else package / "corpora" / "rows.py"

    class Mine(Custom):
        """A builder of another package."""

        name = "custom"

    monkeypatch.setattr(Mine, "__module__", __name__)
    for content, copies in (("one", 1), ("one", 1), ("two", 2)):
        changed.write_text(content)
        builder._code.cache_clear()  # a process has its code from its start to its end
        Mine.from_config(toy(), cache).dialogues()
        assert len(prepared(cache)) == copies
    builder._code.cache_clear()


def test_a_builder_that_was_typed_in_reads_the_sources_each_time(
    toy: Toy, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "typed", types.ModuleType("typed"))

    def typed(text: str) -> list[str]:
        class Mine(Custom):
            """Of a notebook, where one cell is run again and again."""

            name = "custom"

            def _read(self, split: str) -> Iterator[Found]:
                for found in super()._read(split):
                    said = (Utterance("Ann", text, "joy"),)
                    lines = dataclasses.replace(found.dialogue, utterances=said)
                    yield dataclasses.replace(found, dialogue=lines, lines=found.lines[:1], kept=())

        monkeypatch.setattr(Mine, "__module__", "typed")
        found = Mine.from_config(toy(), cache).dialogues()["train"]
        return [utterance.text for each in found for utterance in each.dialogue.utterances]

    assert set(typed("one")) == {"one"}
    assert set(typed("two")) == {"two"}
    assert len(prepared(cache)) == 1


def test_counts_are_checked(toy: Toy, cache: Path) -> None:
    sources = Custom.from_config(toy(), cache).sources

    def build(**expected: Counts) -> None:
        Custom(sources=sources, cache_dir=cache, expected=expected, options={}).dialogues()

    build(train=Counts(2, 2), dev=Counts(1), test=Counts(1, 1))
    with pytest.raises(
        UserError,
        match=r"train has 2 dialogues, expected 3; dev has 1 annotated utterances, expected 4\.",
    ):
        build(train=Counts(3, 2), dev=Counts(1, 4))


def test_nothing_is_printed(toy: Toy, capfd: pytest.CaptureFixture[str]) -> None:
    corpora.load(toy())
    assert capfd.readouterr() == ("", "")
