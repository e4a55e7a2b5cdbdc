"""Which settings have a meaning for what a corpus is annotated with."""

from collections.abc import Mapping
from typing import Any

from eacl_jax.config import Config
from eacl_jax.dialogue import Corpus
from eacl_jax.errors import SettingsError
from eacl_jax.model.task import annotated


def check_loss(config: Config, corpus: Corpus) -> None:
    """Raises `SettingsError` where stage one's loss has no meaning for what an utterance of a
    corpus may be annotated with.
    """
    loss = config.loss
    several, soft = corpus.task == "multi", loss.soft_targets
    if soft and not any(u.annotations for u in annotated(corpus.splits["train"])):
        raise SettingsError(
            f"config.loss.soft_targets: the training split of {corpus.name} does not tell what each"
            " annotator answered; give `annotations`, or leave it off."
        )
    unfit: dict[str, Any] = {
        "loss.balanced": loss.balanced,
        "loss.class_weight": loss.class_weight,
        "loss.focal": loss.focal,
        "loss.logit_adjustment": loss.logit_adjustment,
        "loss.smoothing": loss.smoothing,
        "compat.constant_for_no_positive": config.compat.constant_for_no_positive,
        "anchors.source=prototypes": config.anchors.source == "prototypes",
    }
    if several:
        unfit |= {"batch.balance": config.batch.balance}
    if several or soft:
        reason = "several labels or none" if several else "shares of labels (loss.soft_targets)"
        _refuse(unfit, reason, corpus)


def check_task(config: Config, corpus: Corpus) -> None:
    """`check_loss`, and the same of what is answered and scored, which is the run's own corpus
    alone. Raises `SettingsError`, also where a setting names a label that there is not.
    """
    evaluation, several = config.evaluation, corpus.task == "multi"
    if evaluation.excluded_label and evaluation.excluded_label not in corpus.taxonomy.labels:
        raise SettingsError(
            f"config.evaluation.excluded_label {evaluation.excluded_label!r} is not a label of"
            f" {corpus.name}: {', '.join(corpus.taxonomy.labels)}."
        )
    check_loss(config, corpus)
    if several:
        unfit = {
            "evaluation.logit_adjustment": evaluation.logit_adjustment,
            "evaluation.prior": evaluation.prior,
            "stage_two.biases": config.stage_two.biases,
            "evaluation.excluded_label": evaluation.excluded_label,
            "sequence.crf": config.sequence.crf,
        }
        _refuse(unfit, "several labels or none", corpus)
    if config.sequence.crf and all(
        sum(each.annotated for each in dialogue.utterances) < 2
        for dialogue in corpus.splits["train"]
    ):
        raise SettingsError(
            "config.sequence.crf learns which label follows which, and no dialogue of the training"
            f" split of {corpus.name} has two annotated utterances; leave it off."
        )
    if not several and evaluation.thresholds == "common":
        raise SettingsError(
            "config.evaluation.thresholds is for several labels an utterance, and in"
            f" {corpus.name} each has one; leave it off."
        )
    if not several and config.stage_two.bias_lr and not config.stage_two.biases:
        raise SettingsError(
            "config.stage_two.bias_lr is the rate of biases, and stage_two.biases is off; turn it"
            " on, or leave the rate at 0."
        )
    if not several and evaluation.primary == "jaccard":
        raise SettingsError(
            f"config.evaluation.primary=jaccard is for several labels an utterance, and in"
            f" {corpus.name} each has one; take weighted_f1 or macro_f1."
        )
    if not several and evaluation.primary == "micro_f1" and not evaluation.excluded_label:
        raise SettingsError(
            "config.evaluation.primary=micro_f1 needs evaluation.excluded_label where each"
            " utterance has one label."
        )


def _refuse(unfit: Mapping[str, Any], reason: str, corpus: Corpus) -> None:
    if found := [name for name, on in unfit.items() if on]:
        raise SettingsError(
            f"config.{found[0]} has no meaning where an utterance may have {reason}, as in"
            f" {corpus.name}; leave it off."
        )
