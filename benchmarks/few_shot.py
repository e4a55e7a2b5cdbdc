"""How the weighted F1 on labels that a recognizer was not trained for grows with annotated
examples.

    python benchmarks/few_shot.py --model=runs/meld/model --corpus=emorynlp \\
      --data_dir=../shared/data

0 examples: anchors from the label words alone. Others: so many of each label, drawn from the
training split, their dialogues being their context; the mean and standard deviation over draws.
`split` is dev while anything is still being chosen.
"""

import sys
from pathlib import Path

import numpy as np
from absl import flags

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import script
from eacl_jax.cli import compiled

MODEL = flags.DEFINE_string("model", None, "A model folder.", required=True)
CORPUS = flags.DEFINE_string("corpus", "emorynlp", "Whose labels.")
DATA = flags.DEFINE_string("data_dir", "", "The corpus' files; empty: downloaded.")
SPLIT = flags.DEFINE_enum("split", "dev", ["dev", "test"], "What is scored.")
COUNTS = flags.DEFINE_list("counts", ["1", "5", "20", "all"], "Examples a label.")
DRAWS = flags.DEFINE_integer("draws", 10, "Draws of examples.")


def main() -> None:
    import time

    from rich.console import Console
    from rich.table import Table
    from sklearn.metrics import f1_score

    from eacl_jax import EmotionRecognizer, corpora
    from eacl_jax.config import DataConfig
    from eacl_jax.model.scores import host_cosines
    from eacl_jax.recognizer.few_shot import adapt_anchors

    compiled.keep_compiled()
    corpus = corpora.load(DataConfig(corpus=CORPUS.value, dir=DATA.value))  # type: ignore[arg-type]
    taxonomy = corpus.taxonomy
    trained = EmotionRecognizer.from_pretrained(MODEL.value)
    recognizer = trained.with_labels(dict(zip(taxonomy.labels, taxonomy.words, strict=True)))
    start, tau = recognizer.anchors["stage_two"], recognizer.settings.temperature

    def annotated(split: str) -> tuple[np.ndarray, np.ndarray]:
        dialogues = list(corpus.splits[split])
        labels = np.array(
            [
                -1 if u.emotion is None else taxonomy.index(u.emotion)
                for d in dialogues
                for u in d.utterances
            ]
        )
        return recognizer.encode(dialogues)[labels >= 0], labels[labels >= 0]

    reps, labels = annotated("train")
    asked, gold = annotated(SPLIT.value)

    def weighted_f1(anchors: np.ndarray) -> float:
        answers = host_cosines(asked, anchors).argmax(axis=1)
        return 100 * float(f1_score(gold, answers, average="weighted", zero_division=0))

    table = Table(title=f"{MODEL.value} on {CORPUS.value} {SPLIT.value}, weighted F1 in percent")
    for column in ("examples a label", "mean", "standard deviation", "draws", "seconds to adapt"):
        table.add_column(column, justify="right")
    frequent = np.full_like(gold, np.bincount(labels).argmax())
    table.add_row(
        f"always {taxonomy.labels[frequent[0]]}",
        f"{100 * float(f1_score(gold, frequent, average='weighted')):.2f}",
        "",
        "",
        "",
    )
    table.add_row("0 (label words)", f"{weighted_f1(start):.2f}", "", "", "")
    for count in COUNTS.value:
        scores, seconds = [], []
        for draw in range(1 if count == "all" else DRAWS.value):
            order = np.random.default_rng(draw).permutation(len(labels))
            limit = len(labels) if count == "all" else int(count)
            chosen = np.concatenate(
                [order[labels[order] == c][:limit] for c in range(len(taxonomy))]
            )
            clock = time.perf_counter()
            anchors = adapt_anchors(reps[chosen], labels[chosen], start, temperature=tau)
            seconds.append(time.perf_counter() - clock)
            scores.append(weighted_f1(anchors))
        spread = f"{np.std(scores, ddof=1):.2f}" if len(scores) > 1 else ""
        table.add_row(
            count, f"{np.mean(scores):.2f}", spread, str(len(scores)), f"{np.median(seconds):.2f}"
        )
    Console(width=110).print(table)


if __name__ == "__main__":
    script.run(main)
