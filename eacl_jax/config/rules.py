"""What no single setting can tell: values that contradict each other, that nothing reads, and that
may be a mistake.
"""

import dataclasses
import re
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from eacl_jax.config.settings import (
    READ_BY,
    AnchorConfig,
    DataConfig,
    DistilConfig,
    EncoderConfig,
    FeaturesConfig,
    LossConfig,
    ModelConfig,
    SequenceConfig,
    StageOneConfig,
    parse_rate,
)

if TYPE_CHECKING:
    from eacl_jax.config.config import Config

# A field below `config`, the rule that its value breaks, and the value.
Problem = tuple[str, str, Any]
Check = Callable[["Config"], Iterator[Problem]]


def lines(config: "Config", checks: Sequence[Check]) -> list[str]:
    """What no single field shows: a line for each problem."""
    return [
        f"config.{field}: {rule}, got {value!r}."
        for check in checks
        for field, rule, value in check(config)
    ]


def _of_encoder(config: "Config") -> Iterator[Problem]:
    path = config.encoder.path
    if not path:
        yield "encoder.path", "must name a folder, a hub id or package:NAME/FOLDER", path


def _of_rates(config: "Config") -> Iterator[Problem]:
    for number, row in enumerate(config.stage_one.rates):
        try:
            parse_rate(row)
        except ValueError as error:
            yield f"stage_one.rates[{number}]", str(error), row


def _of_anchors(config: "Config") -> Iterator[Problem]:
    size, queue = config.stage_one.batch_size, config.anchors.queue
    if config.anchors.source == "prototypes" and queue < size:
        rule = f"must hold a batch of stage_one.batch_size={size} at least"
        yield "anchors.queue", rule, queue


def _of_other_corpora(config: "Config") -> Iterator[Problem]:
    source, power, plain = config.anchors.source, config.data.also_power, DataConfig.also_power
    if config.data.also:
        if not config.classifies and source not in ("words", "live"):
            yield (
                "anchors.source",
                "must be words or live with data.also, whose corpora have anchors of their own"
                " words",
                source,
            )
    elif power != plain:
        rule = f"has no effect without data.also; leave it at {plain}"
        yield "data.also_power", rule, power


def _of_features(config: "Config") -> Iterator[Problem]:
    features, source = config.features, config.anchors.source
    if features.fusion == "none" and features.use:
        rule = "must be empty with features.fusion=none, which reads no features"
        yield "features.use", rule, features.use
    if features.text:
        return
    if features.fusion in ("words", "none"):
        yield (
            "features.fusion",
            "must be gated, concat or attention with features.text=False: words are text, and with"
            " none nothing would be read",
            features.fusion,
        )
    if source in ("centroids", "clusters"):
        yield (
            "anchors.source",
            "must not be made of what the encoder makes of texts with features.text=False",
            source,
        )


def _of_prompt(config: "Config") -> Iterator[Problem]:
    prompt = config.prompt
    if prompt.priority != "past" and prompt.max_future <= 0:
        rule = "must be past with prompt.max_future=0, which reads nothing later"
        yield "prompt.priority", rule, prompt.priority


def _of_sequence(config: "Config") -> Iterator[Problem]:
    if config.sequence.crf:
        return
    for field in dataclasses.fields(SequenceConfig):
        value = getattr(config.sequence, field.name)
        if value != field.default:
            rule = f"has no effect without sequence.crf; leave it at {field.default!r}"
            yield f"sequence.{field.name}", rule, value


def _of_rarity(config: "Config") -> Iterator[Problem]:
    loss, evaluation = config.loss, config.evaluation
    if evaluation.prior and evaluation.logit_adjustment:
        rule = "must be off with evaluation.logit_adjustment, which takes out what it adds"
        yield "evaluation.prior", rule, evaluation.prior
    if not config.batch.balance:
        return
    for field, value in (
        ("loss.class_weight", loss.class_weight),
        ("loss.logit_adjustment", loss.logit_adjustment),
        ("evaluation.logit_adjustment", evaluation.logit_adjustment),
    ):
        if value:
            rule = "must be off with batch.balance, which has made rare labels frequent already"
            yield field, rule, value


