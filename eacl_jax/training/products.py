"""What a run knows when both stages are done, and what it makes of that for people and programs: a
model, with LoRA an adapter too, and a report.
"""

import dataclasses
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np
from jaxtyping import Float

from eacl_jax import reports
from eacl_jax.config import Stage
from eacl_jax.data.pieces import Pieces
from eacl_jax.dialogue import Dialogue, utterances_of
from eacl_jax.model.abstention import LabelSets
from eacl_jax.model.decisions import SeveralAnswering
from eacl_jax.recognizer.facts import Facts
from eacl_jax.recognizer.folder import Settings
from eacl_jax.recognizer.jax_runtime import JaxRuntime, parts_of
from eacl_jax.recognizer.learnt import Learnt
from eacl_jax.recognizer.lora_folder import save_lora
from eacl_jax.recognizer.recognizer import EmotionRecognizer
from eacl_jax.recognizer.results import Results
from eacl_jax.training.abstaining import abstention
from eacl_jax.training.answers import StageAnswers, answer
from eacl_jax.training.experiment import Experiment
from eacl_jax.training.modalities import LeftOut, compare_modalities
from eacl_jax.training.recording import MetricsLog
from eacl_jax.training.results import summarize
from eacl_jax.training.sequence import with_chain
from eacl_jax.training.stage import StageContext, StageResult

PRODUCTS = ("model", "report")


@dataclasses.dataclass(frozen=True)
class Finished:
    """A run after both stages.

    Attributes:
      stages: what each has chosen.
      reps: representations by split.
      answered: what each stage's anchors answer to dev and test; stage two's with the chain, where
        there is one.
      sets: see `abstention`.
      results: its scores.
    """

    stages: Mapping[Stage, StageResult]
    reps: Mapping[str, Float[np.ndarray, "N m"]]
    answered: Mapping[Stage, StageAnswers]
    sets: LabelSets | None
    results: Results

    @classmethod
    def of(
        cls,
        experiment: Experiment,
        stages: Mapping[Stage, StageResult],
        reps: Mapping[str, Float[np.ndarray, "N m"]],
        without: LeftOut | None,
    ) -> Self:
        """Answers dev and test, and scores the answers.

        Args:
          experiment: the run's inputs.
          stages, reps: see the attributes.
          without: from `leave_out`.
        """
        answered = {
            stage: answer(experiment, reps, found.anchors, found.affine, found.biases)
            for stage, found in stages.items()
        }
        anchors = stages[Stage.TWO].anchors
        chained, sequence = with_chain(experiment, answered[Stage.TWO], reps, anchors)
        answered[Stage.TWO] = chained
        modalities = compare_modalities(experiment, without, chained, anchors)
        sets, abstained = abstention(experiment, chained)
        results = summarize(experiment, stages, answered, modalities, sequence, abstained)
        return cls(stages, reps, answered, sets, results)

    @property
    def anchors(self) -> dict[str, Float[np.ndarray, "A m"]]:
        """By name of the stage."""
        return {stage.value: found.anchors for stage, found in self.stages.items()}


def write_products(
    experiment: Experiment, context: StageContext, finished: Finished, keep: Collection[str]
) -> list[str]:
    """Writes those of `PRODUCTS` that are to be kept; returns a line on each."""
    lines = []
    if "model" in keep:
        lines += _write_model(experiment, context, finished)
    if "report" in keep:
        page = _write_report(experiment, context.workdir, finished)
        lines.insert(0, f"report   {context.named(page)}")
    return lines


def _write_model(experiment: Experiment, context: StageContext, finished: Finished) -> list[str]:
    """The model's folder, and LoRA's matrices in one of their own; a line on each."""
    model, adapter = context.workdir / "model", context.workdir / "adapter"
    recognizer = _recognizer(experiment, finished)
    recognizer.save_pretrained(model)
    lines = [f"model    {context.named(model)}"]
    matrices, encoder = finished.stages[Stage.ONE].matrices, experiment.config.encoder
    # Weights that were drawn are in no file that could be named.
    if matrices is not None and not encoder.random_weights:
        save_lora(adapter, model, recognizer, matrices, encoder)
        lines.append(f"adapter  {context.named(adapter)}")
    return lines


