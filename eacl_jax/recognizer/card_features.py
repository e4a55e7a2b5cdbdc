"""What a card says of the features that a recognizer reads beside the text."""

from eacl_jax.features.modality import Modality
from eacl_jax.recognizer.folder import Settings
from eacl_jax.recognizer.markdown import code, plain

_FUSIONS = {
    "gated": (
        "they are added to the encoding of the text, each modality by a gate that the"
        " text and the features open"
    ),
    "concat": "one layer reads them together with the encoding of the text",
    "attention": (
        "an attention over the text and the modalities says how much each of them counts"
    ),
    "words": (
        'they stand as words behind the text, as "(loud, high)": numbers in the upper and the lower'
        " third of the training utterances', of the speaker's where these are enough"
    ),
}
# More numbers than these are not shown one by one.
_LISTED = 12
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
        f"- **{plain(name)}**: {_numbers(each, bool(settings.thirds))}{_made_by(each)}"
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
    names = _names(settings)
    if not names:
        return "text alone, no voice or face"
    what = f"{names} as numbers; sound itself only where these are made of it here"
    return what if not settings.reads_text else f"text, and {what}"


def told_from(settings: Settings) -> str:
    """What answers are made from, after "the emotion of each utterance of a conversation"."""
    if not settings.reads_text:
        return f"from its {_names(settings)} alone, not from its text"
    past, future = settings.prompt.max_past, settings.prompt.max_future
    later = f" and up to {future} after it" if future else ""
    return f"from the utterance and up to {past} before it{later}"


def built_on(settings: Settings, encoder: str, architecture: str) -> str:
    """What the encoder does, in a sentence; its name and architecture are Markdown."""
    if settings.reads_text:
        return f"It builds on {encoder} (architecture {architecture}), fine-tuned."
    read = "the labels' words alone" if settings.made_of_words else "nothing"
    return f"Its encoder, {encoder} (architecture {architecture}), reads {read}."


def on_context(settings: Settings) -> str:
    """What an answer depends on, in sentences on its limits."""
    if settings.reads_text:
        depends = (
            ": an answer depends on who said what before; leave utterances out or mix up speakers,"
            " and it may change"
        )
    elif settings.chain is not None:
        depends = ": an answer depends on the features of its utterance, and by its chain on others"
    else:
        depends = " does not count: an answer depends on the features of its utterance alone"
    return f"- **Context**{depends}. It reads\n  {read_beside(settings)}."


def on_kinds(settings: Settings, seen: str) -> str:
    """What it was measured on, in sentences on its limits; `seen` is the corpus."""
    if settings.reads_text:
        return (
            f"- **Language and register** are those of {seen}. Other languages, dialects, times and"
            " kinds of text were not measured."
        )
    return (
        f"- **Speakers and recordings** are those of {seen}. Other people, languages and"
        " circumstances were not measured."
    )


def asked_with(settings: Settings) -> str:
    """A Python expression of what may be predicted: a text, or features where these alone count."""
    if settings.reads_text:
        return '"Ann: We got the flat!\\nBen: What? You\'re joking!"'
    features = ", ".join(f'"{name}": {_mean(each)}' for name, each in settings.modalities.items())
    return f'[{{"speaker": "Ann", "text": "We got the flat!", "features": {{{features}}}}}]'


def _mean(modality: Modality) -> str:
    """Of the training utterances, as Python."""
    if modality.width > _LISTED:
        return f"[0.0] * {modality.width}"
    return f"[{', '.join(f'{number:.4g}' for number in modality.mean)}]"


def _names(settings: Settings) -> str:
    return " and ".join(map(plain, settings.modalities))


def _numbers(modality: Modality, in_words: bool) -> str:
    each = "numbers" if modality.width > 1 else "number"
    frames = (
        ", the mean over all frames of an utterance"
        if in_words and modality.frames > 1
        else f", in up to {modality.frames} frames an utterance (of more, the last)"
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
