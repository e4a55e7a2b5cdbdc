"""The card of a model folder, `README.md`: what a recognizer is, where it comes from, how good it
is and what it is not for.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from huggingface_hub import ModelCardData

from eacl_jax.config import Stage
from eacl_jax.files.whole import write_text
from eacl_jax.recognizer.card_changes import adaptation_section, on_scores
from eacl_jax.recognizer.card_corpora import CORPORA, About
from eacl_jax.recognizer.card_features import (
    asked_with,
    built_on,
    features_section,
    on_context,
    on_kinds,
    told_from,
)
from eacl_jax.recognizer.card_scores import calibration_section, scores_section, unsure_section
from eacl_jax.recognizer.facts import CARD, KEY, Facts
from eacl_jax.recognizer.folder import Settings
from eacl_jax.recognizer.markdown import code, plain, table

_CUT = "data.max_dialogues"


def write_card(
    folder: Path,
    settings: Settings,
    encoder_config: Mapping[str, Any],
    facts: Facts | None,
    more: str = "",
) -> None:
    """Writes a model folder's `README.md`.

    Args:
      folder: of the model.
      settings: the recognizer's.
      encoder_config: the encoder's config.json.
      facts: of the run that it comes from, where they are known.
      more: a further section, in Markdown.
    """
    write_text(folder / CARD, card(settings, encoder_config, facts, more))


def card(
    settings: Settings, encoder_config: Mapping[str, Any], facts: Facts | None, more: str = ""
) -> str:
    """The text of a card; arguments as for `write_card`."""
    about = CORPORA.get(facts.corpus) if facts else None
    extra: dict[str, Any] = {KEY: facts.to_dict()} if facts else {}
    data = ModelCardData(
        language=(about.language or None) if about else None,
        library_name="eacl_jax",
        tags=[
            "emotion-recognition",
            "emotion-recognition-in-conversation",
            "contrastive-learning",
            "jax",
        ],
        pipeline_tag="text-classification",
        metrics=["f1", "accuracy"],
        base_model=facts.encoder if facts and facts.on_hub else None,
        **extra,
    )
    sections = [
        _opening(settings, encoder_config, facts, about),
        _labels(settings),
        features_section(settings),
        *(_of_run(settings, facts, about) if facts else [_UNKNOWN]),
        _use(settings),
        more,
        _limits(settings, facts),
        _licences(about, facts.also if facts else {}),
    ]
    return f"---\n{data.to_yaml().strip()}\n---\n\n" + "\n\n".join(filter(None, sections)) + "\n"


_UNKNOWN = (
    "## Data and scores\n\nThis folder came without a record of the run that trained it: "
    "neither its data nor its scores are known here."
)


def _opening(
    settings: Settings, encoder_config: Mapping[str, Any], facts: Facts | None, about: About | None
) -> str:
    trained = ""
    if facts:
        part = "a part of " if facts.recipe.get(_CUT) else ""
        trained = f", trained on {part}{about.text if about else plain(facts.corpus)}"
    encoder = code(facts.encoder) if facts else "an encoder"
    architecture = plain(str(encoder_config.get("model_type", "unknown")))
    names = (
        " Speakers' names do not count: who speaks is told from others, and no more is read of it."
        if settings.prompt.names == "replaced" and settings.reads_text
        else ""
    )
    what = "emotions (several, one or none)" if settings.several else "emotion"
    by_logits = settings.head == "predictor"
    method = (
        "It was trained by cross-entropy alone, a baseline of" if by_logits else "The method is"
    )
    return (
        f"# Emotion recognition in conversation\n\nTells the {what} of each utterance of a"
        f" conversation {told_from(settings)}{trained}. {method}"
        " emotion-anchored contrastive learning ([arXiv"
        f" 2403.20289](https://arxiv.org/abs/2403.20289)): {_answer(settings)}"
        f" {built_on(settings, encoder, architecture)}{names}"
    )


def _answer(settings: Settings) -> str:
    """How an utterance gets its label, in sentences."""
    each = settings.anchors_per_label
    classifier = " The representation is the logits of a linear classifier of the labels."
    if settings.several:
        return _answers(settings) + (classifier if settings.head == "predictor" else "")
    nearest = (
        "an utterance gets the label whose anchor its representation is nearest to."
        if each == 1
        else f"a label has {each} anchors, whose scores with an utterance's representation become"
        " one (logsumexp less log"
        f" {each}), and an utterance gets the label with the largest."
    )
    return (
        nearest
        + (classifier if settings.head == "predictor" else "")
        + _offsets(settings, Stage.TWO)
        + (_chain(settings) if settings.chain is not None else "")
        + _offsets(settings, Stage.ONE)
    )


_OFFSETS = {
    Stage.ONE: 'Stage one\'s anchors (`stage="stage_one"`) answer with offsets added to the scores',
    Stage.TWO: "Before that, offsets are added to the labels' scores",
}


def _offsets(settings: Settings, stage: Stage) -> str:
    """What is added to the labels' scores where the stage answers, in a sentence."""
    offsets = settings.offsets.get(stage)
    if not offsets:
        return ""
    added = ", ".join(
        f"{offset:+.4g} for {plain(label)}"
        for label, offset in zip(settings.labels, offsets, strict=True)
    )
    return f" {_OFFSETS[stage]}: {added}."


