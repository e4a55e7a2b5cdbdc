"""What a recognizer answers to everyday lines that are in no corpus, and by labels of one's own.

    python benchmarks/everyday.py runs/quickstart/model [OTHER_MODEL ...]

Lines: tests/e2e/everyday.jsonl, 20 conversations of 5 lines, each with the emotions that a person
would accept, written before any recognizer was asked. Labels: tests/e2e/own_labels.jsonl, five
labels and ten lines a set, answered from one word a label, from that word and a phrase, and with
20 annotated lines. Three of its sets ("choose") were there to choose what is done with words; the
other four measure it.
"""

import json
import sys
from pathlib import Path
from typing import Any

from eacl_jax import EmotionRecognizer

FOLDER = Path(__file__).resolve().parents[1] / "tests" / "e2e"


def read(name: str) -> list[dict[str, Any]]:
    """The JSON lines of a file beside the tests."""
    return [json.loads(line) for line in (FOLDER / name).read_text("utf-8").splitlines()]


def everyday(recognizer: EmotionRecognizer) -> tuple[int, list[str]]:
    """How many lines are answered acceptably, and the others."""
    wrong, right = [], 0
    for dialogue in read("everyday.jsonl"):
        utterances = dialogue["utterances"]
        answers = recognizer.predict([(u["speaker"], u["text"]) for u in utterances])
        for utterance, answer in zip(utterances, answers, strict=True):
            if answer.emotion in utterance["emotions"]:
                right += 1
            else:
                accepted = ", ".join(utterance["emotions"])
                wrong.append(f"{answer.emotion:9} not {accepted:24} {utterance['text']}")
    return right, wrong


def accepted(recognizer: EmotionRecognizer, lines: list[dict[str, Any]]) -> int:
    """How many lines, each a conversation by itself, are answered acceptably."""
    answers = recognizer.predict([[("A", line["text"])] for line in lines])
    return sum(
        answer.emotion in line["labels"] for (answer,), line in zip(answers, lines, strict=True)
    )


def own_labels(recognizer: EmotionRecognizer) -> dict[str, dict[str, tuple[int, int, int]]]:
    """Lines of ten that are answered acceptably, by use and set: from one word a label, from all
    its words, and with examples beside them.
    """
    found: dict[str, dict[str, tuple[int, int, int]]] = {}
    for each in read("own_labels.jsonl"):
        word = {label: words[0] for label, words in each["labels"].items()}
        several = {label: "|".join(words) for label, words in each["labels"].items()}
        relabelled = recognizer.with_labels(several)
        examples = [
            [{"speaker": "A", "text": line["text"], "emotion": line["labels"][0]}]
            for line in each["examples"]
        ]
        found.setdefault(each["use"], {})[each["name"]] = (
            accepted(recognizer.with_labels(word), each["lines"]),
            accepted(relabelled, each["lines"]),
            accepted(relabelled.adapt(examples), each["lines"]),
        )
    return found


def main(models: list[str]) -> None:
    """Prints both for each model."""
    for model in models:
        recognizer = EmotionRecognizer.from_pretrained(model)
        right, wrong = everyday(recognizer)
        print(f"{model}\n  everyday lines: {right} of 100 accepted")
        print("\n".join(f"    {line}" for line in wrong))
        for use, sets in own_labels(recognizer).items():
            print(f"  labels of one's own ({use}): one word, several, with 20 examples; of 10 each")
            for name, counts in sets.items():
                print(f"    {name:18} {counts[0]:3} {counts[1]:3} {counts[2]:3}")
            sums = [sum(column) for column in zip(*sets.values(), strict=True)]
            print(f"    {'all':18} {sums[0]:3} {sums[1]:3} {sums[2]:3} of {10 * len(sets)}")


if __name__ == "__main__":
    main(sys.argv[1:])
