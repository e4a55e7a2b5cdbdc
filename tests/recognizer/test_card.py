"""The card of a model folder tells what the run found, of whatever was made of it since, and
nothing else.
"""

import dataclasses
import json
import re
import types
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import ModelCard

from eacl_jax.config import Stage
from eacl_jax.dialogue import Taxonomy
from eacl_jax.errors import UserError
from eacl_jax.export.pytorch import export_hf
from eacl_jax.model.decisions import Decisions
from eacl_jax.recognizer.card import card
from eacl_jax.recognizer.facts import Facts
from eacl_jax.recognizer.few_shot import Adaptation
from eacl_jax.recognizer.folder import Settings, read_settings
from eacl_jax.recognizer.recognizer import EmotionRecognizer
from eacl_jax.recognizer.results import Agreement, Annotators, OfSplits, Results, SequenceResults
from tests.stubs.toys import make_config


@pytest.fixture(scope="module")
def facts(finished) -> Facts:
    found = Facts.read(finished / "model")
    assert found is not None
    return found


@pytest.fixture(scope="module")
def settings(finished) -> Settings:
    return read_settings(finished / "model" / "config.json")


def text(finished: Path) -> str:
    return (finished / "model" / "README.md").read_text(encoding="utf-8")


def relabelled(results: Results, label: str, other: str) -> Results:
    """The same results with another label in place of one."""
    text = json.dumps(results.to_json()).replace(json.dumps(label), json.dumps(other))
    found = Results.from_json(json.loads(text), [])
    assert found is not None
    return found


def test_label_that_a_split_lacks_has_a_dash(facts: Facts, settings: Settings) -> None:
    label = facts.labels[0]
    found = {**facts.utterances, "test": {**facts.utterances["test"], label: 0}}
    values = facts.results.to_json()
    for stage in Stage:
        # Stage two answers it, and is wrong.
        counts = {"per_class_f1": 0.0, "support": 0, "answered": int(stage is Stage.TWO)}
        for name, count in counts.items():
            values[stage]["test"][name][label] = count

    def dashes(values: dict[str, Any]) -> list[str]:
        results = Results.from_json(values, [])
        assert results is not None
        whole = card(settings, {}, dataclasses.replace(facts, utterances=found, results=results))
        assert "one only answered counts 0" in whole
        head, *rows = table(whole, "F1 by label")
        (row,) = [row for row in rows if row[0] == label]
        return [name for name, cell in zip(head, row, strict=True) if cell == "–"]

    assert dashes(values) == ["stage one, test"]
    # Of runs of earlier versions it is not known how often it was answered.
    for stage in Stage:
        for split in ("dev", "test"):
            del values[stage][split]["support"], values[stage][split]["answered"]
    assert dashes(values) == ["stage one, test", "stage two, test"]


def body(whole: str) -> str:
    return whole.split("\n---\n", 1)[1]


def table(whole: str, after: str) -> list[list[str]]:
    """The cells of the first table below a line that begins so."""
    lines = body(whole).partition(f"\n{after}")[2].splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith("|"))
    rows = []
    for line in lines[start:]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]])
    return [rows[0], *rows[2:]]


def test_front_matter(finished) -> None:
    data = ModelCard.load(finished / "model" / "README.md").data
    assert data.library_name == "eacl_jax"
    assert data.pipeline_tag == "text-classification"
    assert "emotion-recognition-in-conversation" in data.tags
    assert data.metrics == ["f1", "accuracy"]
    # Nobody told the language of this corpus, nor a licence; its encoder is nowhere on the hub.
    assert data.language is None
    assert data.license is None
    assert data.base_model is None


def test_the_calibration_error_is_of_the_precision_that_it_was_measured_with(
    finished, facts, monkeypatch
) -> None:
    recognizer = EmotionRecognizer.from_pretrained(finished / "model")
    measured = facts.results.stage_two.calibration.expected_calibration_error
    assert recognizer.calibration_error == measured
    assert recognizer.calibration_error != {}
    monkeypatch.setattr(recognizer.runtime, "precision", "int8")
    assert recognizer.calibration_error == {}


