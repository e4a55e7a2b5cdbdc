"""What the first line of a program waits for."""

import subprocess
import sys

SLOW = (
    "torch",
    "sklearn",
    "transformers",
    "tensorflow_datasets",
    "tensorboardX",
    "grain",
    "orbax",
    "scipy.optimize",
    "pandas",
)


def test_importing_the_recognizer_does_not_wait_for_what_predicting_does_without() -> None:
    script = (
        f"import sys; from eacl_jax import EmotionRecognizer; print(sorted({set(SLOW)} &"
        " set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"