def _of_average(config: "Config") -> Iterator[Problem]:
    average = config.stage_one.average
    if average and config.anchors.source == "prototypes":
        yield (
            "stage_one.average",
            "must be 0 with anchors.source=prototypes, which are means of what the moving weights"
            " made",
            average,
        )
    if average and config.encoder.lora_rank:
        yield (
            "stage_one.average",
            "must be 0 with encoder.lora_rank, whose two matrices a map have averages that make"
            " another product than the average of the weights; for a mean of weights set"
            " stage_one.soup",
            average,
        )


def _of_lora(config: "Config") -> Iterator[Problem]:
    encoder, one = config.encoder, config.stage_one
    if not encoder.lora_rank:
        return
    try:
        re.compile(encoder.lora_maps)
    except re.error as error:
        yield "encoder.lora_maps", f"is no regular expression ({error})", encoder.lora_maps
    others_off = {
        "encoder.frozen_layers": (encoder.frozen_layers, 0),
        "stage_one.layer_decay": (one.layer_decay, 1.0),
        "stage_one.unfreeze_layers": (one.unfreeze_layers, 0),
        "stage_one.rates": (one.rates, ()),
        "features.text": (config.features.text, True),
    }
    for field, (value, plain) in others_off.items():
        if value != plain:
            rule = f"must be {plain!r} with encoder.lora_rank, which holds the encoder as a whole"
            yield field, rule, value


def _of_smoothing(config: "Config") -> Iterator[Problem]:
    loss = config.loss
    if loss.smoothing and loss.focal:
        rule = "must be 0 with loss.focal, which weighs examples by the label's probability alone"
        yield "loss.smoothing", rule, loss.smoothing


def _of_distillation(config: "Config") -> Iterator[Problem]:
    teachers, weight, plain = config.distil.teachers, config.distil.weight, DistilConfig.weight
    if not teachers:
        if weight != plain:
            rule = f"has no effect without distil.teachers; leave it at {plain}"
            yield "distil.weight", rule, weight
        return
    if not all(each.strip() for each in teachers):
        rule = "must name a model's or run's folder, an address or a hub id each"
        yield "distil.teachers", rule, teachers
    no_label = "whose targets have no one label to weigh an example by"
    reasons = {
        "focal": no_label,
        "class_weight": no_label,
        "smoothing": "whose probabilities are spread over the labels already",
    }
    for name, reason in reasons.items():
        if value := getattr(config.loss, name):
            yield f"loss.{name}", f"must be 0 with distil.teachers, {reason}", value


def _of_adversarial(config: "Config") -> Iterator[Problem]:
    adversarial = config.loss.adversarial
    if adversarial and config.encoder.frozen_layers:
        yield (
            "loss.adversarial",
            "must be 0 with encoder.frozen_layers, with which word embeddings have no gradient",
            adversarial,
        )
    if adversarial and not config.features.text:
        yield (
            "loss.adversarial",
            "must be 0 with features.text=False, with which no word embeddings are read",
            adversarial,
        )


def _of_soup(config: "Config") -> Iterator[Problem]:
    field, soup = "stage_one.soup", config.stage_one.soup
    if not soup:
        return
    if soup <= 1:
        yield field, "must be 0, or 2 epochs at least: of one there is no mean", soup
    if config.anchors.source == "prototypes":
        yield (
            field,
            "must be 0 with anchors.source=prototypes, whose anchors are of many steps' weights",
            soup,
        )
    if config.compat.stale_anchors:
        yield (
            field,
            "must be 0 with compat.stale_anchors, which takes anchors of the last epoch",
            soup,
        )


