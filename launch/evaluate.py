"""Scores a finished run again: `python launch/evaluate.py --run=runs/meld --split=test`."""

from absl import app, flags

from eacl_jax import allocator, command

RUN = flags.DEFINE_string("run", None, "A finished run's folder.", required=True)
SPLIT = flags.DEFINE_enum("split", "test", ["train", "dev", "test"], "Which split.")
DATA = flags.DEFINE_string("data_dir", "", "Where the corpus' files are, if no longer where the run found them.")


@command.guarded
def main(_: list[str]) -> None:
    from rich.console import Console

    from eacl_jax import evaluation, files, run_folder

    folder = files.expanded(RUN.value, "--run")
    command.keep_compiled(run_folder.read_config(folder).data)
    scores = evaluation.evaluate(folder, SPLIT.value, data_dir=DATA.value)
    evaluation.print_scores(folder, SPLIT.value, scores, Console())


if __name__ == "__main__":
    allocator.use_huge_pages()
    app.run(main, flags_parser=command.parse_flags)