def test_scores_are_the_results(finished) -> None:
    results = json.loads((finished / "results.json").read_text(encoding="utf-8"))
    whole = text(finished)
    head, *rows = table(whole, "## Scores")
    assert head == ["", "split", "weighted F1", "macro F1", "accuracy"]
    found = {(name, split): scores for name, split, *scores in rows}
    names = {
        "stage_one": f"stage one, epoch {results['stage_one']['best_epoch']}",
        "stage_two": f"stage two, epoch {results['stage_two']['best_epoch']}",
        "always_most_frequent": f'always "{results["always_most_frequent"]["label"]}"',
    }
    expected = {
        (name, split): [
            f"{results[key][split][score]:.2f}" for score in ("weighted_f1", "macro_f1", "accuracy")
        ]
        for key, name in names.items()
        for split in ("dev", "test")
    }
    assert found == expected
    head, *rows = table(whole, "F1 by label")
    for label, *scores in rows:
        shown = dict(zip(head[1:], scores, strict=True))
        for key, name in (("stage_one", "stage one"), ("stage_two", "stage two")):
            for split in ("dev", "test"):
                assert (
                    shown[f"{name}, {split}"] == f"{results[key][split]['per_class_f1'][label]:.2f}"
                )
    head, *rows = table(whole, "## Calibration")
    for (name, *shown), key in zip(rows, ("stage_one", "stage_two"), strict=True):
        calibration = results[key]["calibration"]
        before, after = (
            calibration["expected_calibration_error_uncalibrated"],
            calibration["expected_calibration_error"],
        )
        assert name == key.replace("_", " ")
        numbers = [before["dev"], after["dev"], before["test"], after["test"]]
        assert shown == [
            f"{calibration['temperature']:.4f}",
            *(f"{number:.2f}" for number in numbers),
        ]


def test_data(finished) -> None:
    given = json.loads((finished / "data.json").read_text(encoding="utf-8"))["corpus"]
    examples = {split: given[split]["utterances"] for split in given}
    head, *rows = table(text(finished), "## Data")
    counts = {name: dict(zip(head[1:], numbers, strict=True)) for name, *numbers in rows}
    assert counts["dialogues"] == {"train": "10", "dev": "10", "test": "10"}
    for split, count in examples.items():
        assert counts["annotated utterances"][split] == str(count)
        assert sum(int(counts[label][split]) for label in ("anger", "joy", "neutral")) == count


def test_no_folder_of_this_machine(finished) -> None:
    assert "tiny-encoder" in text(finished)
    assert "hidden" not in text(finished)
    assert str(finished.parent) not in text(finished)


def test_lines_for_the_library_run(finished, capsys) -> None:
    use = text(finished).partition("## Use")[2]
    code = re.search(r"```python\n(.*?)```", use, re.DOTALL)
    assert code is not None
    exec(code[1].replace('"PATH"', repr(str(finished / "model"))), {})
    assert "joking" in capsys.readouterr().out


def test_limits_and_licences(finished, settings, facts) -> None:
    whole = body(text(finished))
    for words in (
        "Not for decisions about people",
        "hiring, policing",
        "measured only on",
        "Apache-2.0",
    ):
        assert words in whole
    assert "known to those who trained the model" in whole
    licences = {
        corpus: card(settings, {}, dataclasses.replace(facts, corpus=corpus)).partition(
            "## Licences"
        )[2]
        for corpus in ("smalltalk", "meld", "emorynlp", "iemocap", "dailydialog")
    }
    assert "CC0 1.0" in licences.pop("smalltalk")
    assert all("ask" in licence and "GPL" not in licence for licence in licences.values())


def test_labels_are_called_unbalanced_where_they_are(settings, facts) -> None:
    def of(*counts: int) -> str:
        train = dict(zip(facts.labels, counts, strict=True))
        known = dataclasses.replace(facts, utterances={**facts.utterances, "train": train})
        return card(settings, {}, known).partition("## Limits")[2]

    first, last = facts.labels[0], facts.labels[-1]
    some = of(20, *[15] * (len(facts.labels) - 2), 10)
    assert f'"{first}" made up' in some
    assert f'and "{last}"' in some
    assert "unbalanced" not in of(*[10] * len(facts.labels))
    assert "unbalanced" not in of(19, *[10] * (len(facts.labels) - 1))