def _of_classifier(config: "Config") -> Iterator[Problem]:
    if not config.classifies:
        return
    unused = "has no effect with loss.ce_weight=1, which trains the classifier alone; leave it"
    loss, source = config.loss, config.anchors.source
    if source != "words":
        yield "anchors.source", f"{unused} at words", source
    if not loss.use_anchors:
        yield "loss.use_anchors", f"{unused} True", loss.use_anchors
    if loss.balanced:
        yield "loss.balanced", f"{unused} False", loss.balanced


def _of_words(config: "Config") -> Iterator[Problem]:
    data = config.data
    if not data.words:
        return
    if not data.labels and not data.groups:
        rule = "needs data.labels (or data.groups) beside it, whose words they are, in their order"
        yield "data.words", rule, data.words
        return
    count, named = len(data.labels), "data.labels"
    if data.groups:
        count = len({row.rpartition("=")[2].strip() for row in data.groups})
        named = "groups of data.groups"
    if len(data.words) != count:
        rule = f"must give one word or phrase for each of the {count} {named}"
        yield "data.words", rule, data.words


def _of_data(config: "Config") -> Iterator[Problem]:
    data = config.data
    files = {split: getattr(data, split) for split in ("train", "dev", "test")}
    if data.corpus == "custom" and not all(files.values()):
        field = "data.train, data.dev and data.test"
        rule = (
            'must each name a file when data.corpus is "custom"; docs/how-to/own-corpus.md ("One'
            ' file alone") divides one into three'
        )
        yield field, rule, files


def _of_evaluation(config: "Config") -> Iterator[Problem]:
    evaluation = config.evaluation
    if evaluation.primary != "micro_f1" or config.data.task == "multi":
        return
    if not evaluation.excluded_label:
        yield (
            "evaluation.excluded_label",
            "must name the label that micro_f1 leaves out, unless data.task=multi",
            "",
        )


def _of_corpus(config: "Config") -> Iterator[Problem]:
    data = config.data
    for name, corpora in READ_BY.items():
        value, plain = getattr(data, name), getattr(DataConfig, name)
        read: set[str] = {data.corpus}
        if name == "language":  # also of the other corpora
            read |= {row.partition("=")[0].strip() for row in data.also}
        if value == plain or read & {*corpora}:
            continue
        only = " or ".join(f'"{each}"' for each in corpora)
        rule = f"is for data.corpus={only} only"
        if name == "dir":
            rule = (
                f'is the folder of a published corpus, which data.corpus="{data.corpus}" is not'
                " (files of your own are data.train, data.dev and data.test, with"
                ' data.corpus="custom")'
            )
        yield f"data.{name}", f"{rule}; leave it at {plain!r}", value


def _of_unread_texts(config: "Config") -> Iterator[Problem]:
    if config.features.text:
        return
    why = "has no effect with features.text=False, whose encoder reads no text and does not learn"
    one = config.stage_one
    for field, value, plain in (
        ("stage_one.layer_decay", one.layer_decay, StageOneConfig.layer_decay),
        ("stage_one.unfreeze_layers", one.unfreeze_layers, StageOneConfig.unfreeze_layers),
    ):
        if value != plain:
            yield field, f"{why}; leave it at {plain}", value
    if config.anchors.source == "live":
        yield "anchors.source", f"{why}: live words are words then; leave it at words", "live"


def _of_readout(config: "Config") -> Iterator[Problem]:
    readout, plain = config.model.readout, ModelConfig.readout
    if config.compat.readout_first and readout not in (plain, config.readout):
        rule = (
            "has no effect with compat.readout_first, which reads the first token; leave it at"
            f" {plain}, or turn that switch off"
        )
        yield "model.readout", rule, readout


def _of_untaught(config: "Config") -> Iterator[Problem]:
    distil = config.distil
    if distil.teachers and not distil.weight:
        rule = "has no effect with distil.weight=0, which leaves labels alone; leave it empty"
        yield "distil.teachers", rule, distil.teachers