def _chain(settings: Settings) -> str:
    """How a chain answers, in sentences, and what most of all it learned."""
    assert settings.chain is not None
    pairs = [
        (score, before, after, who)
        for who in ("same", "other")
        for before, row in getattr(settings.chain, who).items()
        for after, score in zip(settings.labels, row, strict=True)
    ]
    words = {"same": "by the same speaker", "other": "by another speaker"}

    def described(pair: tuple[float, str, str, str]) -> str:
        score, before, after, who = pair
        return f"{plain(after)} after {plain(before)} {words[who]} ({score:+.2f})"

    likely, unlikely = max(pairs), min(pairs)
    return (
        " The answer is then weighed by those around it, with a chain over the labels of a dialogue"
        " (a linear-chain conditional random field): a whole dialogue's by all that is said, a"
        " conversation's, as it goes on, by what was said until then. Of all that follows in the"
        f" training dialogues it favours {described(likely)} most and {described(unlikely)} least."
    )


def _answers(settings: Settings) -> str:
    """How an utterance gets its labels, in sentences."""
    each = settings.anchors_per_label
    scored = "the score of the utterance's representation with the label's anchor"
    if settings.head == "predictor":
        scored = "the label's logit"
    elif each > 1:
        scored = (
            "the score of the utterance's representation with the label's"
            f" {each} anchors (logsumexp of theirs less log {each})"
        )
    return (
        "the probability of each label is the sigmoid of"
        f" {settings.decisions[Stage.TWO].scale:.4g} times {scored} plus the label's bias; an"
        " utterance gets every label whose probability reaches its threshold, which may be none."
    )


def _labels(settings: Settings) -> str:
    further: tuple[str, ...] = ()
    about_several = ""
    values: list[tuple[str, ...]] = [()] * len(settings.labels)
    if settings.several:
        decisions = settings.decisions[Stage.TWO]
        about_several = (
            "`emotions` of an answer are the labels whose probability is at least their threshold,"
            " the likeliest first; where there are none, it is none of these.\n\n"
        )
        further = ("bias", "threshold")
        values = [
            (f"{bias:.4g}", f"{threshold:.4f}")
            for bias, threshold in zip(decisions.biases, decisions.thresholds, strict=True)
        ]
    if not settings.made_of_words:
        about = (
            "Anchors were not made of words, or took no part in training: other labels cannot be"
            " had without training."
        )
        return f"## Labels\n\n{about}\n\n{about_several}" + table(
            ("label", *further),
            ([label, *more] for label, more in zip(settings.labels, values, strict=True)),
        )
    several = any("|" in words for words in settings.words)
    about = "encoding of its label's word" if not several else "mean encoding of its label's words"
    shown = (words.replace("|", ", ") for words in settings.words)
    return f"## Labels\n\nEach anchor began as the {about}.\n\n{about_several}" + table(
        ("label", "words" if several else "word", *further),
        (
            [label, words, *more]
            for label, words, more in zip(settings.labels, shown, values, strict=True)
        ),
    )


def _of_run(settings: Settings, facts: Facts, about: About | None) -> list[str]:
    changes = [plain(sentence) for sentence in facts.changes]
    if (settings.labels, settings.words) != (facts.labels, facts.words):
        changes.append(
            "It was given labels or words of its own, in place of"
            f" {', '.join(map(plain, facts.labels))}."
        )
    notice = (
        "**What follows was measured before this recognizer was changed, and is not its own:** "
    )
    derived = f"{notice}{' '.join(changes)}\n\n" if changes else ""
    return [
        adaptation_section(facts),
        _data(facts, about),
        scores_section(facts, derived),
        calibration_section(settings, facts, derived),
        unsure_section(facts.results.abstention, derived),
        _recipe(facts),
    ]


