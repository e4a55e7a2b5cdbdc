"""Trains both stages into a run's folder: `python launch/train.py --config=configs/meld.py --workdir=runs/meld`."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # configuration files import `configs.base`

from eacl_jax.cli import process  # noqa: E402

if __name__ == "__main__":
    process.start()  # before the imports that take their time

from absl import app, flags  # noqa: E402

from eacl_jax.cli import compiled, configuration, huge_pages, process  # noqa: E402

CONFIG = configuration.define_config()
WORKDIR = flags.DEFINE_string("workdir", None, "The run's folder; made if absent.", required=True)
PROFILE = flags.DEFINE_integer("profile", 0, "Trace so many steps of stage one into --workdir's profile/.", lower_bound=0)
RESUME = flags.DEFINE_bool("resume", True, "Go on with a run of the same configuration that is in --workdir.")
flags.mark_flag_as_required("config")


@process.guarded
def main(_: list[str]) -> None:
    from eacl_jax.training import run

    config = configuration.read_config(CONFIG)
    compiled.keep_compiled(config.data)
    run.train(config, Path(WORKDIR.value).expanduser(), resume=RESUME.value, profile=PROFILE.value)


if __name__ == "__main__":
    huge_pages.use_huge_pages()
    process.run(lambda: app.run(main, flags_parser=configuration.parse_flags))