def _of_untrained_classifier(config: "Config") -> Iterator[Problem]:
    apart = config.loss.r_drop
    if apart and not config.loss.ce_weight:
        yield (
            "loss.r_drop",
            "compares answers of the linear classifier, which learns no labels with"
            f" loss.ce_weight=0; leave it at {LossConfig.r_drop}",
            apart,
        )
    dropout, plain = config.model.dropout, ModelConfig.dropout
    if dropout != plain and not config.loss.ce_weight:
        yield (
            "model.dropout",
            "has no effect with loss.ce_weight=0: it is of what the linear classifier reads, which"
            f" learns no labels then; leave it at {plain}",
            dropout,
        )


def _of_unused(config: "Config") -> Iterator[Problem]:
    encoder, anchors, source = config.encoder, config.anchors, config.anchors.source
    one = config.stage_one
    if one.chunks > one.batch_size:
        yield (
            "stage_one.chunks",
            f"has no effect beyond stage_one.batch_size={one.batch_size}, the most rows that a"
            " batch has; give fewer",
            one.chunks,
        )
    unused: list[tuple[str, str, Any, Any]] = []
    if not encoder.lora_rank:
        why = "without encoder.lora_rank"
        unused += [
            ("encoder.lora_alpha", why, encoder.lora_alpha, EncoderConfig.lora_alpha),
            ("encoder.lora_maps", why, encoder.lora_maps, EncoderConfig.lora_maps),
        ]
    if source != "clusters":
        why = "without anchors.source=clusters"
        unused.append(("anchors.clusters", why, anchors.clusters, AnchorConfig.clusters))
    if source != "prototypes":
        why = "without anchors.source=prototypes"
        unused.append(("anchors.queue", why, anchors.queue, AnchorConfig.queue))
    if (fusion := config.features.fusion) in ("words", "none"):
        why = f"with features.fusion={fusion}, " + (
            "whose words are of the mean over all frames"
            if fusion == "words"
            else "which reads no features"
        )
        unused += [
            (f"features.{name}", why, getattr(config.features, name), getattr(FeaturesConfig, name))
            for name in ("dropout", "hidden", "frames")
        ]
    if not one.soup:
        why = "without stage_one.soup"
        unused.append(("stage_one.soup_of", why, one.soup_of, StageOneConfig.soup_of))
    if encoder.path.startswith("package:"):
        why = "with an encoder.path inside a package, which has no revisions"
        unused.append(("encoder.revision", why, encoder.revision, EncoderConfig.revision))
    if config.loss.form == "out":
        constant = config.compat.constant_for_no_positive
        why = "with loss.form=out, which leaves such a row out"
        unused.append(("compat.constant_for_no_positive", why, constant, False))
    if config.classifies:
        why = "with loss.ce_weight=1, which trains the classifier alone"
        width = config.model.mapping_dim
        unused.append(("model.mapping_dim", why, width, ModelConfig.mapping_dim))
        unused.append(("loss.form", why, config.loss.form, LossConfig.form))
        if config.loss.angle_weight:  # 0 is what the classifier alone has
            angle = config.loss.angle_weight
            unused.append(("loss.angle_weight", why, angle, LossConfig.angle_weight))
    elif source == "prototypes" and config.loss.angle_weight:
        why = "with anchors.source=prototypes, through which no gradient passes"
        angle = config.loss.angle_weight
        unused.append(("loss.angle_weight", why, angle, LossConfig.angle_weight))
    for field, why, value, plain in unused:
        if value != plain:
            yield field, f"has no effect {why}; leave it at {plain!r}", value


def _of_schedule(config: "Config") -> Iterator[Problem]:
    one, plain = config.stage_one, StageOneConfig.lr_decay
    if one.schedule != "epochs" and one.lr_decay != plain:
        rule = (
            f"has no effect with stage_one.schedule={one.schedule}, by which rates fall over all"
            f" steps; leave it at {plain}, or set the schedule to epochs"
        )
        yield "stage_one.lr_decay", rule, one.lr_decay


