"""One utterance is, and two utterances are."""

import re

import pytest

from eacl_jax.dialogue import count, counted
from tests.stubs.root import ROOT

# A number with which a sentence begins, and behind it several of something that do something.
NUMBER = r"(?:(?<=[\"'])|(?<=: ))(?:\{[^{}]*\}|%[ds])"
MANY = re.compile(rf"{NUMBER} (?:\w+ )?(?:utterances|dialogues|texts) (?:are|have|hold|name|do)\b")


@pytest.mark.parametrize("size", [0, 1, 2, 2610])
def test_numbers_and_verbs_go_together(size):
    assert count(size, "dialogue") == f"{size:,} dialogue{'s' * (size != 1)}"
    found = counted(size, "utterance is", "utterances are")
    assert found == (f"{size:,} utterances are" if size != 1 else "1 utterance is")


def test_no_message_has_several_of_what_may_be_one():
    found = [
        f"{path.relative_to(ROOT)}: {each[0]}"
        for path in (ROOT / "eacl_jax").rglob("*.py")
        if path.name != "standalone_prompts.py"  # a program of its own, which looks by itself
        for each in MANY.finditer(path.read_text(encoding="utf-8"))
    ]
    assert not found
