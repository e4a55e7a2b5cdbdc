"""What a card says of the features that a recognizer reads beside the text."""

from eacl_jax.features.modality import Modality
from eacl_jax.recognizer.folder import Settings
from eacl_jax.recognizer.markdown import code, plain

_FUSIONS = {
    "gated": (
        "they are added to the encoding of the text, each modality by a gate of its own that the"
        " text and the features open"
    ),
    "concat": "one layer reads them together with the encoding of the text",
    "attention": (
        "an attention over the text and the modalities says how much each of them counts"
    ),
    "words": (
        'they stand as words behind the text, as "(loud, high)": numbers in the upper and the lower'
        " third of the training utterances', of the speaker's own where these are enough"
    ),
}
# Its licence is none that lets everybody use what it makes.
_EGEMAPS = (
    "The features are openSMILE's eGeMAPS. openSMILE is free for private, research and educational"
    " use only, and commercial use needs a licence of audEERING's; ask before you extract them for"
    " anything else."
)


def features_section(settings: Settings) -> str:
    """The section "Features"; empty for a recognizer of texts alone."""
    modalities = settings.modalities
    if not modalities:
        return ""
    rows = [
        f"- **{plain(name)}**: {_numbers(each)}{_made_by(each)}"
        for name, each in modalities.items()
    ]
    example = ", ".join(
        f'"{name}": [{", ".join(["0.1"] * min(each.width, 2))}{", ..." * (each.width > 2)}]'
        for name, each in modalities.items()
    )
    without = (
        "An utterance without them is answered by its text; so is one that lacks some of them, by"
        " what it has."
        if settings.reads_text
        else "It reads no text: an utterance without any of them has nothing to be answered by, and"
        " its answer (marked `unknown_text`) says nothing."
    )
    fusion = "they alone count, not the text"
    if settings.reads_text:
        fusion = _FUSIONS[settings.features.fusion]
    elif len(modalities) > 1:
        fusion += f" (fusion {settings.features.fusion})"
    beside = "Beside the text it reads" if settings.reads_text else "It reads"
    given = f'{{"features": {{{example}}}}}'
    licence = _EGEMAPS if any(_is_egemaps(each) for each in modalities.values()) else ""
    parts = [
        "## Features",
        f"{beside} numbers of each utterance: {fusion}. They must be made as those"
        " that it was trained on; it standardizes them itself, so give them as they are made.",
        "\n".join(rows),
        f"Given with an utterance as {code(given)}, null for a number that is not known. {without}",
        licence,
    ]
    return "\n\n".join(filter(None, parts))


def read_beside(settings: Settings) -> str:
    """What it reads, for the sentence on its limits."""
    names = " and ".join(map(plain, settings.modalities))
    if not names:
        return "text alone, no voice or face"
    what = f"{names} as numbers; sound itself only where these are made of it here"
    return what if not settings.reads_text else f"text, and {what}"


def _numbers(modality: Modality) -> str:
    each = "numbers" if modality.width > 1 else "number"
    frames = (
        f", in up to {modality.frames} frames an utterance (of more, the last)"
        if modality.frames > 1
        else " an utterance"
    )
    columns = f": {', '.join(map(code, modality.columns))}" if modality.columns else ""
    return f"{modality.width} {each}{frames}{columns}"


def _made_by(modality: Modality) -> str:
    if modality.made_by:
        return f"; made by {code(modality.made_by)}."
    return "; what made them is not known here."


def _is_egemaps(modality: Modality) -> bool:
    made = modality.made_by.casefold()
    return "opensmile" in made or "egemaps" in made