def test_language_where_it_is_known(settings, facts) -> None:
    assert (
        ModelCard(card(settings, {}, dataclasses.replace(facts, corpus="meld"))).data.language
        == "en"
    )


def test_base_model_where_it_is_on_the_hub(settings, facts) -> None:
    known = dataclasses.replace(facts, encoder="org/encoder", on_hub=True)
    assert ModelCard(card(settings, {}, known)).data.base_model == "org/encoder"


def test_chosen_on_test_is_told(settings, facts) -> None:
    chosen = dataclasses.replace(facts, recipe={**facts.recipe, "compat.select_on_test": True})
    assert "chosen on test" in body(card(settings, {}, chosen))
    assert "chosen on test" not in body(card(settings, {}, facts))


def test_micro_f1_says_which_label_it_leaves_out(settings, facts) -> None:
    values = facts.results.to_json() | {"excluded_label": "calm | so"}
    for each in (*Stage, "always_most_frequent"):
        for split in ("dev", "test"):
            values[each][split]["micro_f1"] = 41.5
    recipe = {**facts.recipe, "evaluation.primary": "micro_f1"}
    known = dataclasses.replace(facts, results=Results.from_json(values, []), recipe=recipe)
    text = body(card(settings, {}, known))
    assert text.count(r"micro F1 without calm \| so") == 2  # as what chose epochs, and a column


def test_every_setting_that_was_changed_is_told(settings, facts) -> None:
    changes: dict[str, Any] = {
        "batch.balance": 0.5,
        "encoder.lora_rank": 4,
        "evaluation.prior": True,
        "evaluation.primary": "macro_f1",
        "sequence.crf": True,
        "stage_one.soup": 2,
        "data.max_dialogues": 7,
        "data.groups": ("a=b", "c=d"),
    }
    elsewhere = {
        "data.corpus": "meld",
        "data.dir": "/hidden/meld",
        "data.features": ("voice=/hidden/voice", "face"),
        "distil.teachers": ("/hidden/teacher",),
        "run.log_every": 3,
    }
    config = make_config(changes | elsewhere)
    corpus: Any = types.SimpleNamespace(
        name="meld",
        taxonomy=Taxonomy(facts.labels, facts.words),
        splits={},
        task="single",
        levels={},
    )
    recipe = Facts.of_run(config, corpus, {}, facts.results).recipe
    told = changes | {"data.groups": ["a=b", "c=d"], "data.features": ["voice", "face"]}
    told |= {"distil.teachers": 1, "loss.temperature": 0.1}
    assert {name: recipe.get(name) for name in told} == told
    assert "hidden" not in str(recipe)
    assert "run.log_every" not in recipe
    assert "encoder.remat" not in recipe
    whole = body(card(settings, {}, dataclasses.replace(facts, recipe=recipe)))
    assert "trained on a part of" in whole
    assert "at most the first 7 dialogues of each split (`data.max_dialogues`)" in whole
    assert "Epochs were chosen on dev by macro F1" in whole
    usual = body(card(settings, {}, facts))
    assert "a part of" not in usual
    assert "Epochs were chosen on dev by weighted F1" in usual


def test_a_chain_that_dev_is_no_better_for_is_told(settings, facts) -> None:
    whole = facts.results.stage_two
    dev = dataclasses.replace(whole.dev, weighted_f1=whole.dev.weighted_f1 + 2)
    chain = SequenceResults(
        kept=True, alone=OfSplits(dev=dev, test=whole.test), whole=whole, so_far=whole
    )
    told = f"weighted F1 on dev is {whole.dev.weighted_f1:.2f} with it and {dev.weighted_f1:.2f}"

    def text(chain: SequenceResults) -> str:
        known = dataclasses.replace(
            facts, results=dataclasses.replace(facts.results, sequence=chain)
        )
        return body(card(settings, {}, known))

    assert told in text(chain)
    better = text(dataclasses.replace(chain, alone=whole, whole=chain.alone))
    assert "by a chain over each dialogue" in better
    assert "on dev is" not in better


