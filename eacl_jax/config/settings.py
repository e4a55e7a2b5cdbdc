"""What can be set, in groups: the single list, which `configs/base.py` turns into a ConfigDict."""

import dataclasses
import enum
import math
import re
from collections.abc import Mapping
from typing import Literal, get_args

from eacl_jax.files.records import bounded

CorpusName = Literal[
    "smalltalk",
    "meld",
    "emorynlp",
    "iemocap",
    "dailydialog",
    "goemotions",
    "semeval2018",
    "brighter",
    "custom",
]
CORPORA = get_args(CorpusName)

READ_BY: Mapping[str, tuple[CorpusName, ...]] = {
    "dir": ("meld", "emorynlp", "iemocap", "dailydialog", "goemotions", "semeval2018", "brighter"),
    "language": ("brighter",),
    **dict.fromkeys(
        (
            *("train", "dev", "test"),
            *("dialogue_column", "speaker_column", "text_column", "emotion_column"),
            *("label_separator", "label_columns", "annotator_columns"),
        ),
        ("custom",),
    ),
}
"""The settings of `data` that not every corpus reads, and those that do."""


class Stage(enum.StrEnum):
    """The two stages, by the names that settings, results and files have for them."""

    ONE = "stage_one"
    TWO = "stage_two"

    @property
    def number(self) -> int:
        """1 or 2, as in `metrics.jsonl`."""
        return 1 if self is Stage.ONE else 2

    @property
    def words(self) -> str:
        """For a person: "stage one"."""
        return self.value.replace("_", " ")


# What stands for the utterance: the hidden state at the mask token, at the first token or at the
# last one (the closing separator), or the mean over all of the example's tokens.
Readout = Literal["mask", "first", "last", "mean"]
Decoding = Literal["viterbi", "marginals"]
EncoderDtype = Literal["float32", "bfloat16", "bfloat16_products"]
"""See `EncoderConfig.dtype`."""


@dataclasses.dataclass(frozen=True)
class DataConfig:
    """Which corpus, and where its files are."""

    corpus: CorpusName = "smalltalk"
    # Folder, or address in an object store, that holds the corpus' own files (or a folder named
    # like the corpus with them). Empty: downloaded where its owners publish it openly.
    dir: str = ""
    # corpus="brighter": the language, as its files are named.
    language: str = "eng"
    # Where prepared corpora are kept. Empty: $EACL_JAX_CACHE, else ~/.cache/eacl_jax.
    cache_dir: str = ""
    # corpus="custom": one file a split, in any format that corpora/files.py reads.
    train: str = ""
    dev: str = ""
    test: str = ""
    # corpus="custom": the columns' (or JSON fields') names. Empty: found by their usual names.
    # "none" for the dialogue's: each row stands by itself; for the speaker's: nobody is named.
    dialogue_column: str = ""
    speaker_column: str = ""
    text_column: str = ""
    emotion_column: str = ""
    # corpus="custom", several labels an utterance in tables. What stands between the labels of a
    # cell (empty: with task="multi" the one of ; | , that the cells hold); columns of 0 and 1, a
    # label each (empty: all that hold nothing else, where no column has the emotion); columns of
    # labels, an annotator each, empty where one did not have the utterance.
    label_separator: str = ""
    label_columns: tuple[str, ...] = ()
    annotator_columns: tuple[str, ...] = ()
    # Labels in anchor order. Empty: the corpus' own; for corpus="custom" those found in the
    # training split, sorted.
    labels: tuple[str, ...] = ()
    # Coarser labels: rows "LABEL=GROUP", one for each of the corpus' labels (as they are in its
    # files, or in `labels`); the last equals sign divides a row. Emotions become their group, and
    # the groups are the labels, in the order in which the rows first name them. Empty: no groups.
    groups: tuple[str, ...] = ()
    # The word or phrase that encodes each label, or several with `|` between them, in the order of
    # `labels`, which then must be given; with `groups`, that of each group, in their order. Empty:
    # the labels (or groups) themselves.
    words: tuple[str, ...] = ()
    # Whether an utterance has one label or may have several or none. Empty: as the files plainly
    # have it; smalltalk, which has both, then has one.
    task: Literal["", "single", "multi"] = ""
    # Coarser labels by which answers are scored too: rows "LEVEL: GROUP=LABEL,LABEL,...", in each
    # level every label once. Empty: the corpus' own, if it has any.
    levels: tuple[str, ...] = ()
    # Features beside the text: rows "NAME=PATH", a file or folder of them (features/files.py);
    # "NAME=sound:prosody", made of the sound files that utterances name as `audio`, beside their
    # own file; or "NAME" for the columns NAME.something of the user's own tables. Those in the
    # user's own objects need no row. Empty: no others.
    features: tuple[str, ...] = ()
    # Other corpora that stage one learns from too, each with the words of its own labels: rows
    # "CORPUS" or "CORPUS=FOLDER" (what `dir` is to the run's own). Their training dialogues that
    # hold utterances of the run's own dev or test are left out. The run's own corpus may be among
    # them, so that one setting serves runs of several. Empty: none.
    also: tuple[str, ...] = ()
    # An epoch goes through the run's own corpus once; the batches of each of the others are to its
    # own batches as n_other ** also_power to n_own ** also_power, with n training utterances.
    also_power: float = bounded(0.5, at_least=0, at_most=1)
    # At most this many dialogues a split, 0 for all: for trying things out.
    max_dialogues: int = bounded(0, at_least=0)


