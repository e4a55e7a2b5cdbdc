"""Runs the exported model beside it. Needs ONNX Runtime, tokenizers and NumPy only: `python run.py`
answers the conversation in example.npz, `python run.py FILE` those of lines `Speaker: text`, with a
blank line after each conversation.
"""

import os
import re
import sys
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from eacl_jax.corpora.texts import without_controls
from eacl_jax.export.standalone_files import finish, tell_of_difference
from eacl_jax.export.standalone_prompts import (
    Exported,
    lay_out,
    prompt,
    tell_of_cut,
    tell_of_unknown,
    why_no_text,
)

HERE = Path(__file__).resolve().parent
# Beside an int8 program for processors that add its products up exactly: one to try that.
EIGHT_BITS = "eight_bits.onnx"
# Tokens that are run together, with padding: so many stay in a processor's caches.
_TOGETHER = 512
# Before a colon, as a name is, these begin a sentence ("At 10: come"), other files and e-mails.
_NO_NAME = re.compile(
    r"(about|after|around|at|before|by|from|on|since|till|today|tomorrow|tonight|until|yesterday"
    r"|webvtt)\b|(subject|betreff|objet|asunto|oggetto)$",
    re.IGNORECASE,
)


class Model(Exported):
    """Utterances in, probabilities out."""

    def __init__(self, folder: Path = HERE) -> None:
        """`folder`: with model.onnx, model.json, labels.json and tokenizer/."""
        super().__init__(folder)
        # Else ONNX Runtime sends events to its makers, and keeps an id of the machine in the home
        # folder. Whoever wants that sets 0.
        os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
        import onnxruntime

        def session(name: str) -> Any:
            return onnxruntime.InferenceSession(
                str(folder / name), providers=["CPUExecutionProvider"]
            )

        if (folder / EIGHT_BITS).exists():
            product = session(EIGHT_BITS).run(None, {"left": np.full((1, 64), 255, np.uint8)})[0]
            if (product != 255 * 127 * 64).any():
                sys.exit(
                    "error: this int8 program was made for processors with VNNI, and this one's"
                    " sums of its products overflow: prepare and export the model on this one, or"
                    " in float32."
                )
        self._session = session("model.onnx")
        # Utterances so far whose texts are longer than the model reads: their ends were answered.
        self.cut = 0
        # Likewise those of which the tokenizer does not know most, or that are empty: their answers
        # say nothing.
        self.unknown = 0
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer" / "tokenizer.json"))
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        # A special token's name in a text is text.
        self._tokenizer.encode_special_tokens = True

    def __call__(
        self, tokens: Any, positions: Any, segment_ids: Any, readout: Any
    ) -> tuple[np.ndarray, ...]:
        """Representations [N, m], cosines [N, C] with the labels' anchors and probabilities [N, C]
        of N utterances. README.md says what the four arrays hold.
        """
        arrays = {
            "tokens": tokens,
            "positions": positions,
            "segment_ids": segment_ids,
            "readout": readout,
        }
        given = {name: np.asarray(array, np.int32) for name, array in arrays.items()}
        return tuple(self._session.run(["representations", "cosines", "probabilities"], given))

    def encode(self, text: str) -> list[int]:
        """Ids of a text, without special tokens."""
        return self._tokenizer.encode(text, add_special_tokens=False).ids

    def predict(self, utterances: Sequence[tuple[str, str]]) -> np.ndarray:
        """Probabilities [N, C] of the N utterances (speaker, text) of one conversation, each alone:
        see `in_dialogue`. Raises `ValueError` where one is none, or its speaker's name too long.
        """
        form = self.settings["prompt"]
        prompts = [
            prompt(self.encode, utterances[:number], form, utterances[number:])
            for number in range(1, len(utterances) + 1)
        ]
        self.cut += sum(cut for _, _, cut, _ in prompts)
        self.unknown += sum(unknown for *_, unknown in prompts)
        found = np.zeros((len(prompts), len(self.labels)), np.float32)
        # Those of about one length together, the longest first.
        left = sorted(range(len(prompts)), key=lambda i: -len(prompts[i][0]))
        while left:
            count = max(_TOGETHER // len(prompts[left[0]][0]), 1)
            batch, left = left[:count], left[count:]
            found[batch] = self(*lay_out([prompts[i] for i in batch]))[2]
        return found


def read(file: Path) -> list[list[tuple[str, str]]]:
    """The conversations of a file, each of utterances (speaker, text): a line `Speaker: text` is
    one, a blank line ends a conversation.

    Raises `ValueError` at anything else, such as lines with times: what is taken for a name decides
    answers. eacl_jax itself reads more.
    """
    try:
        lines = re.split(r"\r\n|\n|\r", file.read_bytes().decode("utf-8-sig"))
    except OSError as error:
        raise ValueError(f"{file} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        number = error.object[: error.start].count(b"\n") + 1
        raise ValueError(f"{file} line {number} is not UTF-8; save the file as UTF-8.") from error
    found: list[list[tuple[str, str]]] = [[]]
    for number, line in enumerate(lines, start=1):
        if reason := why_no_text(line):
            raise ValueError(f"{file} line {number} {reason}.")
        if not line.strip():
            found.append([])
            continue
        speaker, colon, text = line.partition(":")
        if not colon or not _is_name(speaker.strip()) or re.match(r"\d|//", text):
            raise ValueError(
                f"{file} line {number}: expected Speaker: text, with a plain name and nothing"
                f" before it, such as `Ann: I got it!`, got {line!r:.60}; rewrite the line."
            )
        found[-1].append((speaker.strip(), text.strip()))
    if not any(found):
        raise ValueError(f"{file} holds no utterance; give lines such as `Ann: I got it!`.")
    return [each for each in found if each]


def _is_name(text: str) -> bool:
    """Whether it can be nothing but a speaker's name."""
    words = text.split()
    return (
        0 < len(words) <= 5
        and len(text) <= 40
        and not _NO_NAME.match(text)
        and text[0].isalnum()
        and any(map(str.isalpha, text if len(words) == 1 else text[0]))
        # Of letters, their marks, digits and few signs; no time or date.
        and all(c.isalnum() or c in " -_.'’" or unicodedata.category(c)[0] == "M" for c in text)
        and not re.search(r"\d\.", text)
        # A sentence has words in small letters.
        and (len(words) < 3 or not any(word[0].islower() for word in words))
    )


def main() -> None:
    """Answers a file; or example.npz, and says how far the probabilities are from those of the
    recognizer that was exported; ends with status 1 where they are too far.
    """
    if {"-h", "--help"} & set(sys.argv[1:]):
        print(__doc__, end="")
        return
    finish(lambda: _answer([Path(name) for name in sys.argv[1:]]))


def _answer(files: Sequence[Path]) -> int:
    """The exit status."""
    if len(files) > 1:
        raise ValueError(f"expected one file, got {len(files)}; run each by itself.")
    expected = None
    if files:
        dialogues = read(files[0])
    model = Model()
    if not files:
        with np.load(HERE / "example.npz", allow_pickle=False) as file:
            texts, expected = file["utterances"].tolist(), file["probabilities"]
        dialogues = [[tuple(text.split(": ", 1)) for text in texts]]
    for number, utterances in enumerate(dialogues):
        alone = model.predict(utterances)
        answers, probabilities = model.in_dialogue(alone, [speaker for speaker, _ in utterances])
        if number:
            print()
        for (speaker, text), row, answer in zip(utterances, probabilities, answers, strict=True):
            ranked = sorted(zip(model.labels, row, strict=True), key=lambda item: -item[1])
            shown = ", ".join(f"{label} {value:.4f}" for label, value in ranked)
            said = f"{speaker}: {' '.join(text.split())}"
            print(without_controls(f"{said}  ->  {', '.join(answer) or 'none'}  ({shown})"))
    tell_of_cut(model.cut)
    tell_of_unknown(model.unknown)
    if expected is None:
        return 0
    return tell_of_difference(probabilities, expected, model.settings.get("largest_difference"))


if __name__ == "__main__":
    main()