def test_how_anchors_answer(settings, facts) -> None:
    usual = body(card(settings, {}, facts))
    assert "the label whose anchor its representation is nearest to" in usual
    assert "softmax(scores / T)" in usual
    other = dataclasses.replace(
        settings,
        anchors_per_label=3,
        offsets={"stage_two": (0.5, -1.25, 0.0)},
        head="predictor",
        anchor_encoding="none",
    )
    whole = body(card(other, {}, facts))
    assert "It was trained by cross-entropy alone, a baseline of emotion-anchored" in whole
    assert "The method is emotion-anchored contrastive learning" in usual
    assert "a label has 3 anchors" in whole
    assert "logits of a linear classifier" in whole
    assert "scores: +0.5 for anger, -1.25 for joy, +0 for neutral." in whole
    assert "softmax((scores + offsets) / T)" in whole
    by_direction = "confidence and calibration error are not those of a softmax of the logits"
    assert by_direction in whole
    assert by_direction not in card(settings, {}, facts)
    assert "not made of words" in whole
    assert table(card(other, {}, facts), "## Labels") == [
        [each] for each in ("label", *settings.labels)
    ]


def test_offsets_of_stage_one_alone_are_not_those_that_answer(settings, facts) -> None:
    other = dataclasses.replace(settings, offsets={"stage_one": (0.5, -1.25, 0.0)})
    whole = body(card(other, {}, facts))
    assert "`softmax(scores / T)`" in whole
    assert "Before that, offsets" not in whole
    assert "offsets added to the scores: +0.5 for anger, -1.25 for joy, +0 for neutral." in whole


@pytest.mark.parametrize(
    ("setting", "words"), [("prior", "added to"), ("logit_adjustment", "took from")]
)
def test_which_factor_of_the_prior_was_chosen_is_told(settings, facts, setting, words) -> None:
    assert table(card(settings, {}, facts), "## Calibration")[0][1:3] == ["T", "dev without"]
    values = facts.results.to_json()
    for stage, factor in zip(Stage, (0.2, 0.0), strict=True):
        values[stage]["calibration"][setting] = factor
    results = Results.from_json(values, [])
    assert results is not None
    whole = card(settings, {}, dataclasses.replace(facts, results=results))
    head, *rows = table(whole, "## Calibration")
    assert head[1:4] == ["T", "a", "dev without"]
    assert [row[2] for row in rows] == ["0.20", "0.00"]
    assert f"The run {words} each label's score a times the log of its share of train" in whole
    assert f"a chosen on dev (`evaluation.{setting}`)" in whole


def test_several_labels(settings, facts) -> None:
    decisions = Decisions(
        scale=2.5, biases=(-1.0, 0.25, -30.5), thresholds=(0.5, 0.375, 0.25), bias=0, threshold=0.5
    )
    several = dataclasses.replace(
        settings, task="multi", decisions={"stage_one": decisions, "stage_two": decisions}
    )
    results = facts.results.to_json()
    for stage in ("stage_one", "stage_two", "always_most_frequent"):
        for split in ("dev", "test"):
            results[stage][split] |= {"micro_f1": 41.5, "jaccard": 33.25}
    found = Results.from_json(results, [])
    assert found is not None
    whole = card(several, {}, dataclasses.replace(facts, results=found))
    assert "Tells the emotions (several, one or none) of each utterance" in whole
    assert (
        "sigmoid of 2.5 times the score of the utterance's representation with the label's anchor"
        in whole
    )
    assert table(whole, "## Labels") == [
        ["label", "word", "bias", "threshold"],
        ["anger", "anger", "-1", "0.5000"],
        ["joy", "joy", "0.25", "0.3750"],
        ["neutral", "neutral", "-30.5", "0.2500"],
    ]
    head, *rows = table(whole, "## Scores")
    assert [row[head.index("Jaccard")] for row in rows] == ["33.25"] * 6
    assert table(whole, "## Data")[2][0] == "labels given to utterances"
    head, *_ = table(whole, "## Calibration")
    assert head == ["", "dev without", "dev with", "test without", "test with"]
    assert "softmax" not in whole
    assert "nearest" not in whole
    classifier = dataclasses.replace(several, head="predictor", anchor_encoding="none")
    whole = card(classifier, {}, None)
    assert "sigmoid of 2.5 times the label's logit" in whole
    assert table(whole, "## Labels")[0] == ["label", "bias", "threshold"]