def _data(facts: Facts, about: About | None) -> str:
    splits = list(facts.dialogues)
    rows = [("dialogues", *(f"{facts.dialogues[split]:,}" for split in splits))]
    if facts.annotated is not None:
        rows.append(("annotated utterances", *(f"{facts.annotated[s]:,}" for s in splits)))
    rows.append(
        (
            "labels given to utterances" if facts.several else "annotated utterances",
            *(f"{sum(facts.utterances[split].values()):,}" for split in splits),
        )
    )
    rows += [
        (label, *(f"{facts.utterances[split][label]:,}" for split in splits))
        for label in facts.labels
    ]
    name = about.text if about else plain(facts.corpus)
    several = (
        " An utterance may have several labels, and counts for each of them, or none."
        if facts.several
        else ""
    )
    also = "".join(
        f" Stage one also drew from {count:,} training utterances of {_text(other)}, with anchors"
        " of their own labels."
        for other, count in facts.also.items()
    )
    cut = (
        f" The run had at most the first {most} dialogues of each split ({code(_CUT)}): its scores"
        " cannot be compared with others on the whole corpus."
        if (most := facts.recipe.get(_CUT))
        else ""
    )
    return f"## Data\n\nThe corpus is {name}.{cut}{several}{also}\n\n" + table(("", *splits), rows)


def _text(corpus: str) -> str:
    return CORPORA[corpus].text if corpus in CORPORA else plain(corpus)


def _recipe(facts: Facts) -> str:
    rows = [(name, str(value)) for name, value in facts.recipe.items()]
    return (
        "## Training\n\nTwo stages: the encoder and its heads, then the anchors alone. Encoder"
        f" {code(facts.encoder)}, seed {facts.seed}.\n\n<details><summary>Settings</summary>\n\n"
        + table(("setting", "value"), rows, cell=code)
        + "\n\n</details>"
    )


_WITH_FEATURES = "\n# the utterances of chats.jsonl have features as above"


def _use(settings: Settings) -> str:
    asked = asked_with(settings)
    first = '"Ann: We got the flat!"' if settings.reads_text else asked
    several = (
        f"""
for answer in recognizer.predict({first}):
    print(answer.emotions, answer.probabilities)  # a tuple of labels, empty for none of them"""
        if settings.several
        else ""
    )
    return f"""## Use

```python
from eacl_jax import EmotionRecognizer

recognizer = EmotionRecognizer.from_pretrained("PATH")  # this folder, or the id of the hub repository that holds it
print(recognizer.predict({asked})){several}
```

```sh{"" if settings.reads_text else _WITH_FEATURES}
eacl predict --model PATH --input chats.jsonl --output answers.jsonl
```"""


def _limits(settings: Settings, facts: Facts | None) -> str:
    seen = "the corpus above" if facts else "the corpus that it was trained on"
    return f"""## Limits

- **Not for decisions about people**, such as hiring, policing, credit, care or schooling, and not for conclusions about what a
  person feels: it guesses how {"a reader would label a text" if settings.reads_text else "an annotator would label an utterance"}.
{on_kinds(settings, seen)}
{on_context(settings)}
{_on_frequency(facts)}{on_scores(settings, facts)}"""


def _on_frequency(facts: Facts | None) -> str:
    """How unlike the labels' counts are; nothing where they are not, or nothing is known."""
    if facts is None:
        return ""
    counts = facts.utterances["train"]
    most, least = max(counts, key=counts.__getitem__), min(counts, key=counts.__getitem__)
    if counts[most] < 2 * counts[least]:
        return ""
    total = max(facts.total("train"), 1)
    return (
        f'- **Labels are unbalanced.** In training "{plain(most)}" made up'
        f' {100 * counts[most] / total:.0f}% of the utterances and "{plain(least)}"'
        f" {100 * counts[least] / total:.0f}%. See F1 by label above, not only the summary"
        " scores.\n"
    )


def _licences(about: About | None, also: Iterable[str] = ()) -> str:
    corpus = about.licence if about else "not known here; ask those who trained the model"
    unknown = "not known here; ask those who trained the model"
    corpus += "".join(
        f". {_text(name)}: {CORPORA[name].licence if name in CORPORA else unknown}" for name in also
    )
    return (
        "## Licences\n\nThey may differ, and this card grants none. The code of eacl_jax is under"
        " Apache-2.0. The encoder's weights are under the licence of the checkpoint that they come"
        f" from: see its own card. The corpus: {corpus}."
    )
