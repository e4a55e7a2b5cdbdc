"""What a card says of what was done to a recognizer since its run: how it was adapted, and what its
scores and probabilities are worth by now.
"""

from eacl_jax.model.calibration import FITS
from eacl_jax.recognizer.facts import ADAPTED, BY_WORDS, CALIBRATED, Facts
from eacl_jax.recognizer.few_shot import Adaptation
from eacl_jax.recognizer.folder import Settings
from eacl_jax.recognizer.markdown import plain

_WHERE = {"test": "on test", "adaptation": "on these dialogues", "dev": "on dev"}


def adaptation_section(facts: Facts) -> str:
    """The section "Adaptation"; empty for a recognizer that was not adapted."""
    found = facts.adaptation
    if found is None:
        return ""
    examples = ", ".join(f"{plain(label)} {number}" for label, number in found.examples.items())
    parts = [
        "## Adaptation",
        f"{' '.join(map(plain, facts.changes))} Annotated utterances by label: {examples}.",
        _held_out(found) if found.cross_validated is not None else _not_held_out(found),
    ]
    return "\n\n".join(parts)


def _not_held_out(found: Adaptation) -> str:
    return (
        "The anchors moved, and nothing was held out: whether it answers better than before"
        f" (weighted F1 {found.before:.2f} on the same utterances) is not known.{_without(found)}"
    )


def _held_out(found: Adaptation) -> str:
    rows = [
        f"with the anchors before: {found.before:.2f}",
        f"with adapted anchors, each dialogue held out in turn ({found.folds}-fold):"
        f" {found.cross_validated:.2f}",
    ]
    if found.decided is not None:
        rows.append(
            "with the anchors before, and probabilities and thresholds fitted to the other"
            f" dialogues: {found.decided:.2f}"
        )
    stayed = "The anchors stayed as they were, as adapted ones answered no better: "
    fitted = "probabilities and thresholds" if found.refitted else "only the probabilities"
    moved = f"{stayed}{fitted} were fitted." if found.kept else "The anchors moved."
    error = found.expected_calibration_error
    measured = (
        "The probabilities were fitted anew since, and not measured."
        if error is None
        else f"Expected calibration error of the answers in percent: {error:.2f}."
    )
    listed = "\n".join(f"- {row}" for row in rows)
    return (
        f"Weighted F1 in percent, on the dialogues of these utterances:\n\n{listed}\n\n"
        f"{moved}{_without(found)} {measured}"
    )


def _without(found: Adaptation) -> str:
    if not found.left_out:
        return ""
    return f" Adapted anchors answer without {' and '.join(found.left_out)}."


def on_scores(settings: Settings, facts: Facts | None) -> str:
    """What it was measured on, and how far its probabilities hold, in sentences on its limits."""
    if facts is None:
        return (
            "- **How good it is was not recorded.** Measure it on your own data before you rely on"
            " it, and its\n  probabilities too."
        )
    return (
        f"- **{_measured(settings, facts)}** Measure it on your own data before you rely on it."
        f" {_probabilities(settings, facts)}"
    )


def _measured(settings: Settings, facts: Facts) -> str:
    adaptation = facts.adaptation
    on = ["the corpus above"] if _answers_as_then(settings, facts) else []
    if adaptation is not None and adaptation.cross_validated is not None:
        on.append("the dialogues that were given to adapt it")
    if not on:
        return "As it answers now it was not measured."
    return f"It was measured only on {' and on '.join(on)}."


def _answers_as_then(settings: Settings, facts: Facts) -> bool:
    """Whether it answers as in its run: probabilities that are fitted anew change nothing but what
    a chain or thresholds make of them.
    """
    if settings.labels != facts.labels or (facts.changes and settings.chain is not None):
        return False
    if facts.adaptation is not None and facts.adaptation.refitted:
        return False
    return not any(each == BY_WORDS or each.startswith(ADAPTED) for each in facts.changes)


def _probabilities(settings: Settings, facts: Facts) -> str:
    errors = facts.calibration_error(settings.labels)
    where = next((each for each in _WHERE if each in errors), None)
    if where is not None and errors[where] <= FITS:
        return "Its probabilities are\n  calibrated there only."
    if where is not None:
        return (
            "Its probabilities were\n  fitted there only, and do not hold well even there:"
            f" {_WHERE[where]} they and how often they are right differ by"
            f" {errors[where]:.1f} points on average."
        )
    by_words = facts.changes[-1:] == (BY_WORDS,)
    moved = facts.adaptation is not None and facts.adaptation.cross_validated is None
    if by_words or (moved and not facts.changes[-1].startswith(CALIBRATED)):
        return "Its probabilities are\n  not calibrated."
    return "How far its probabilities\n  hold was not measured since they were fitted last."