def test_export_takes_the_facts_along(finished, facts, tmp_path) -> None:
    export_hf(EmotionRecognizer.from_pretrained(finished / "model"), tmp_path / "out")
    assert Facts.read(tmp_path / "out") == facts
    exported = (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    assert table(exported, "## Scores") == table(text(finished), "## Scores")
    assert "not its own" not in exported


def test_derived_recognizers_say_that_scores_are_not_theirs(settings, facts, tmp_path) -> None:
    relabelled = dataclasses.replace(
        settings, labels=("gratitude", "other"), words=("grateful", "calm")
    )
    changed = facts.changed("It was adapted to 12 annotated utterances.")
    for made, known, words in (
        (relabelled, facts, "labels or words of its own, in place of anger, joy, neutral"),
        (settings, changed, "adapted to 12 annotated utterances"),
    ):
        whole = card(made, {}, known)
        scores = whole.partition("## Scores")[2]
        assert scores.index("not its own") < scores.index(words) < scores.index("| stage one")
        (tmp_path / "README.md").write_text(whole, encoding="utf-8")
        assert Facts.read(tmp_path) == known
    assert table(card(relabelled, {}, facts), "## Labels")[1:] == [
        ["gratitude", "grateful"],
        ["other", "calm"],
    ]


def test_what_was_done_to_a_recognizer_is_told_as_long_as_it_is_so(finished) -> None:
    model = EmotionRecognizer.from_pretrained(finished / "model")
    words = dict(zip(model.labels, model.settings.words, strict=True))
    said = [{"speaker": "Ann", "text": "the day is lovely", "emotion": "joy"}]

    def changes(recognizer: EmotionRecognizer) -> tuple[str, ...]:
        assert recognizer.facts is not None
        return recognizer.facts.changes

    # By the very labels of its own, too: stage two's anchors are gone.
    alone = ("It answers by anchors made of its labels' words alone.",)
    assert changes(model.with_labels(words)) == alone
    assert changes(model.with_labels(words).with_labels(words)) == alone
    adapted = model.adapt([said])
    assert changes(adapted) == ("It was adapted to 1 annotated utterance.",)
    assert changes(adapted.with_labels(words)) == alone
    fitted = "It was calibrated on 1 annotated utterance."
    assert changes(model.calibrate([said]).with_labels(words)) == (fitted, *alone)
    # Anchors that moved are no longer made of words alone.
    moved = "It was adapted to 1 annotated utterance, from anchors made of its labels' words."
    assert changes(model.with_labels(words).adapt([said])) == (moved,)
    by_words = model.with_labels(words)
    texts = ("the day is lovely", "we can not wait")
    answers = [by_words.predict([("Ann", text)])[0] for text in texts]
    right = [[{"speaker": "Ann", "text": a.text, "emotion": a.emotion}] for a in answers]
    kept = by_words.adapt(right)
    assert changes(kept) == (*alone, "Its probabilities were fitted to 2 annotated utterances.")


ADAPTATION = Adaptation(
    {"joy": 2, "anger": 1}, 40.125, 50.5, 6.25, 3, left_out=("the offsets of its scores",)
)


def limit(whole: str) -> str:
    """The last of the limits, of scores and probabilities, on one line."""
    return " ".join(
        whole.partition("## Limits")[2].partition("## Licences")[0].split("\n- ")[-1].split()
    )


def test_scores_and_probabilities_are_limited_by_what_was_done(settings, facts, tmp_path) -> None:
    """By what was measured of the recognizer as it is now, and of nothing else."""

    def run(error: float) -> Facts:
        stage = facts.results.stage_two
        errors = {"dev": 1.0, "test": error}
        calibration = dataclasses.replace(stage.calibration, expected_calibration_error=errors)
        two = dataclasses.replace(stage, calibration=calibration)
        return dataclasses.replace(facts, results=dataclasses.replace(facts.results, stage_two=two))

    corpus = "It was measured only on the corpus above.**"
    both = "It was measured only on the corpus above and on the dialogues that were given to adapt"
    adapted = "It was measured only on the dialogues that were given to adapt it.**"
    nothing = "As it answers now it was not measured.**"
    since = "How far its probabilities hold was not measured since they were fitted last."
    apart = "they and how often they are right differ by {} points on average."
    alone = dataclasses.replace(ADAPTATION, cross_validated=None, expected_calibration_error=None)
    for known, measured, probabilities in (
        (run(4.9), corpus, "Its probabilities are calibrated there only."),
        (run(29.0), corpus, f"on test {apart.format('29.0')}"),
        (run(4.9).calibrated(3), corpus, since),
        (run(4.9).relabelled(), nothing, "Its probabilities are not calibrated."),
        (run(4.9).adapted(ADAPTATION, 3), adapted, f"on these dialogues {apart.format('6.2')}"),
        (
            run(9).adapted(dataclasses.replace(ADAPTATION, expected_calibration_error=4), 3),
            adapted,
            "Its probabilities are calibrated there only.",
        ),
        (
            run(4.9).adapted(dataclasses.replace(ADAPTATION, kept=True), 3),
            both,
            apart.format("6.2"),
        ),
        (run(4.9).adapted(ADAPTATION, 3).calibrated(2), adapted, since),
        (
            run(4.9).adapted(ADAPTATION, 3).relabelled(),
            nothing,
            "Its probabilities are not calibrated.",
        ),
        (run(4.9).adapted(alone, 3), nothing, "Its probabilities are not calibrated."),
        (run(4.9).adapted(alone, 3).calibrated(2), nothing, since),
        (None, "How good it is was not recorded.**", "its probabilities too."),
    ):
        whole = card(settings, {}, known)
        assert measured in limit(whole)
        assert limit(whole).endswith(probabilities), limit(whole)
        (tmp_path / "README.md").write_text(whole, encoding="utf-8")
        assert Facts.read(tmp_path) == known


def test_what_adapting_found(settings, facts) -> None:
    def section(adaptation: Adaptation) -> str:
        whole = card(settings, {}, facts.relabelled().adapted(adaptation, 3))
        return whole.partition("## Adaptation")[2].partition("\n## ")[0]

    assert "## Adaptation" not in card(settings, {}, facts)
    moved = section(ADAPTATION)
    for words in (
        "It was adapted to 3 annotated utterances, from anchors made of its labels' words.",
        "by label: joy 2, anger 1.",
        "with the anchors before: 40.12",
        "held out in turn (3-fold): 50.50",
        "The anchors moved. Adapted anchors answer without the offsets of its scores.",
        "error of the answers in percent: 6.25.",
    ):
        assert words in moved
    assert "words alone" not in moved
    assert "fitted to the other dialogues" not in moved
    kept = section(dataclasses.replace(ADAPTATION, kept=True, left_out=()))
    assert "words alone. Its probabilities were fitted to 3 annotated utterances." in kept
    assert "The anchors stayed as they were" in kept
    assert "only the probabilities were fitted" in kept
    several = section(dataclasses.replace(ADAPTATION, kept=True, decided=45.0, refitted=True))
    assert "fitted to the other dialogues: 45.00" in several
    assert ": probabilities and thresholds were fitted" in several
    one = dataclasses.replace(ADAPTATION, cross_validated=None, expected_calibration_error=None)
    assert "nothing was held out" in section(one)


def test_without_facts(settings, tmp_path) -> None:
    whole = card(settings, {"model_type": "roberta"}, None)
    assert "without a record of the run" in whole
    assert "## Scores" not in whole
    assert Facts.read(tmp_path) is None
    (tmp_path / "README.md").write_text(whole, encoding="utf-8")
    assert Facts.read(tmp_path) is None
    (tmp_path / "README.md").write_text("# Somebody's own\n", encoding="utf-8")
    assert Facts.read(tmp_path) is None


def test_labels_cannot_break_the_card(settings, facts, tmp_path) -> None:
    odd = "no | yes\n---\n# `x` é 😀: {no}"
    labels = (odd, *settings.labels[1:])
    counts: dict[str, Any] = {
        split: {odd if label == settings.labels[0] else label: n for label, n in of.items()}
        for split, of in facts.utterances.items()
    }
    renamed = relabelled(facts.results, settings.labels[0], odd)
    known = dataclasses.replace(facts, labels=labels, utterances=counts, results=renamed)
    whole = card(dataclasses.replace(settings, labels=labels), {}, known)
    (tmp_path / "README.md").write_text(whole, encoding="utf-8")
    assert Facts.read(tmp_path) == known
    assert table(whole, "## Labels")[1] == [r"no \| yes --- # \`x\` é 😀: {no}", settings.words[0]]


@pytest.mark.parametrize(
    "front",
    ["eacl_jax: 3", "eacl_jax: {corpus: x, more: y}", "eacl_jax: [", "eacl_jax: {labels: 3}"],
)
def test_damaged_front_matter(front: str, tmp_path) -> None:
    (tmp_path / "README.md").write_text(f"---\n{front}\n---\n# x\n", encoding="utf-8")
    with pytest.raises(
        UserError, match=r"README.md: what stands under eacl_jax in its front matter cannot be read"
    ):
        Facts.read(tmp_path)


def test_a_card_in_another_encoding_is_refused_with_what_to_do(tmp_path) -> None:
    (tmp_path / "README.md").write_bytes("# Größe".encode("latin-1"))
    message = r"README\.md is not text in UTF-8 \(byte 4\); save it as UTF-8, or delete it"
    with pytest.raises(UserError, match=message):
        Facts.read(tmp_path)


@pytest.mark.parametrize(
    ("field", "value", "problem"),
    [
        ("dialogues", {"train": "many"}, "eacl_jax.dialogues.train: expected int, got 'many'"),
        ("utterances", {"train": [1]}, r"eacl_jax.utterances.train: expected an object, got \[1\]"),
        (
            "results",
            {"stage_one": 3},
            "eacl_jax.results.stage_one: expected a group of settings, got 3",
        ),
        ("seed", "0", "eacl_jax.seed: expected int, got '0'"),
    ],
)
def test_values_of_the_wrong_type_in_the_front_matter(
    facts: Facts, tmp_path, field, value, problem
) -> None:
    front = json.dumps({"eacl_jax": {**facts.to_dict(), field: value}})
    (tmp_path / "README.md").write_text(f"---\n{front}\n---\n# x\n", encoding="utf-8")
    with pytest.raises(UserError, match=problem):
        Facts.read(tmp_path)


@pytest.mark.parametrize(
    ("label", "shown"),
    [
        ("<img src=x onerror=alert(1)>", "&lt;img src=x onerror=alert(1)&gt;"),
        ("[/anger]", r"\[/anger\]"),
        ("[joy](http://x)", r"\[joy\](http://x)"),
        ("a|b", r"a\|b"),
        ("*joy* & co", r"\*joy\* &amp; co"),
    ],
)
def test_names_are_no_markup(settings, facts, label, shown) -> None:
    counts = {split: {**of, label: 10**6} for split, of in facts.utterances.items()}
    results = relabelled(facts.results, "anger", label)
    known = dataclasses.replace(
        facts, labels=(label, *facts.labels[1:]), utterances=counts, results=results
    )
    whole = body(
        card(dataclasses.replace(settings, labels=(label, *settings.labels[1:])), {}, known)
    )
    assert [row[0] for row in table("\n---\n" + whole, "## Labels")][1] == shown
    assert f'In training "{shown}" made up' in whole
    assert label not in whole


@pytest.fixture
def several(settings, facts) -> tuple[Settings, Facts]:
    """As of a run whose utterances may have several labels."""
    decisions = Decisions(
        scale=2.0,
        biases=(0.0, 1.0, 2.0),
        thresholds=(0.25, 0.5, 0.125),
        bias=1.0,
        threshold=0.5,
    )
    answering = dataclasses.replace(
        settings, task="multi", decisions={"stage_one": decisions, "stage_two": decisions}
    )
    scores = dataclasses.replace(
        facts.results.stage_two.test,
        micro_f1=51.25,
        jaccard=43.5,
        levels={"mood": {"macro_f1": 61.75, "jaccard": 62.5}},
    )
    agreement = Agreement(
        utterances=12, annotators=(2, 3), alpha=0.25, pairwise=0.5, by_label={"joy": None}
    )
    results = dataclasses.replace(
        facts.results,
        stage_two=dataclasses.replace(facts.results.stage_two, test=scores),
        annotators=Annotators(agreement={"test": agreement}, stage_one={}, stage_two={}),
    )
    counts = {split: dict.fromkeys(facts.labels, 9) for split in facts.utterances}
    told = dataclasses.replace(
        facts,
        results=results,
        utterances=counts,
        annotated=dict.fromkeys(counts, 18),
        levels={"mood": ("bad", "good", "good")},
    )
    return answering, told


def test_what_is_told_of_data_of_several_labels(several, facts, tmp_path) -> None:
    settings, told = several
    whole = card(settings, {}, told)
    assert "softmax" not in body(whole)
    assert "answer.emotions" in whole.partition("## Use")[2]
    assert [row[-1] for row in table(whole, "## Labels")] == [
        *("threshold", "0.2500", "0.5000", "0.1250")
    ]
    rows = {row[0]: row[1:] for row in table(whole, "## Data")}
    assert rows["annotated utterances"] == ["18", "18", "18"]
    assert rows["labels given to utterances"] == ["27", "27", "27"]
    assert rows["joy"] == ["9", "9", "9"]
    rare = {split: {**of, "joy": 4} for split, of in told.utterances.items()}
    unbalanced = card(settings, {}, dataclasses.replace(told, utterances=rare))
    assert 'made up 50% of the utterances and "joy" 22%.' in " ".join(unbalanced.split())
    head, *scores = table(whole, "## Scores")
    (test,) = [row for row in scores if row[0].startswith("stage two") and row[1] == "test"]
    assert dict(zip(head, test, strict=True))["Jaccard"] == "43.50"
    assert table(whole, "By coarser labels") == [
        ["", "groups", "macro F1", "Jaccard"],
        ["mood", "2", "61.75", "62.50"],
    ]
    assert "alpha is 0.25" in whole
    (tmp_path / "README.md").write_text(whole, encoding="utf-8")
    assert Facts.read(tmp_path) == told
    assert not {"annotated", "levels"} & {*facts.to_dict()}
    uncounted = dataclasses.replace(told, annotated=None)
    (tmp_path / "README.md").write_text(card(settings, {}, uncounted), encoding="utf-8")
    with pytest.raises(UserError, match=r"eacl_jax\.annotated is missing"):
        Facts.read(tmp_path)


def test_levels_are_of_all_labels(several, tmp_path) -> None:
    settings, told = several
    short = dataclasses.replace(told, levels={"mood": ("bad", "good")})
    (tmp_path / "README.md").write_text(card(settings, {}, short), encoding="utf-8")
    with pytest.raises(UserError, match=r"levels\.mood: expected a group for each label, got 2"):
        Facts.read(tmp_path)


@pytest.mark.parametrize("corpus", ["goemotions", "semeval2018", "brighter"])
def test_corpora_of_several_labels(several, corpus: str) -> None:
    settings, told = several
    whole = card(settings, {}, dataclasses.replace(told, corpus=corpus))
    assert "says its data card" in whole or "its README asks" in whole
    assert "not known here" not in whole