def _of_learning_rates(config: "Config") -> Iterator[Problem]:
    one, two = config.stage_one, config.stage_two
    for field, rate in (
        ("stage_one.encoder_lr", one.encoder_lr),
        ("stage_one.head_lr", one.head_lr),
        ("stage_two.lr", two.lr),
        ("stage_two.bias_lr", two.bias_lr),
    ):
        if rate >= 1:
            rule = (
                "is about how far Adam moves each parameter in a step, and from 1 on nothing is"
                " learnt; usual are 1e-6 to 1e-2"
            )
            yield field, rule, rate


def _of_few_epochs(config: "Config") -> Iterator[Problem]:
    one, two = config.stage_one, config.stage_two
    if one.soup and one.epochs == 1:
        rule = "has no effect with stage_one.epochs=1, as there is no mean of one epoch"
        yield "stage_one.soup", rule, one.soup
    elif one.soup > one.epochs:
        rule = f"is of no more than stage_one.epochs={one.epochs}, however many are asked for"
        yield "stage_one.soup", rule, one.soup
    if two.patience and two.patience >= two.epochs:
        rule = f"has no effect with stage_two.epochs={two.epochs}, which end no later"
        yield "stage_two.patience", rule, two.patience


def _of_random_weights(config: "Config") -> Iterator[Problem]:
    encoder = config.encoder
    if encoder.random_weights and encoder.sha256:
        rule = "has no effect with encoder.random_weights, for which no weight file is read"
        yield "encoder.sha256", rule, encoder.sha256


def _of_classifier_and_compat(config: "Config") -> Iterator[Problem]:
    if not config.classifies:
        return
    rule = "has no effect with loss.ce_weight=1, which trains the classifier alone"
    for name in ("stale_anchors", "decay_mapping_norm", "constant_for_no_positive"):
        if getattr(config.compat, name):
            yield f"compat.{name}", rule, True


def _of_anchors_apart(config: "Config") -> Iterator[Problem]:
    loss, source = config.loss, config.anchors.source
    # Centroids and clusters are made of the labels' utterances, prototypes of what is made of them.
    if config.classifies or loss.use_anchors or source in ("centroids", "clusters", "prototypes"):
        return
    yield (
        "loss.use_anchors",
        f"leaves nothing in stage one that would bring anchors of anchors.source={source} near the"
        " utterances of their labels, and by the nearest anchor its epochs are scored and chosen;"
        " set anchors.source=prototypes, the labels' mean representations, or leave it True",
        loss.use_anchors,
    )


IMPOSSIBLE: tuple[Check, ...] = (
    _of_encoder,
    _of_rates,
    _of_anchors,
    _of_other_corpora,
    _of_features,
    _of_prompt,
    _of_sequence,
    _of_rarity,
    _of_average,
    _of_lora,
    _of_smoothing,
    _of_distillation,
    _of_adversarial,
    _of_soup,
    _of_classifier,
    _of_words,
    _of_data,
    _of_evaluation,
)
# Not asked of records, in which it may stand: data that another corpus reads.
UNREAD: tuple[Check, ...] = (_of_corpus,)
# What other values leave without effect, or without sense.
WITHOUT_EFFECT: tuple[Check, ...] = (
    _of_unused,
    _of_unread_texts,
    _of_readout,
    _of_untaught,
    _of_untrained_classifier,
)
# Of what recipes set, beside which people change one setting, and of what is hardly meant: no
# errors, but logged.
DOUBTFUL: tuple[Check, ...] = (
    _of_schedule,
    _of_learning_rates,
    _of_few_epochs,
    _of_random_weights,
    _of_classifier_and_compat,
    _of_anchors_apart,
)
