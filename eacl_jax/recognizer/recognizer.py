"""EmotionRecognizer: a trained model in use. A folder of files in, emotions of dialogues out; the
corpus is not needed.
"""

import dataclasses
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
from jaxtyping import Bool, Float

from eacl_jax.config import Config, Stage
from eacl_jax.corpora.markup import warn_of_markup
from eacl_jax.corpora.placeholders import warn_of_notes
from eacl_jax.data.beside import put_features, warn_of_features, with_sound
from eacl_jax.data.inputs import read_dialogues, read_labels
from eacl_jax.data.pieces import Look, Pieces
from eacl_jax.data.prompts import (
    Example,
    OnLong,
    PromptBuilder,
    Targets,
    says_nothing,
    targeted,
    warn_about,
)
from eacl_jax.data.tokenizer import read_tokenizer
from eacl_jax.dialogue import Dialogue, Taxonomy, Utterance, utterances_of
from eacl_jax.errors import LabelsError, UserError
from eacl_jax.features.given import all_with_flat_features
from eacl_jax.features.modality import check_modalities
from eacl_jax.features.words import described
from eacl_jax.files import local, stores, whole
from eacl_jax.files.checksum import sha256_of
from eacl_jax.files.records import read_json
from eacl_jax.model.decisions import SeveralAnswering
from eacl_jax.model.label_words import check_anchors, check_words
from eacl_jax.model.scores import host_cosines
from eacl_jax.model.task import SeveralLabels, SingleLabel, Task
from eacl_jax.recognizer import checksums, fingerprint, fitting, sequence
from eacl_jax.recognizer.abstaining import least_probability
from eacl_jax.recognizer.conversation import Conversation
from eacl_jax.recognizer.facts import Facts
from eacl_jax.recognizer.few_shot import Adaptation
from eacl_jax.recognizer.folder import Settings, read_anchors, read_settings, wrong_anchors
from eacl_jax.recognizer.learnt import Learnt
from eacl_jax.recognizer.locate import OWN, check_target, find_folder
from eacl_jax.recognizer.prediction import DialoguePrediction, Prediction
from eacl_jax.recognizer.programs import Precision, describe
from eacl_jax.recognizer.runtime import JAX, Runtime, check_runtime, in_jax

log = logging.getLogger(__name__)

# JAX and what imports it stand in the functions that need them: a recognizer may answer without.
if TYPE_CHECKING:
    from eacl_jax.encoders import LoadedEncoder
    from eacl_jax.model.mesh import Mesh