@dataclasses.dataclass(frozen=True)
class PromptConfig:
    """How an utterance and what is said around it become tokens."""

    max_tokens: int = bounded(256, at_least=16)
    max_past: int = bounded(8, at_least=0)
    # Utterances after the target that are read too, nearest first, as far as there is room; they
    # stand between its past and itself. Such a model answers a conversation late by so many.
    max_future: int = bounded(0, at_least=0)
    # What has the room first where not all fit.
    priority: Literal["past", "future"] = "past"
    # given: speakers by their names. replaced: by first names, the same one for whoever speaks, the
    # next for who spoke last before, and so on, so that answers do not depend on names.
    names: Literal["given", "replaced"] = "given"


@dataclasses.dataclass(frozen=True)
class EncoderConfig:
    """The pretrained transformer."""

    # A Hugging Face folder, its address in an object store, a hub id, or `package:NAME/FOLDER` for
    # files inside an installed Python package.
    path: str = "princeton-nlp/sup-simcse-roberta-large"
    # Branch, tag or commit of a hub id.
    revision: str = "main"
    # sha256 of the weight file, verified before use; empty: not verified.
    sha256: str = ""
    # Honour the keys and values (prefix_encoder) that PromCSE's checkpoints put before each
    # layer's. False loads such a checkpoint as the plain encoder that it is built on, as the public
    # implementation does.
    prefix: bool = True
    # Draw random weights in the shape that config.json gives, reading no weight file: for trying
    # sizes out.
    random_weights: bool = False
    # Type of activations and matrix products; parameters stay float32. bfloat16_products: float32,
    # but what linear maps multiply is rounded to bfloat16, which processors with AMX compute some
    # five times as fast.
    dtype: EncoderDtype = "float32"
    # Run the layers under one `lax.scan`: compiled once for all of them. auto: from 12 layers on,
    # except on a GPU, where it copies each layer's weights and takes more time and memory, and with
    # bfloat16_products, which it slows down. On a CPU it is lighter in memory, but slower for a
    # small encoder.
    scan_layers: Literal["auto", "always", "never"] = "auto"
    # The embeddings and this many lower layers are not trained (0: everything is trained).
    frozen_layers: int = bounded(0, at_least=0)
    # Kernel of attention (encoders/attention.py). auto: the backward pass makes the probabilities
    # again. xla: it keeps them. cudnn: the fused kernel of NVIDIA's library; needs a GPU,
    # dtype=bfloat16 and attention_dropout=False.
    attention: Literal["auto", "recompute", "xla", "cudnn"] = "auto"
    # Drop attention probabilities out at the rate in config.json, as the paper's encoders do;
    # False: only the rest is dropped out.
    attention_dropout: bool = True
    # Keep only each layer's input for the backward pass and run the layer again there: less memory,
    # a third more work.
    remat: bool = False
    # LoRA (arXiv 2106.09685): the encoder is frozen, and matrices of this rank learn beside some of
    # its linear maps, at stage_one.encoder_lr, which should then be some ten times as large; they
    # become part of its weights at the end. 0: off.
    lora_rank: int = bounded(0, at_least=0)
    # Their product counts lora_alpha / lora_rank.
    lora_alpha: float = bounded(16.0, above=0)
    # Which maps: a regex that matches their whole name within the encoder
    # (layers/0/attention/query, layers from 0, whether they are stacked or not). Single layers need
    # scan_layers=never. The default is the queries' and values' in each layer, and what makes both
    # at once.
    lora_maps: str = r"(.*/)?(query|value|all)"


@dataclasses.dataclass(frozen=True)
class ModelConfig:
    """Readout and heads."""

    # The paper's is mask. For encoders without a mask token: first, last or mean (see `Readout`).
    readout: Readout = "mask"
    # Width m of the mapping's output; 0: the encoder's width d.
    mapping_dim: int = bounded(0, at_least=0)
    dropout: float = bounded(0.1, at_least=0, below=1)


