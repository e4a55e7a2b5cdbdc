"""The search's section of a study's page."""

from collections.abc import Mapping, Sequence
from html import escape

from eacl_jax.model.metrics import title
from eacl_jax.reports.drawing import WIDTH
from eacl_jax.reports.gallery import Gallery
from eacl_jax.reports.names import drawn_words
from eacl_jax.studies import words
from eacl_jax.studies.names import slug
from eacl_jax.studies.search import figures
from eacl_jax.studies.search.definition import Search, shown_value
from eacl_jax.studies.search.trials import Trial, TrialState, best, count_words, ended


def search_section(
    gallery: Gallery,
    search: Search,
    trials: Sequence[Trial],
    importance: Mapping[str, float],
    command: str = "",
) -> str:
    """HTML: which settings were searched, trial by trial, and what mattered.

    Args:
      trials: that have ended; one is complete.
      importance: by setting, see `suggest.importances`; may be empty.
      command: that trains the best trial's model; may be empty.
    """
    drawn = drawn_words(search.measure_words, title(search.measure))
    shown = [
        gallery.show(
            "search-trials",
            lambda theme: figures.draw_trials(theme, trials, drawn),
            title="Trials",
            alt=f"{search.measure_words} on dev by trial.",
            caption=(
                "A mark a trial, in the order in which they were begun; the line is the best so"
                " far. Pruned trials ended early and stand at their best epoch of stage one, the"
                " others at stage two."
            ),
            width=WIDTH,
        )
    ]
    if importance:
        shown.append(
            gallery.show(
                "search-importance",
                lambda theme: figures.draw_importance(theme, importance),
                title="What mattered",
                alt="Share of the dev score's variance by setting.",
                caption=(
                    "How much of the difference between complete trials goes with each setting"
                    " alone or with others, between the bounds of this search (fANOVA). With so few"
                    " trials a hint, no measurement."
                ),
                width=WIDTH,
            )
        )
    by_setting = [
        gallery.show(
            f"search-{number}-{slug(each.setting)}",
            lambda theme, each=each: figures.draw_setting(theme, trials, each, drawn),  # type: ignore[misc]
            title=f"<code>{escape(each.setting)}</code>",
            alt=f"{search.measure_words} on dev by {each.setting}.",
            caption="" if number else "Each trial by its value; the other settings vary too.",
            width=WIDTH,
        )
        for number, each in enumerate(search.space)
    ]
    return (
        f"<h2>The search</h2>{_intro(search, trials)}{_bounds(search, trials)}"
        f"{_command(command)}"
        f'<div class="pair">{"".join(shown)}</div><h3 class="part">Setting by setting</h3>'
        f'<div class="pair">{"".join(by_setting)}</div>{_table(search, trials)}'
    )


def _intro(search: Search, trials: Sequence[Trial]) -> str:
    return (
        f"<p>{escape(count_words(ended(trials)))}, each a run on {escape(search.corpus)} with seed"
        f" {search.seed}, compared by {escape(search.measure_words)} on dev. The first is the base;"
        f" the next, until {search.startup} are done, are at random, and the others where earlier"
        " ones did well (TPE). Scores here are dev’s, and the best of many is partly luck: how good"
        " the settings are is in the tables above, on test and with other seeds, and those chose"
        " nothing.</p>"
    )


def _bounds(search: Search, trials: Sequence[Trial]) -> str:
    top = best(trials)
    assert top is not None
    body = "".join(
        f'<tr><th scope="row"><code>{escape(each.setting)}</code></th>'
        f'<td class="text">{escape(each.words)}</td>'
        f'<td class="number">{escape(shown_value(search.start[each.setting]))}</td>'
        f'<td class="number">{escape(shown_value(top.settings[each.setting]))}</td></tr>'
        for each in search.space
    )
    return (
        '<div class="scroll"><table class="narrow"><thead><tr><th scope="col">setting</th>'
        '<th scope="col">searched</th><th scope="col" class="number">base</th>'
        f'<th scope="col" class="number">best: trial {top.number}</th></tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def _command(command: str) -> str:
    if not command:
        return ""
    return (
        "<p>Trials keep no model. The best trial’s is trained by this command, in the folder where"
        f' the study’s was given:</p><div class="scroll"><pre>{escape(command)}</pre></div>'
    )


def _table(search: Search, trials: Sequence[Trial]) -> str:
    heads = "".join(
        f'<th scope="col" class="number"><code>{escape(each.setting)}</code></th>'
        for each in search.space
    )
    body = "".join(_row(search, trial) for trial in trials)
    return (
        "<details><summary>All trials in numbers</summary>"
        '<div class="scroll"><table class="narrow"><thead><tr><th scope="col">trial</th>'
        f'{heads}<th scope="col" class="number">dev {escape(search.measure_words)}</th>'
        f'<th scope="col">end</th></tr></thead><tbody>{body}</tbody></table></div></details>'
    )


def _row(search: Search, trial: Trial) -> str:
    values = "".join(
        f'<td class="number">{escape(shown_value(trial.settings[each.setting]))}</td>'
        for each in search.space
    )
    end = {
        TrialState.PRUNED: f"pruned after epoch {max(trial.epochs, default=0)}",
        TrialState.FAILED: f"failed: {trial.reason}",
    }.get(trial.state, str(trial.state))
    return (
        f'<tr><th scope="row">{trial.number}</th>{values}<td class="number">'
        f'{words.number(trial.score)}</td><td class="text">{escape(end)}</td></tr>'
    )