def _write_report(experiment: Experiment, workdir: Path, finished: Finished) -> Path:
    return reports.write_report(
        workdir / "report",
        config=experiment.config.to_dict(),
        corpus=experiment.corpus.name,
        labels=experiment.corpus.taxonomy.labels,
        results=finished.results.to_json(),
        history=MetricsLog(workdir / "metrics.jsonl").rows(),
        gold=experiment.gold("test"),
        predictions={
            stage.value: found.answers["test"] for stage, found in finished.answered.items()
        },
        representations=finished.reps["test"],
        anchors=finished.anchors,
        **_of_several(finished.answered[Stage.TWO]),
    )


def _of_several(answered: StageAnswers) -> dict[str, Any]:
    """What the report shows of how several labels are decided; nothing of one."""
    answering = answered.answering
    if not isinstance(answering, SeveralAnswering):
        return {"probabilities": None, "thresholds": ()}
    assert answering.decisions is not None
    return {
        "probabilities": answered.probabilities("test"),
        "thresholds": answering.decisions.thresholds,
    }


def _recognizer(experiment: Experiment, finished: Finished) -> EmotionRecognizer:
    """The recognizer that the run ends with."""
    config = experiment.config
    settings = Settings.of_run(
        config,
        experiment.corpus.taxonomy,
        modalities=dict(experiment.modalities),
        thirds=dict(experiment.thirds),
        chain=finished.answered[Stage.TWO].chain,
        sets=finished.sets,
        **_by_stage(finished.answered),
    )
    parts = parts_of(config, experiment.graphdef, finished.stages[Stage.TWO].params)
    trained = _trained_on(experiment)
    return EmotionRecognizer(
        settings,
        JaxRuntime(settings, parts, batch_size=config.batch.eval_batch_size),
        tokenizer=experiment.tokenizer,
        encoder_config=dict(experiment.encoder_config),
        anchors=finished.anchors,
        facts=_facts(experiment, finished.results, trained),
        learnt=(
            Learnt(whole=not config.distil.teachers)
            .and_("trained", trained)
            .and_("chosen", experiment.corpus.splits["dev"])
        ),
    )


def _by_stage(answered: Mapping[Stage, StageAnswers]) -> dict[str, Any]:
    """The fields of `Settings` that say how each stage's anchors answer."""
    return {
        "calibration": {
            stage.value: found.calibration.temperature for stage, found in answered.items()
        },
        "offsets": {
            stage.value: found.answering.offsets
            for stage, found in answered.items()
            if found.answering.offsets
        },
        "calibration_without_offsets": {
            stage.value: found.plain_temperature
            for stage, found in answered.items()
            if found.plain_temperature is not None
        },
        "decisions": {
            stage.value: found.answering.decisions
            for stage, found in answered.items()
            if isinstance(found.answering, SeveralAnswering) and found.answering.decisions
        },
    }


def _facts(experiment: Experiment, results: Results, trained: list[Dialogue]) -> Facts:
    """What the model's card says of the run."""
    return Facts.of_run(
        experiment.config,
        experiment.corpus,
        {
            split: experiment.task.members(experiment.gold(split)).sum(axis=0)
            for split in experiment.examples
        },
        results,
        also={each.corpus.name: len(each.examples) for each in experiment.others},
        pieces=Pieces(experiment.tokenizer).a_word([each.text for each in utterances_of(trained)]),
    )


def _trained_on(experiment: Experiment) -> list[Dialogue]:
    corpora = experiment.corpus, *(each.corpus for each in experiment.others)
    return [dialogue for corpus in corpora for dialogue in corpus.splits["train"]]