Fusion = Literal["gated", "concat", "attention", "words", "none"]
"""How features join the text; see `FeaturesConfig.fusion`."""


@dataclasses.dataclass(frozen=True)
class FeaturesConfig:
    """What the model does with features beside the text, where the corpus has any."""

    # Those that it reads. Empty: all that the corpus has.
    use: tuple[str, ...] = ()
    # gated: after the readout, h + sum of gate * MLP(features), zero at the start, so that it
    # begins as the text alone. concat: an MLP of all of them together. attention: their mean
    # weighted by attention. words: as words in the text, "(loud, high)", by the training
    # utterances' thirds. none: no features are read.
    fusion: Fusion = "gated"
    # Whether the text is read too; False: features alone.
    text: bool = True
    # In training, the share of the utterances whose features of a modality are left out, drawn anew
    # each step: so that the model can do without them.
    dropout: float = bounded(0.2, at_least=0, below=1)
    # Width of what is made of a modality.
    hidden: int = bounded(64, at_least=1)
    # Frames of an utterance at most; of longer ones the last count. Words are of the mean over all.
    frames: int = bounded(32, at_least=1)


@dataclasses.dataclass(frozen=True)
class AnchorConfig:
    """Where the anchors come from in stage one."""

    # What the mapping makes anchors of. words: label words, encoded once by the pretrained encoder.
    # live: the same, encoded with the current weights every step. random: Gaussian vectors as long
    # as the words' encodings. centroids: means of the pretrained encoder's readouts of each label's
    # training utterances. clusters: centres of k-means on the same, several a label. learned:
    # parameters that start as the words' encodings. prototypes: no inputs of the mapping, but means
    # of each label's latest mapped representations (arXiv 2210.08713).
    source: Literal["words", "live", "random", "centroids", "clusters", "learned", "prototypes"] = (
        "words"
    )
    # source="clusters": anchors a label.
    clusters: int = bounded(3, at_least=2)
    # source="prototypes": so many of each label's latest representations are kept.
    queue: int = bounded(256, at_least=1)

    @property
    def per_label(self) -> int:
        """Anchors a label, k."""
        return self.clusters if self.source == "clusters" else 1


@dataclasses.dataclass(frozen=True)
class LossConfig:
    """Terms of the objective."""

    temperature: float = bounded(0.1, above=0)
    # 1: the classifier alone is trained, and answers.
    ce_weight: float = bounded(0.1, at_least=0, at_most=1)
    angle_weight: float = bounded(0.1, at_least=0)
    # Where the logarithm stands (losses.supervised_contrastive). With several labels an utterance,
    # or soft_targets, it is always "out".
    form: Literal["in", "out"] = "in"
    # Whether anchors take part in the contrastive term. Without them the mapping learns nothing of
    # label words, and the model answers by no others; source="prototypes" then answers by the mean
    # of each label's representations.
    use_anchors: bool = True
    # Divide each label's sum in the contrastive term's denominator by the number of its members in
    # the batch, anchors counted, so that labels weigh alike (arXiv 2207.09052).
    balanced: bool = False
    # Of both stages' cross-entropies: weights (N / (C n_c)) ** class_weight of the labels, of mean
    # 1 over the training examples.
    class_weight: float = bounded(0.0, at_least=0, at_most=1)
    # Each example's cross-entropy times (1 - p) ** focal, p the probability of its label.
    focal: float = bounded(0.0, at_least=0)
    # In both stages' cross-entropies scores get + logit_adjustment * log share of the label in
    # training (arXiv 2007.07314).
    logit_adjustment: float = bounded(0.0, at_least=0)
    # Learn from the share of the annotators that gave each label, where the corpus has their
    # answers (`annotations`); elsewhere, and in scores, from the label or labels. With one
    # label an utterance compare it with form="out".
    soft_targets: bool = False
    # Label smoothing of both stages' cross-entropies: 1 - smoothing of a target is its label's, the
    # rest is all labels' alike (arXiv 1512.00567).
    smoothing: float = bounded(0.0, at_least=0, below=1)
    # R-Drop in stage one (arXiv 2106.14448): each batch is read twice, with other dropout, and
    # r_drop * the divergence of the two classifiers' answers is added to the mean of both
    # objectives. Twice the work.
    r_drop: float = bounded(0.0, at_least=0)
    # FGM in stage one (arXiv 1605.07725): the word embeddings are moved by so much along the
    # objective's gradient, and the gradients there are added. Twice the work.
    adversarial: float = bounded(0.0, at_least=0)