class EmotionRecognizer:
    """Tells the emotion of each utterance of a dialogue from itself and its past.

    Recognizers do not change: `with_labels`, `adapt` and `calibrate` return new ones, which share
    the encoder's weights and what was compiled. Answers to an utterance do not depend on what else
    is asked at the same time, but for rounding. Not for use by several threads at once, but that
    one may make the next `examples` while another represents and answers.

    Attributes:
      settings: labels, prompt, readout, calibration, and how anchors answer.
      anchors: float32 [C k, m] by stage, `stage_one` and `stage_two`; a label's k side by side.
      adaptation: what `adapt` did, for a recognizer that it returned.
      warnings: what `with_labels` found in the labels: words that the encoder does not know,
        anchors that are nearly equal.
      facts: of the run that it comes from, for its card; None where they are not known.
      learnt: which utterances it has learnt from, as far as is known.
      tokenizer: the encoder's.
      encoder_config: the encoder's config.json.
      prompts: builds prompts.
      runtime: computes representations.
    """

    def __init__(
        self,
        settings: Settings,
        runtime: Runtime,
        *,
        tokenizer: Any,
        encoder_config: dict[str, Any],
        anchors: dict[str, np.ndarray],
        facts: Facts | None = None,
        learnt: Learnt | None = None,
    ) -> None:
        """Use `from_pretrained`.

        Args:
          settings: labels, prompt and readout.
          runtime: the model's.
          tokenizer: the encoder's.
          encoder_config: the encoder's config.json.
          anchors: float32 [C k, m] by stage, `stage_one` and `stage_two`; the latter predicts.
          facts: of the run that it comes from, for its card.
          learnt: what it has learnt from.

        Raises:
          UserError: the anchors are not those of so many labels, or hold what is no number.
        """
        _check_anchors(settings, anchors)
        self.settings, self.runtime = settings, runtime
        self.anchors = anchors
        self.adaptation: Adaptation | None = None
        self.warnings: tuple[str, ...] = ()
        self._source: _Source | None = None
        self.facts, self.learnt = facts, learnt or Learnt()
        self.tokenizer, self.encoder_config = tokenizer, encoder_config
        self._pieces = Pieces(tokenizer)
        self.prompts = PromptBuilder(
            tokenizer,
            settings.prompt,
            readout=settings.readout,
            trailing_space=settings.trailing_space,
        )

    @classmethod
    def from_pretrained(
        cls,
        path: str | Path,
        *,
        runtime: str = JAX,
        precision: Precision = "float32",
        revision: str = "main",
        batch_size: int = 64,
        mesh: "Mesh | None" = None,
    ) -> "EmotionRecognizer":
        """Loads a model folder.

        Args:
          path: the folder, a run's folder, or the id of a hub repository that holds its files. What
            exists here is never a hub id, and what is inside a folder here never comes from the
            hub.
          runtime: what computes representations: "jax"; or, on processors, "onnx" (ONNX Runtime)
            or "openvino", which answer within a second or two of a program's start where the
            folder was prepared for it, as JAX is not imported. Such a recognizer answers, adapts
            and calibrates like any other, but is neither saved nor exported.
          precision: "float32"; with "onnx" also "int8", with "openvino" also "bfloat16": both have
            to be prepared, and the model's card states what they cost.
          revision: branch, tag or commit of a hub id.
          batch_size: utterances encoded at once, about; other runtimes than JAX choose themselves.
          mesh: devices of JAX; None: all of this process. Over devices of several processes, all of
            these have to ask the same. Who unpickles the recognizer uses its own.

        Raises:
          UserError: a file is missing or damaged, or files do not belong together; or there is no
            such runtime.
        """
        check_runtime(runtime, precision)
        if runtime != JAX and mesh is not None:
            raise UserError(f"mesh is of JAX's devices, and runtime is {runtime!r}: leave it out.")
        folder = find_folder(path, revision)
        heads = sha256_of(folder / "heads.safetensors")
        files = fingerprint.of_files(folder, runtime, precision)
        settings = read_settings(folder / "config.json")
        if runtime == JAX:
            recognizer = cls._in_jax(folder, settings, batch_size, mesh)
        else:
            recognizer = cls._elsewhere(folder, settings, runtime, precision)
        if sha256_of(folder / "heads.safetensors") != heads:
            raise UserError(f"{folder} was replaced while it was read; load it again.")
        # After what reading them says of damaged files, which is more exact.
        checksums.check(folder)
        where = stores.address_of(path) or str(
            folder.absolute() if Path(path).expanduser().is_dir() else path
        )
        recognizer._source = _Source(where, revision, batch_size, heads, runtime, precision, files)
        return recognizer

    @classmethod
    def of_model(
        cls,
        config: Config,
        loaded: "LoadedEncoder",
        taxonomy: Taxonomy,
        graphdef: Any,
        params: Any,
        anchors: Float[np.ndarray, "A m"],
    ) -> "EmotionRecognizer":
        """The recognizer of a model that was trained in a loop of one's own, to be used and saved;
        of texts alone, with one label an utterance.

        Its probabilities are softmax of the scores until `calibrate` fits them to annotated
        dialogues, and its card knows nothing of its training.

        Args:
          config: what the loop went by: prompts, model, readout, temperature, encoder. By `anchors`
            and `loss.use_anchors` it says whether other labels' words have anchors, too.
          loaded: the encoder, as it was loaded, for its tokenizer and config.json.
          taxonomy: labels and their words.
          graphdef: static half of the `Model`, of `nnx.split`.
          params: its trained parameters.
          anchors: [C k, m], mapped, by which it answers.

        Raises:
          UserError: the anchors are not those of so many labels, or hold what is no number.
          ValueError: the model reads features, or the configuration is of several labels.
        """
        from eacl_jax.recognizer.jax_runtime import JaxRuntime, parts_of

        if config.data.task == "multi" or "fusion" in params:
            raise ValueError("of_model is for texts alone and one label an utterance")
        settings = Settings.of_run(
            config, taxonomy, calibration=dict.fromkeys((Stage.ONE.value, Stage.TWO.value), 1.0)
        )
        parts = parts_of(config, graphdef, params)
        return cls(
            settings,
            JaxRuntime(settings, parts, batch_size=config.batch.eval_batch_size),
            tokenizer=loaded.tokenizer,
            encoder_config=dict(loaded.config),
            anchors={stage.value: np.asarray(anchors) for stage in (Stage.ONE, Stage.TWO)},
        )

    @classmethod
    def _in_jax(
        cls, folder: Path, settings: Settings, batch_size: int, mesh: "Mesh | None"
    ) -> "EmotionRecognizer":
        from eacl_jax.recognizer.jax_runtime import JaxRuntime, load

        loaded = load(folder, settings)
        return cls(
            settings,
            JaxRuntime(settings, loaded.parts, batch_size=batch_size, mesh=mesh),
            tokenizer=loaded.tokenizer,
            encoder_config=loaded.encoder_config,
            anchors=loaded.anchors,
            facts=Facts.read(folder),
            learnt=Learnt.read(folder),
        )

    @classmethod
    def _elsewhere(
        cls, folder: Path, settings: Settings, runtime: str, precision: Precision
    ) -> "EmotionRecognizer":
        from eacl_jax.recognizer.onnx_runtime import load

        return cls(
            settings,
            load(folder, settings, runtime=runtime, precision=precision),
            tokenizer=read_tokenizer(folder / "encoder"),
            encoder_config=read_json(folder / "encoder" / "config.json", "save the model again"),
            anchors=read_anchors(folder / "heads.safetensors", settings),
            facts=Facts.read(folder),
            learnt=Learnt.read(folder),
        )

    def save_pretrained(self, folder: str | Path) -> None:
        """Writes the model folder with its card, or replaces one; where that fails, what was there
        stays as it was.

        Args:
          folder: or an address such as `gs://bucket/model`, where a model that is replaced is not
            whole in between, and not taken for one.

        Raises:
          UserError: it cannot be written, is a run's folder or an encoder's, or the model is not in
            JAX.
        """
        runtime = in_jax(self.runtime)
        check_target(folder)
        from eacl_jax.recognizer.card import write_card

        with whole.new_folder(folder, OWN) as new:
            runtime.save(
                new,
                self.settings,
                self.anchors,
                encoder_config=self.encoder_config,
                tokenizer=self.tokenizer,
            )
            self.learnt.write(new)
            write_card(new, self.settings, self.encoder_config, self.facts)
        if stores.address_of(folder) is None:
            describe(local.expand(folder))

    @property
    def graphdef(self) -> Any:
        """Static half of the `Representer`. Raises `UserError` where the model is not in JAX."""
        return in_jax(self.runtime).graphdef

    @property
    def params(self) -> Any:
        """Its parameters, nested dict of arrays on the devices. Raises `UserError` likewise."""
        return in_jax(self.runtime).params

    @property
    def taxonomy(self) -> Taxonomy:
        """Labels and their words."""
        return Taxonomy(self.settings.labels, self.settings.words)

    @property
    def labels(self) -> tuple[str, ...]:
        """What it can answer, in anchor order."""
        return self.settings.labels

    def compile_ahead(self) -> Iterator[tuple[int, int]]:
        """Compiles all that predicting runs, one shape [rows, tokens] after the other, smallest
        first, so that no later call has to wait for it; yields each when it is ready. Without it, a
        call compiles what it needs.
        """
        return self.runtime.compile_ahead()

    def encode(
        self, dialogues: Any, *, on_long: OnLong = "cut", sounds: str | Path | None = None
    ) -> Float[np.ndarray, "N m"]:
        """Representations of all utterances of the dialogues, in their order; arguments as of
        `predict`.
        """
        read, _ = self.read(dialogues, sounds=sounds)
        return self.represent(self.examples(read, on_long=on_long))

    def predict(
        self,
        dialogues: Any,
        *,
        stage: str = Stage.TWO,
        on_long: OnLong = "cut",
        sounds: str | Path | None = None,
        coverage: float | None = None,
    ) -> Any:
        """The emotion of every utterance.

        Args:
          dialogues: one dialogue or a list of them; `inputs` lists the forms. A string is one
            dialogue's transcript, a list of strings is a list of dialogues, and a list of dicts,
            pairs or `Utterance`s is one dialogue. Emotions in them are not looked at, fields of the
            user's own come back with the answers.
          stage: whose anchors to use, "stage_two" (adapted) or "stage_one".
          on_long: what becomes of a text that is longer than the encoder reads: "cut" answers by
            its end (and says so: `Prediction.truncated`), "refuse" raises, "pool" answers by the
            mean of its parts' representations. To a model that reads features alone no text is too
            long.
          sounds: the folder of the sound files that utterances name as `audio`, of which the
            features are made that the model reads and the utterances lack; None: no file is read.
          coverage: with 0.9, `Prediction.possible` are the labels that hold an utterance's own in
            90% of utterances like those of dev, on average: one where the model is sure. 0.5 to
            0.99, in whole percent.

        Returns:
          For one dialogue a `DialoguePrediction`, a sequence with one `Prediction` an utterance;
          for several, their list.

        Raises:
          UserError: something given is not a dialogue, there is no such stage, or no such coverage
            is known.
        """
        self._check_stage(stage)
        least = None if coverage is None else least_probability(self.settings, coverage, stage)
        read, single = self.read(dialogues, sounds=sounds)
        examples = self.examples(read, on_long=on_long)
        utterances = utterances_of(read)
        texts = [each.text for each in utterances]
        warn_about(examples, self.settings.prompt.max_tokens)
        if self.settings.reads_text:
            warn_of_markup(texts)
            warn_of_notes(utterances)
        self.warn_of_language(texts)
        warn_of_features(read, self.settings.modalities)
        alone = self.answer(self.represent(examples), utterances, examples, stage=stage)
        together = self.together(alone, read, stage=stage)
        if least is not None:
            together = [each.with_possible(least) for each in together]
        answers = iter(together)
        results = [
            DialoguePrediction(d.id, tuple(next(answers) for _ in d.utterances), d.other)
            for d in read
        ]
        return results[0] if single else results

    def answer_alone(
        self, dialogue: Dialogue, index: int, *, on_long: OnLong = "cut"
    ) -> Prediction:
        """The answer to one utterance of a dialogue by its prompt, in which the others are its past
        and its future; a chain (`Settings.chain`) is left out.
        """
        utterances = [each.without_labels() for each in dialogue.utterances]
        # The only one that anybody seems to have annotated, with no label.
        utterances[index] = dataclasses.replace(utterances[index], emotions=())
        asked = dataclasses.replace(dialogue, utterances=tuple(utterances))
        examples = self.build([asked], "annotated", on_long)
        asked_for = dialogue.utterances[index]
        warn_about(examples, self.settings.prompt.max_tokens)
        warn_of_markup([asked_for.text])
        warn_of_notes([asked_for])
        return self.answer(self.represent(examples), [asked_for], examples)[0]

    def conversation(
        self, coverage: float | None = None, *, sounds: str | Path | None = None
    ) -> Conversation:
        """A conversation that goes on: `add` answers each utterance when it is said; a model that
        reads later utterances (`prompt.max_future`) does when these have been said.

        Args:
          coverage: as of `predict`.
          sounds: likewise; an utterance need not name a file.

        Raises:
          UserError: no such coverage is known, or the model has a chain (`Settings.chain`); or its
            features cannot be made of sound.
        """
        return Conversation(self, coverage, sounds)

    def with_labels(self, labels: Mapping[str, str] | Sequence[str] | str) -> "EmotionRecognizer":
        """A recognizer that answers by other labels, without any example of them: from their words
        alone.

        Args:
          labels: the word or phrase of each label, `{"gratitude": "grateful"}`,
            `["gratitude=grateful", "anger"]` or `"gratitude=grateful,anger"`; a label alone is its
            own word. Several words or phrases of one label, with `|` between them, are encoded
            each on its own, and their mean counts: "gratitude=grateful|says thank you". At least
            two labels. The closer they are to what training told apart, the better the answers.

        Their probabilities are not calibrated: nothing says how often such answers are right. They
        are as sharp as those of stage one, by the temperature that fits its scores without offsets
        (`Settings.offsets`), as these labels have none. `adapt` and `calibrate` fit them to
        annotated dialogues.

        Raises:
          LabelsError: this recognizer's anchors were not made of words, or it has learnt nothing of
            those; or words are empty, or cannot be told apart: the encoder reads the same tokens in
            them, or gives them the same anchor.
          UserError: labels or words are missing or repeat, or the model is damaged.
        """
        if not self.settings.made_of_words:
            raise LabelsError(
                "this recognizer's anchors were not made of words (but are random, centroids,"
                " clusters, prototypes or a classifier's), or took no part in its training"
                " (loss.use_anchors=False), so it cannot answer by other labels from their words"
                " alone. Train one with anchors.source=words and loss.use_anchors=True, or annotate"
                " dialogues with these labels and train on them."
            )
        words = read_labels(labels)
        taxonomy = Taxonomy(tuple(words), tuple(words.values()))
        warnings = check_words(self.tokenizer, taxonomy)
        longest = self.settings.prompt.max_tokens
        anchors = self.runtime.label_anchors(self.tokenizer, taxonomy, longest)
        warnings += check_anchors(taxonomy, anchors)
        temperature = self.settings.plain_temperature(Stage.ONE)
        settings = dataclasses.replace(
            self.settings,
            labels=taxonomy.labels,
            words=taxonomy.words,
            calibration={Stage.ONE: temperature, Stage.TWO: temperature},
            # Of the labels before.
            anchors_per_label=1,
            offsets={},
            calibration_without_offsets={},
            chain=None,
            sets=None,
            decisions=self.settings.decisions_of_others(len(taxonomy)),
        )
        changed = self.changed(settings, {Stage.ONE: anchors, Stage.TWO: anchors})
        changed.warnings, changed.adaptation = warnings, None
        changed.learnt = self.learnt.unadapted()
        changed.facts = self.facts and self.facts.relabelled()
        return changed

    def adapt(
        self, dialogues: Any, *, seed: int = 0, sounds: str | Path | None = None
    ) -> "EmotionRecognizer":
        """Stage two on annotated dialogues: a recognizer whose anchors are moved by them,
        everything else frozen.

        Seconds on a CPU. Few examples a label will do, and a label without any keeps its anchors;
        see `few_shot`. Where there are two dialogues or more, each is also answered by anchors that
        were adapted to the others: unless those answers are better than today's, the anchors stay
        as they are. The probabilities are calibrated on the same answers; where an utterance may
        have several labels, thresholds are fitted anew if that answers held-out dialogues better.
        `adaptation` of what is returned says what was done, and how good the answers were.

        Offsets of scores (`Settings.offsets`) and a chain (`Settings.chain`) are of the corpus that
        training saw: adapted anchors do without them, and those that stay as they are keep them.
        Of one dialogue nothing can be held out: its anchors are always moved, and the probabilities
        not calibrated.

        Args:
          dialogues: as for `predict`; utterances with an `emotion` (or `emotions`, where this
            recognizer answers several) are examples, the others context. Emotions must be among the
            labels: for others, begin with `with_labels`.
          seed: decides which dialogues are held out together.
          sounds: as of `predict`.

        Raises:
          UserError: no utterance has an emotion, one is not among the labels, or the seed is no
            whole number from 0 on.
        """
        return fitting.adapt(self, dialogues, seed=seed, sounds=sounds)

    def calibrate(self, dialogues: Any, *, sounds: str | Path | None = None) -> "EmotionRecognizer":
        """A recognizer whose probabilities fit annotated dialogues, by one temperature, or by scale
        and biases where there may be several labels; its answers stay the same, but for the order
        of several labels. The fewer the examples, the nearer these stay to what they were; a
        warning says where they were fitted to these before.

        A chain (`Settings.chain`) goes by the probabilities of each utterance alone: their
        temperature is that with which those that the chain makes of them fit, and its answers may
        become others.

        Args:
          dialogues: as for `adapt`, but others than those that it was adapted to.
          sounds: as of `predict`.

        Raises:
          UserError: as `adapt`.
        """
        return fitting.calibrate(self, dialogues, sounds=sounds)

    def examples(
        self,
        dialogues: Sequence[Dialogue],
        *,
        on_long: OnLong = "cut",
    ) -> list[Example]:
        """First step of predicting: the prompts of all utterances of dialogues that are read
        (`read`), or of a corpus. Emotions are not looked at.

        A program that answers several callers at once (a service) takes the three steps itself:
        prompts of one caller and another may be represented together, also for recognizers that
        differ in their labels only.
        """
        unlabelled = [
            dataclasses.replace(
                d, utterances=tuple(utterance.without_labels() for utterance in d.utterances)
            )
            for d in dialogues
        ]
        return self.build(unlabelled, "all", on_long)

    def build(
        self,
        dialogues: Sequence[Dialogue],
        targets: Targets,
        on_long: OnLong = "cut",
    ) -> list[Example]:
        """Prompts of all utterances or of the annotated ones, with their targets and the features
        that the model reads. Of a model that reads no text they hold none, so that neither a text
        nor a name is too long.
        """
        if on_long not in get_args(OnLong):
            raise UserError(
                f"on_long must be one of {', '.join(get_args(OnLong))}, got {on_long!r:.40}."
            )
        settings = self.settings
        # Where they become words, those of the past are read too.
        for dialogue in dialogues if settings.thirds else ():
            for number, utterance in enumerate(dialogue.utterances):
                where = f"dialogue {dialogue.id!r:.60} utterance {number}"
                check_modalities(utterance.features, settings.modalities, where)
        if settings.reads_text:
            shown = described(dialogues, settings.thirds)
        else:
            shown = [_without_texts(each) for each in dialogues]
        made = self.prompts.build(shown, self.taxonomy, targets=targets, on_long=on_long)
        if not settings.fused:
            return made
        asked = [
            (f"dialogue {dialogue.id!r:.60} utterance {number}", dialogue.utterances[number])
            for dialogue, number in targeted(dialogues, targets)
        ]
        return put_features(made, asked, settings.fused)

    def represent(self, examples: Sequence[Example]) -> Float[np.ndarray, "N m"]:
        """Second step: the prompts' representations; of one in parts (`Example.windows`) their
        mean.
        """
        if not examples:
            return np.zeros((0, self.anchors[Stage.TWO].shape[1]), np.float32)
        parts = [part for example in examples for part in (*example.windows, example)]
        reps = self.runtime.represent(parts)
        if wrong := int((~np.isfinite(reps).all(axis=1)).sum()):
            raise UserError(
                f"the representations of {wrong} of {len(parts)} prompts are NaN or infinite: the"
                " model's weights are damaged, or too large for its type of numbers."
            )
        if len(parts) == len(examples):
            return reps
        counts = [1 + len(example.windows) for example in examples]
        starts = np.cumsum([0, *counts[:-1]])
        return (np.add.reduceat(reps, starts) / np.array(counts)[:, None]).astype(np.float32)

    def answer(
        self,
        reps: Float[np.ndarray, "N m"],
        utterances: Sequence[Utterance],
        examples: Sequence[Example] | None = None,
        *,
        stage: str = Stage.TWO,
    ) -> list[Prediction]:
        """Last step: the predictions for N representations and the utterances that they stand for;
        a chain (`Settings.chain`) then needs whole dialogues, see `together`.

        Args:
          reps: from `represent`.
          utterances: N.
          examples: N, from `examples`: they know which texts were cut, are unknown or left no room
            for others; without them no answer says so.
          stage: whose anchors to use.
        """
        labels, several = self.labels, self.settings.several
        answering = self.settings.answering(stage)
        cosines = answering.cosines(reps, self.anchors[stage])
        probability = answering.probabilities(
            answering.scores(cosines), self.settings.calibration[stage]
        )
        decided = answering.decide(cosines)
        if isinstance(answering, SeveralAnswering) and answering.classifies:
            # What it calls cosines are logits.
            cosines = host_cosines(reps, self.anchors[stage])
        flags = (
            [self._caveats(each) for each in examples]
            if examples is not None
            else [(False, False, False)] * len(utterances)
        )
        return [
            Prediction(
                speaker=u.speaker,
                text=u.text,
                emotion=None if several else labels[answer],
                emotions=_likeliest_first(labels, answer, p) if several else (labels[answer],),
                probabilities=dict(zip(labels, p, strict=True)),
                cosines=dict(zip(labels, c, strict=True)),
                truncated=truncated,
                unknown_text=unknown,
                other=u.other,
                alone=alone,
            )
            for u, answer, p, c, (truncated, unknown, alone) in zip(
                utterances, decided, probability.tolist(), cosines.tolist(), flags, strict=True
            )
        ]

    def together(
        self,
        answers: Sequence[Prediction],
        dialogues: Sequence[Dialogue],
        *,
        stage: str = Stage.TWO,
    ) -> list[Prediction]:
        """After the last step, for a model with a chain over dialogues (`Settings.chain`): the
        answers to whole dialogues, from those to each of their utterances. For others the same as
        given.

        Args:
          answers: to all utterances of the dialogues, one after the other.
          dialogues: whole ones.
          stage: whose answers these are.
        """
        chain = self.settings.chain_of(stage)
        if chain is None:
            return list(answers)
        return sequence.whole(chain, answers, [len(each.utterances) for each in dialogues])

    def look(self, texts: Iterable[str]) -> Look:
        """Whether texts may be in another language than those that the model was trained on."""
        usual = self.facts.pieces if self.facts and self.settings.reads_text else None
        return self._pieces.look(texts, usual)

    def warn_of_language(self, texts: Iterable[str]) -> Look:
        """What `look` sees; logs it where that is worth a warning."""
        seen = self.look(texts)
        if message := str(seen):
            log.warning("%s.", message)
        return seen

    def _caveats(self, example: Example) -> tuple[bool, bool, bool]:
        """Whether its text is cut, whether there is nothing to answer by, and whether there was no
        room for what was said around it.
        """
        if self.settings.reads_text:
            return example.truncated, example.unknown, example.alone
        return False, not example.features, False

    def read(
        self, dialogues: Any, *, annotated: bool = False, sounds: str | Path | None = None
    ) -> tuple[list[Dialogue], bool]:
        """The dialogues, with the features that their fields NAME.COLUMN are, and whether it is one
        alone; with the labels of a DataFrame, where `annotated` asks for them, and with features of
        the sound that utterances name in the folder `sounds`.
        """
        read, single = read_dialogues(dialogues, self.settings.task if annotated else None)
        # What comes from a file has been through this.
        read = [all_with_flat_features(each, self.settings.modalities, again=True) for each in read]
        if sounds is not None:
            read = with_sound(read, self.settings.modalities, Path(sounds))
        return read, single

    def _check_stage(self, stage: str) -> None:
        if stage not in self.anchors:
            raise UserError(
                f"there are no anchors of stage {stage!r:.40}; there are those of"
                f" {', '.join(self.anchors)}."
            )

    @property
    def loaded_heads(self) -> str:
        """The sha256 of heads.safetensors in the folder that it was loaded from; empty where it was
        not loaded.
        """
        return self._source.heads if self._source else ""

    @property
    def fingerprint(self) -> str:
        """Changes with what decides its answers: the files that it was loaded from, where it was,
        what computes, the settings and the anchors. A change of a few bytes of a large file may
        pass.
        """
        files = self._source.files if self._source else ""
        return fingerprint.of_answers(files, self.settings, self.anchors)

    @property
    def calibration_error(self) -> dict[str, float]:
        """See `Facts.calibration_error`; empty where nothing is known of its run, or where another
        precision computes than it was measured with: `Runtime.cost` tells what that changes.
        """
        if self.facts is None or self.runtime.precision != self.settings.encoder_dtype:
            return {}
        return self.facts.calibration_error(self.labels)

    @property
    def task(self) -> Task:
        """What a label is."""
        several = self.settings.several
        return SeveralLabels(self.labels) if several else SingleLabel(self.labels)

    def changed(self, settings: Settings, anchors: dict[str, np.ndarray]) -> "EmotionRecognizer":
        """This recognizer with other settings and anchors: all else is shared.

        Raises:
          UserError: as the constructor.
        """
        _check_anchors(settings, anchors, self.anchors[Stage.TWO].shape[1])
        changed = object.__new__(
            type(self)
        )  # copy.copy would load the folder again: see __reduce__
        changed.__dict__.update(self.__dict__)
        changed.settings, changed.anchors = settings, anchors
        return changed

    def __repr__(self) -> str:
        kind, prompt = self.encoder_config.get("model_type", "?"), self.settings.prompt
        where = f" from {self._source.path}" if self._source else ""
        later = f" and {prompt.max_future} later" if prompt.max_future else ""
        return (
            f"<EmotionRecognizer of {', '.join(self.labels)}; {kind}, at most {prompt.max_tokens}"
            f" tokens and {prompt.max_past} past{later} utterances{where}>"
        )

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickles where the model is and what was changed since, not the weights: who unpickles it
        loads the folder again.
        """
        if self._source is None:
            raise TypeError(
                "a recognizer that was not loaded with from_pretrained cannot be pickled; save and"
                " load it first."
            )
        return _loaded_again, (
            self._source,
            self.settings,
            self.anchors,
            self.adaptation,
            self.facts,
            self.learnt,
            self.warnings,
        )


def _check_anchors(
    settings: Settings, anchors: Mapping[str, np.ndarray], width: int | None = None
) -> None:
    """Raises `UserError` where they cannot be the model's: it would answer wrongly, or be saved in
    place of one that can be loaded.
    """
    if wrong := wrong_anchors(anchors, settings, width):
        raise UserError("the anchors do not fit the model:\n  " + "\n  ".join(wrong))


def _without_texts(dialogue: Dialogue) -> Dialogue:
    """The dialogue with a letter for each name and each text, which are not read; empty texts stay
    so.
    """
    utterances = tuple(
        dataclasses.replace(each, speaker="A", text="" if says_nothing(each.text) else "a")
        for each in dialogue.utterances
    )
    return dataclasses.replace(dialogue, utterances=utterances)


def _likeliest_first(
    labels: Sequence[str], answered: Bool[np.ndarray, " C"], probability: Sequence[float]
) -> tuple[str, ...]:
    """The labels that are answered."""
    found = [number for number, yes in enumerate(answered) if yes]
    return tuple(labels[number] for number in sorted(found, key=lambda n: -probability[n]))


@dataclasses.dataclass(frozen=True)
class _Source:
    """What `from_pretrained` was called with, and the sha256 of heads.safetensors then; and a hash
    of all files, which may differ: settings and anchors are pickled.
    """

    path: str
    revision: str
    batch_size: int
    heads: str
    runtime: str = JAX
    precision: Precision = "float32"
    files: str = dataclasses.field(default="", compare=False)


def _loaded_again(
    source: _Source, settings: Settings, anchors: dict[str, np.ndarray], *known: Any
) -> EmotionRecognizer:
    recognizer = EmotionRecognizer.from_pretrained(
        source.path,
        runtime=source.runtime,
        precision=source.precision,
        revision=source.revision,
        batch_size=source.batch_size,
    )
    if recognizer._source != source:
        raise UserError(
            f"{source.path} is no longer the model that this recognizer was loaded from: its"
            " heads.safetensors differs."
        )
    changed = recognizer.changed(settings, anchors)
    changed.adaptation, changed.facts, changed.learnt, changed.warnings = known
    return changed
