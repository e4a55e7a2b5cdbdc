"""What a card says of the corpora that this project reads, and of their licences."""

from typing import NamedTuple


class About(NamedTuple):
    """What this project knows of a corpus. `language`: its code, empty where nobody knows."""

    text: str
    language: str
    licence: str


_ASK = "this project does not know its terms for models trained on it; ask its owners"
CORPORA = {
    "smalltalk": About(
        "smalltalk, invented everyday conversations in text", "en", "CC0 1.0, says its data card"
    ),
    "meld": About("MELD, dialogues of a television series", "en", _ASK),
    "emorynlp": About("EmoryNLP, scenes of a television series", "en", _ASK),
    "iemocap": About(
        "IEMOCAP, acted dialogues of two people",
        "en",
        "given to each user by its owners; ask them what it says of models",
    ),
    "dailydialog": About(
        "DailyDialog, everyday dialogues written for learners of English", "en", _ASK
    ),
    "goemotions": About(
        "GoEmotions, comments of an internet forum (github.com/google-research/google-research)",
        "en",
        "Apache-2.0, says its data card; the comments are their writers'",
    ),
    "semeval2018": About(
        "SemEval-2018 Task 1 E-c, English tweets (competitions.codalab.org/competitions/17751)",
        "en",
        "its README asks to cite its paper and not to pass the data on, and says nothing of models;"
        " ask its owners",
    ),
    "brighter": About(
        "BRIGHTER, the data of SemEval-2025 Task 11, texts in one language of 28"
        " (github.com/emotion-analysis-project/SemEval2025-Task11)",
        "",
        "CC BY 4.0, says its data card",
    ),
    "custom": About("a corpus of one's own", "", "known to those who trained the model; ask them"),
}