@dataclasses.dataclass(frozen=True)
class DistilConfig:
    """Teachers: trained models whose answers both stages' cross-entropies learn beside the labels.

    Their target is then `(1 - weight) * label + weight * teachers`, `teachers` being the mean of
    the teachers' calibrated probabilities of the training utterance. Cross-entropy with such a
    target is the Kullback-Leibler divergence from it up to a constant, its entropy. The contrastive
    term keeps the labels: it asks which utterances are alike, not how likely a label is.
    """

    # Models' or runs' folders, their addresses or hub ids, with the corpus' labels in any order.
    # They must not have seen dev or test; that they were trained on train is usual. Empty: none.
    teachers: tuple[str, ...] = ()
    # How much of a target is the teachers'. 0: labels alone; 1: no labels but in the contrastive
    # term.
    weight: float = bounded(0.5, at_least=0, at_most=1)


@dataclasses.dataclass(frozen=True)
class StageOneConfig:
    """Optimizer of representation learning."""

    epochs: int = bounded(8, at_least=1)
    batch_size: int = bounded(64, at_least=1)
    encoder_lr: float = bounded(1e-5, at_least=0)
    head_lr: float = bounded(4e-4, at_least=0)
    # Both rates are multiplied by this after each epoch.
    lr_decay: float = bounded(0.5, above=0, at_most=1)
    # Layer i of n, 1 the lowest, learns at encoder_lr * layer_decay**(n - i), the embeddings at
    # encoder_lr * layer_decay**n; what lies above the last layer, and the heads, at their full
    # rate.
    layer_decay: float = bounded(1.0, above=0, at_most=1)
    # Gradual unfreezing (arXiv 1801.06146): in epoch e only the top unfreeze_layers * e layers
    # learn, with what lies above them and the heads; the embeddings join one layer after the
    # lowest. 0: everything from the start. What encoder.frozen_layers freezes stays frozen.
    unfreeze_layers: int = bounded(0, at_least=0)
    # Rows "REGEX=FACTOR": a parameter's rate is multiplied by the factor of the first row whose
    # regex matches its whole name (encoder/layers/0/attention/query/kernel, layers from 0;
    # label_encodings are learned anchors, others/CORPUS/kernel is of a corpus of data.also); 0
    # holds it. Empty: no factors; else every parameter needs a row, and every row a parameter.
    rates: tuple[str, ...] = ()
    weight_decay: float = bounded(0.01, at_least=0)
    clip_norm: float = bounded(5.0, above=0)
    # Encode a batch's rows in this many parts, one after the other, so that memory holds only one
    # part's activations; the contrastive loss stays over the whole batch (training/chunks.py). One
    # forward pass more than with 1.
    chunks: int = bounded(1, at_least=1)
    # Stop after this many steps, 0 for no limit: for trying sizes out.
    max_steps: int = bounded(0, at_least=0)
    # How both rates fall. epochs: by lr_decay after each; linear and cosine: over all steps, so
    # that 0 would come after the last, whatever lr_decay is.
    schedule: Literal["epochs", "linear", "cosine"] = "epochs"
    # Share of all steps over which both rates rise from 0, in equal parts.
    warmup: float = bounded(0.0, at_least=0, below=1)
    # Answer by an exponential moving average of the weights, which keeps so much of itself in each
    # step (less in the first ones); 0: by the weights of the last step.
    average: float = bounded(0.0, at_least=0, below=1)
    # The mean of so many epochs' weights answers where dev prefers it to each single epoch
    # (arXiv 2203.05482); 0: single epochs alone.
    soup: int = bounded(0, at_least=0)
    # Which epochs: the last, or those that dev likes best. Checkpoints grow by a copy of the
    # weights with last, by `soup` copies with best.
    soup_of: Literal["last", "best"] = "last"


@dataclasses.dataclass(frozen=True)
class StageTwoConfig:
    """Optimizer of anchor adaptation."""

    epochs: int = bounded(10, at_least=1)
    batch_size: int = bounded(64, at_least=1)
    lr: float = bounded(1e-4, at_least=0)
    clip_norm: float = bounded(5.0, above=0)
    # Learn a bias a label beside the anchors, added to its score: how frequent labels are. (With
    # several labels an utterance there always is one.)
    biases: bool = False
    # Rate of the biases; 0: lr, with whose steps they hardly move.
    bias_lr: float = bounded(0.0, at_least=0)
    # Stop after so many epochs in a row that dev does not prefer to the best before; 0: never.
    patience: int = bounded(0, at_least=0)


