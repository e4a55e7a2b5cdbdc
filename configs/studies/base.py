"""What all studies share.

A study is a function of one optional argument, as a configuration is,
`eacl study configs/studies/ablation.py:corpus=meld+emorynlp,data=FOLDER,seeds=3`:

  corpus=NAME    smalltalk, meld, emorynlp, iemocap or dailydialog (chosen by micro F1 without
                 neutral), or several: meld+emorynlp. smalltalk where the study's file says nothing
                 else
  data=FOLDER    where the files of corpora with owners are (config.data.dir)
  run=FOLDER     in place of corpus=, data= and paper: the corpus that a run was trained on, and its
                 settings as the base. So one's own files are studied. What any variant sets begins
                 as it does without a run, whatever the run had, so that variants are what they are
                 named; a note says what that replaced
  encoder=PATH   folder, hub id or package:NAME/FOLDER of the encoder (config.encoder.path); for
                 backbones.py, and for no other, several: PATH+PATH
  dtype=NAME     float32, bfloat16 or bfloat16_products, of every run (config.encoder.dtype)
  seeds=N        the seeds 0 to N - 1
  paper          the paper's recipe of configs/meld.py: the large encoder, everything trained, 8
                 epochs. Else the base is configs/quickstart.py, with the rates, the batch and the
                 context that MELD took on two cores where a corpus has an owner
  trials=N       of a search: how many
  tiny           a few dialogues, an epoch a stage, two seeds: to see that everything works

`get_config` returns what `study` makes of its fields; eacl_jax/studies/reading.py checks them.
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from configs import dailydialog, meld, quickstart
from eacl_jax.config import CORPORA as KNOWN
from eacl_jax.config import Config, EncoderConfig, parse_argument, rules
from eacl_jax.errors import UserError
from eacl_jax.files import local
from eacl_jax.files.records import build
from eacl_jax.studies.settings import flat
from eacl_jax.training.run_folder import read_config

# Whose utterances may have several labels: what variants change is of one.
SEVERAL = ("goemotions", "semeval2018", "brighter")
CORPORA = tuple(name for name in KNOWN if name not in (*SEVERAL, "custom"))
# The paper's, where the quickstart has others.
STAGE_TWO = {"stage_two.lr": 1e-4, "stage_two.epochs": 10}
# MELD with MiniLM on a CPU, in about 6 minutes: BUILD_NOTES.md, "Labels that training did not
# know".
_ON_A_CPU = {
    "prompt.max_tokens": 128,
    "prompt.max_past": 4,
    "stage_one.encoder_lr": 1e-4,
    "stage_one.head_lr": 4e-4,
    "stage_one.batch_size": 64,
    "stage_one.lr_decay": 0.5,
    **STAGE_TWO,
}
_TINY = {
    "data.max_dialogues": 16,  # with three utterances of each label at least
    "stage_one.epochs": 1,
    "stage_one.batch_size": 8,
    "stage_two.epochs": 1,
    "stage_two.batch_size": 8,
}

Settings = Mapping[str, Any]


def study(
    argument: str | None,
    *,
    name: str,
    question: str,
    axes: Mapping[str, Mapping[str, Settings]] | None = None,
    base: ConfigDict | None = None,
    corpora: Mapping[str, Settings] | None = None,
    seeds: Sequence[int] = (0, 1, 2, 3, 4),
    comparisons: Sequence[Sequence[str]] = (),
    measures: Sequence[str] | None = None,
    settings: Settings | None = None,
    corpus: str = "smalltalk",
    paper: bool = False,
    several_encoders: bool = False,
    named_corpora: bool = False,
    more_names: Mapping[str, Any] | None = None,
    **more: Any,
) -> ConfigDict:
    """A study's fields, after the argument.

    Args:
      argument: see above.
      name: short, for the title.
      question: what it is to answer, a sentence.
      axes: by axis and value, settings by dotted name. A variant is one value of each axis; the
        first is the one that others are read against. A search has none.
      base: what variants change, on each corpus alike; None: as the argument says.
      corpora: settings by corpus; None: as the argument says.
      seeds: where the argument gives none.
      comparisons: pairs of "VARIANT" or "VARIANT @ stage one".
      measures: the first is the one that counts; None: as the corpora's labels have them, with
        micro F1 first where each leaves a label out.
      settings: of every variant, by dotted name; they count more than what the argument gives, the
        corpora's too.
      corpus, paper: where the argument says nothing.
      more_names: names that the argument may have beside these, with what they are where it has
        not; see `read_argument`.
      several_encoders: whether the encoders that the argument gives are an axis, before the others.
      named_corpora: whether the study needs to know its corpora by name, so that none of a run will
        do.
      **more: other fields, see `studies.reading.read_study`.

    Raises:
      UserError: the argument is not understood.
    """
    given = read_argument(argument, **(more_names or {}))
    if base is not None and (replaced := [each for each in ("run", "paper") if given[each]]):
        raise UserError(
            f"config argument: the study {name} has a base of its own, which {replaced[0]} would"
            f" replace; leave {replaced[0]} out."
        )
    if given["run"]:
        if named_corpora or paper or corpora is not None:
            raise UserError(
                f"config argument: the study {name} is of corpora or a recipe of its own, and takes"
                " none of a run; leave run out."
            )
        base, corpora = _of_run(given)
        more["notes"] = (
            *more.get("notes", ()),
            _as_named(base, Path(given["run"]).resolve().name, axes or {}, settings or {}),
        )
    given |= {"corpus": given["corpus"] or corpus, "paper": given["paper"] or paper}
    settings = settings or {}
    if corpora is None:
        recipe = {} if base is not None or given["paper"] else _ON_A_CPU
        corpora = {
            name: {setting: value for setting, value in found.items() if setting not in settings}
            for name, found in _corpora(given["corpus"].split("+"), given["data"], recipe).items()
        }
    if base is None:
        base = (meld if given["paper"] else quickstart).get_config()
    base.update_from_flattened_dict(dict(settings))
    excluded = [c.get("evaluation.excluded_label") for c in corpora.values()]
    if (
        measures is None
        and corpora
        and all(label or base.evaluation.excluded_label for label in excluded)
    ):
        measures = ("micro_f1", "macro_f1", "weighted_f1")
    for field in ("seeds", "trials"):
        if given[field] is not None and given[field] < 1:
            raise UserError(f"config argument: {field} must be 1 or more, got {given[field]}.")
    if given["seeds"] is not None:
        seeds = range(given["seeds"])
    elif given["tiny"]:
        seeds = (0, 1)
    if given["trials"] is not None:
        if "trials" not in more:
            raise UserError(f"config argument: the study {name} has no trials.")
        more["trials"] = given["trials"]
    elif given["tiny"] and "trials" in more:
        more["trials"] = 3
    if given["dtype"]:
        base.encoder.dtype = given["dtype"]
    if several_encoders:
        axes = {"encoder": _encoders(given["encoder"], base.encoder.path), **(axes or {})}
    elif given["encoder"]:
        base.encoder.path = _encoder(given["encoder"], name)
        base.encoder.update(OF_ITS_FILES)
    if given["tiny"]:
        corpora = {corpus: {**settings, **_TINY} for corpus, settings in corpora.items()}
    # Dicts stay dicts: a ConfigDict takes no dotted names, and forgets the order.
    return ConfigDict(
        {
            "name": name,
            "question": question,
            "base": base,
            "corpora": {corpus: dict(settings) for corpus, settings in corpora.items()},
            **({"axes": {axis: dict(values) for axis, values in axes.items()}} if axes else {}),
            "seeds": tuple(seeds),
            "comparisons": [list(pair) for pair in comparisons],
            **({} if measures is None else {"measures": tuple(measures)}),
            **more,
        },
        convert_dict=False,
    )


def read_argument(argument: str | None, **more_names: Any) -> dict[str, Any]:
    """What the argument gives, by name.

    Args:
      argument: see above.
      **more_names: as `parse_argument` has them; names that the study adds, or other defaults.

    Raises:
      UserError: the argument is not understood.
    """
    texts = dict.fromkeys(("corpus", "data", "run", "encoder", "dtype"), "")
    known = {**texts, "seeds": int, "trials": int, "paper": False, "tiny": False}
    return parse_argument(argument, **{**known, **more_names})


def _of_run(given: Mapping[str, Any]) -> tuple[ConfigDict, dict[str, Settings]]:
    """The base and the only corpus of a study on what a run was trained on."""
    if beside := [name for name in ("corpus", "data", "paper") if given[name]]:
        raise UserError(
            f"config argument: run={given['run']} gives the corpus and the settings; leave"
            f" {' and '.join(beside)} out."
        )
    folder = local.expand(given["run"], "config argument: run")
    config = read_config(folder)
    corpus = config.data.corpus
    if corpus in SEVERAL or config.data.task == "multi":
        raise UserError(_several(f"the run {folder}"))
    name = folder.resolve().name if corpus == "custom" else corpus
    return ConfigDict(config.to_dict()), {name: {}}


def _as_named(
    base: ConfigDict,
    run: str,
    axes: Mapping[str, Mapping[str, Settings]],
    settings: Settings,
) -> str:
    """Gives what any variant sets the value that it has without a run, and so what had a sense only
    beside the run's value; then what the study sets for all. Else a variant that does not set what
    another one does would be what the run was, and not what it is named.

    Args:
      base: of a run; changed in place.
      run: its name.
      axes, settings: of the study.

    Returns:
      A sentence of what was replaced.
    """
    before, unread = flat(base.to_dict()), _unread(base)
    recipe = flat(quickstart.get_config().to_dict())
    recipe |= {} if base.data.corpus == "smalltalk" else _ON_A_CPU
    varied = {name for values in axes.values() for each in values.values() for name in flat(each)}

    def put(names: Iterable[str]) -> None:
        base.update_from_flattened_dict({name: recipe[name] for name in names if name in recipe})

    put(varied)
    put(_unread(base) - unread)
    base.update_from_flattened_dict(dict(settings))
    replaced = ", ".join(
        f"{name} is {after!r} (in the run {before.get(name)!r})"
        for name, after in sorted(flat(base.to_dict()).items())
        if before.get(name) != after and not _set_by_all(axes, name)
    )
    kept = f"All but what this study varies or sets is as in the run {run!r}."
    return f"{kept} Where no variant says otherwise, {replaced}." if replaced else kept


def _set_by_all(axes: Mapping[str, Mapping[str, Settings]], name: str) -> bool:
    """Whether no variant has a setting as the base has it."""
    return any(all(name in flat(each) for each in values.values()) for values in axes.values())


def _unread(base: ConfigDict) -> set[str]:
    """Settings that others contradict or leave without effect."""
    config = build(Config, base.to_dict(), "config", [])
    checks = (*rules.IMPOSSIBLE, *rules.WITHOUT_EFFECT)
    return {name for check in checks for name, _, _ in check(config)} if config else set()


def _several(what: str) -> str:
    return (
        f"config argument: an utterance of {what} may have several labels, and the variants of this"
        " study are of one."
    )


def _encoder(given: str, study: str) -> str:
    """The path of the only encoder. A folder may have a plus in its name."""
    if "+" in given and not os.path.exists(os.path.expanduser(given)):
        raise UserError(
            f"config argument: the study {study} takes one encoder, got {given!r};"
            " configs/studies/backbones.py takes several."
        )
    return given


# What holds for the files of one encoder alone, as it is where nothing is said of them.
OF_ITS_FILES = {"sha256": "", "revision": EncoderConfig().revision}


def _encoders(given: str, path_of_base: str) -> dict[str, dict[str, Any]]:
    """An axis of encoders, by the last part of their paths that says what they are; by their whole
    paths where several have the same. The base's alone where none is given.
    """
    if not given:
        return {_short(path_of_base): {}}
    paths = given.split("+")
    if twice := [path for path in paths if paths.count(path) > 1]:
        raise UserError(f"config argument: the encoder {twice[0]} is given twice.")
    names = [_short(path) for path in paths]
    return {
        name if names.count(name) == 1 else path: (
            {}
            if path == path_of_base
            else {"encoder.path": path} | {f"encoder.{key}": of for key, of in OF_ITS_FILES.items()}
        )
        for name, path in zip(names, paths, strict=True)
    }


def _short(path: str) -> str:
    return path.removesuffix("/").removesuffix("/model").rpartition("/")[2].rpartition(":")[2]


def _corpora(names: Sequence[str], folder: str, recipe: Settings) -> dict[str, dict[str, Any]]:
    """Settings by corpus; those with owners get the recipe."""
    if several := [name for name in names if name in SEVERAL]:
        raise UserError(f"{_several(several[0])} Known: {', '.join(CORPORA)}.")
    if unknown := [name for name in names if name not in CORPORA]:
        raise UserError(
            f"config argument: there is no corpus {unknown[0]!r} for studies; known:"
            f" {', '.join(CORPORA)}, and several as {'+'.join(CORPORA[1:3])}. For files of your own"
            " train one run on them, then say run=FOLDER."
        )
    if twice := [name for name in names if names.count(name) > 1]:
        raise UserError(f"config argument: the corpus {twice[0]} is given twice.")
    corpora = {}
    for name in names:
        owned = name != "smalltalk"
        corpora[name] = {
            "data.corpus": name,
            **({"data.dir": folder} if owned and folder else {}),
            **(recipe if owned else {}),
            **(dailydialog.MEASURE if name == "dailydialog" else {}),
        }
    return corpora