@dataclasses.dataclass(frozen=True)
class SequenceConfig:
    """The dialogue as a sequence: after stage two, a linear-chain CRF over the labels of a dialogue
    learns which label follows which, for the same speaker and for another, on the fixed answers to
    train (seconds). A whole dialogue is then answered by all of it, a conversation by its past.
    """

    crf: bool = False
    # How often half the sum of its squared scores counts against the likelihood of train: the more,
    # the nearer the answers stay to those without it.
    penalty: float = bounded(1.0, above=0)
    # A whole dialogue: its most probable sequence of labels, or each utterance's most probable one.
    decoding: Decoding = "viterbi"
    # Leave it out of the model where it does not answer dev better.
    only_if_better: bool = True


@dataclasses.dataclass(frozen=True)
class BatchConfig:
    """How a batch's examples are laid into rows, and the sizes of passes without gradients."""

    # padded: one example a row. packed: several a row, kept apart by attention masks; same
    # examples, fewer padding tokens.
    layout: Literal["padded", "packed"] = "packed"
    # Draw an example with a probability proportional to the number of its label's examples to the
    # power of -balance: 0 is every example once an epoch, 1 every label as often as any other.
    balance: float = bounded(0.0, at_least=0, at_most=1)
    # Examples encoded at once where no gradient is taken; on CPUs 1,024 tokens at most.
    eval_batch_size: int = bounded(64, at_least=1)


@dataclasses.dataclass(frozen=True)
class EvaluationConfig:
    """What is measured and what chooses the epoch."""

    # micro_f1: with one label an utterance over all labels but `excluded_label` (DailyDialog's
    # convention). jaccard: with several.
    primary: Literal["weighted_f1", "macro_f1", "micro_f1", "jaccard"] = "weighted_f1"
    excluded_label: str = ""
    # Answer by scores less a * log share of the label in training, a chosen on dev by `primary`
    # after each epoch, without training (arXiv 2007.07314).
    logit_adjustment: bool = False
    # The other way round: scores plus a * log share. Anchors alone answer as if all labels were
    # equally frequent.
    prior: bool = False
    # With several labels an utterance: a label is answered from this probability on, chosen on dev.
    # own: a threshold a label, for its F1, where dev has enough of it; common: one for all, for
    # micro F1.
    thresholds: Literal["own", "common"] = "own"


@dataclasses.dataclass(frozen=True)
class CompatConfig:
    """Where the public implementation departs from the paper (docs/method.md). All off; each makes
    a run comparable with that implementation's.
    """

    # Read position 0: the mask id that it looks for is not RoBERTa's.
    readout_first: bool = False
    # Choose stage one's epoch on test.
    select_on_test: bool = False
    # Begin stage two with the last epoch's mapping and the best epoch's representations.
    stale_anchors: bool = False
    # Weight decay on the scale of the mapping's LayerNorm, too.
    decay_mapping_norm: bool = False
    # A vector without a positive counts as -log(1e-8); else it is left out.
    constant_for_no_positive: bool = False
    # A stray token between mask and separator.
    trailing_space: bool = False
    # Leave epoch 0 of stage two, the anchors of stage one, out of the choice.
    adapt_at_least_one_epoch: bool = False


@dataclasses.dataclass(frozen=True)
class RunConfig:
    """What is said and kept while a run goes on; changing it does not change the result."""

    log_every: int = bounded(10, at_least=1)
    # Stage one: save the latest state every so many steps, beside each epoch's end; 0: at epochs'
    # ends only, as stage two does.
    save_every: int = bounded(100, at_least=0)
    # Minutes without a step after which standard error tells where each thread is; 0: never.
    watchdog: float = bounded(30.0, at_least=0)
    # Refuse to begin where a smaller share of the rows that the devices compute would hold any
    # tokens, as with a small batch on a whole pod; 0 allows anything. One process leaves devices
    # out instead.
    least_device_use: float = bounded(0.1, at_least=0, at_most=1)


def parse_rate(row: str) -> tuple[re.Pattern[str], float]:
    """A row "REGEX=FACTOR" of `stage_one.rates`; the last equals sign divides it.

    Raises:
      ValueError: says what is wrong with it.
    """
    pattern, equals, text = row.rpartition("=")
    if not equals or not pattern:
        raise ValueError("expected REGEX=FACTOR")
    try:
        factor = float(text)
    except ValueError as error:
        raise ValueError(f"the factor {text!r} is not a number") from error
    if not 0 <= factor < math.inf:
        raise ValueError(f"the factor must be finite and not negative, got {text}")
    try:
        return re.compile(pattern), factor
    except re.error as error:
        raise ValueError(f"{pattern!r} is no regular expression ({error})") from error
