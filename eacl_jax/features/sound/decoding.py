"""Sound files -> float32, mono, 16 kHz, whatever somebody uploads: within bounds of memory and
time, and one clear line where it is no sound.
"""

import io
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from jaxtyping import Float

from eacl_jax.errors import UserError
from eacl_jax.files import local

RATE = 16_000
"""Samples a second of what is read."""
MOST_SECONDS = 600.0
MOST_BYTES = 256 * 2**20
"""Of a file."""
MOST_SAMPLES = 200_000_000
"""Of all channels, decoded: a small file may hold silence without end."""
SUFFIXES = (".wav", ".flac", ".mp3", ".ogg", ".oga", ".opus")
"""Of files that are read; which of them it is, is seen by what is in it."""

_BLOCK = 65_536  # samples of all channels at a time
_RATES = (4_000, 384_000)
_MOST_CHANNELS = 32
_MP3 = ("MPEG", "MP3")
_FORMATS = ("WAV", "WAVEX", "RF64", "FLAC", "OGG", *_MP3)
_TAGS = 4096  # bytes that may stand behind an MP3's sound
_CONVERT = "convert it to WAV or FLAC (ffmpeg -i FILE FILE.wav)"
# First bytes of what is often named or recorded so.
_OTHERS = (
    (b"\x1aE\xdf\xa3", 0, "WebM or Matroska"),
    (b"ftyp", 4, "MP4 or M4A"),
    (b"\xff\xf1", 0, "AAC"),
    (b"\xff\xf9", 0, "AAC"),
    (b"FORM", 0, "AIFF"),
    (b".snd", 0, "AU"),
    (b"NIST_1A", 0, "SPHERE"),
    (b"\x30\x26\xb2\x75", 0, "WMA"),
    (b"\x89PNG", 0, "a PNG picture"),
    (b"\xff\xd8\xff", 0, "a JPEG picture"),
    (b"GIF8", 0, "a GIF picture"),
    (b"%PDF", 0, "a PDF"),
    (b"PK\x03\x04", 0, "a ZIP archive"),
    (b"\x1f\x8b", 0, "a gzip archive"),
    (b"<", 0, "HTML or XML, as of a page that says why a download failed"),
    (b"version https://git-lfs", 0, "a pointer of Git LFS; fetch the file itself (git lfs pull)"),
)


def read_sound(
    source: str | Path | bytes, *, most_seconds: float = MOST_SECONDS, where: str = ""
) -> Float[np.ndarray, " S"]:
    """The sound of a WAV, FLAC, MP3 or Ogg (Vorbis, Opus) file; its name is not asked.

    Args:
      source: a file on a disk, or the bytes of one.
      most_seconds: longer ones are refused by what the header says, and what lasts longer than that
        as soon as it is decoded. One whose header says nothing is refused.
      where: what to call it in an error; else its path.

    Returns:
      float32, at least one sample, at 16 kHz; the mean of its channels. Full scale is 1.

    Raises:
      UserError: it is missing, empty, too large or too long, no sound, damaged or cut off (of a WAV
        or MP3 that is cut off, what is there is read); or a package is not installed.

    Of a damaged MP3 libmpg123 may print a line on standard error.
    """
    where = where or (str(source) if isinstance(source, (str, Path)) else "the sound")
    if isinstance(source, bytes):
        return _read(io.BytesIO(source), len(source), most_seconds, where)
    path = local.expand(source)
    try:
        if not path.is_file() and path.exists():
            raise UserError(f"{where} is no file.")
        with path.open("rb") as stream:
            return _read(stream, path.stat().st_size, most_seconds, where)
    except OSError as error:
        raise UserError(f"{local.unreadable(path, error)}.") from error


def _read(stream: BinaryIO, size: int, most_seconds: float, where: str) -> np.ndarray:
    if not size:
        raise UserError(f"{where} is empty (0 bytes); it holds no sound.")
    if size > MOST_BYTES:
        raise UserError(
            f"{where} has {size / 2**20:.0f} MiB, of which {MOST_BYTES / 2**20:.0f} are read at"
            " most; cut it into utterances."
        )
    _check_kind(stream.read(64), where)
    stream.seek(0)
    soundfile, soxr = _libraries()
    try:
        with soundfile.SoundFile(stream) as file:
            _check_header(file, most_seconds, where)
            resampler = soxr.ResampleStream(file.samplerate, RATE, 1, dtype="float32")
            pieces = [
                resampler.resample_chunk(block, last=last)
                for block, last in _blocks(file, most_seconds, where)
            ]
            # An MP3 without Xing's header is as long as its first frame makes
            # believe, and libsndfile stops there.
            if file.format in _MP3 and size - stream.tell() > _TAGS:
                raise UserError(
                    f"{where} does not say how long it is, or is several MP3s in one; {_CONVERT}."
                )
    except soundfile.LibsndfileError as error:
        reason = error.error_string.strip(" .")
        # What it says of an MP3 without a frame.
        reason = "" if reason.startswith("File does not exist") else f" ({reason})"
        raise UserError(
            f"{where} is damaged or no sound that can be read{reason}; {_CONVERT}."
        ) from error
    sound = np.concatenate(pieces)
    if not len(sound):
        raise UserError(f"{where} holds no sound: its header is there, and no samples.")
    if not np.isfinite(sound).all():
        raise UserError(f"{where} is damaged: some of its samples are no finite numbers.")
    return sound


def _check_kind(first: bytes, where: str) -> None:
    """Raises `UserError` where the first bytes are of something else than sound."""
    for mark, start, kind in _OTHERS:
        if first[start:].startswith(mark):
            raise UserError(
                f"{where} is {kind}, whatever its name says; expected WAV, FLAC, MP3 or Ogg:"
                f" {_CONVERT}."
            )
    if first[:4] in (b"RIFF", b"RF64", b"fLaC", b"OggS") or first[:3] == b"ID3":
        return
    if first[:1] == b"\xff" and first[1:2] >= b"\xe0":
        return
    kind = "text" if _is_text(first) else "no sound that is known"
    raise UserError(f"{where} is {kind}, whatever its name says; expected WAV, FLAC, MP3 or Ogg.")


def _is_text(first: bytes) -> bool:
    try:
        text = first.decode()
    except UnicodeDecodeError as error:
        if error.end < len(first):
            return False
        text = first[: error.start].decode()
    return all(each.isprintable() or each.isspace() for each in text)


def _check_header(file: Any, most_seconds: float, where: str) -> None:
    """Raises `UserError` where the header alone tells that it is too much or something else."""
    rate, channels = file.samplerate, file.channels
    if file.format not in _FORMATS:
        raise UserError(f"{where} is {file.format}; {_CONVERT}.")
    if not _RATES[0] <= rate <= _RATES[1]:
        raise UserError(
            f"{where} has {rate} samples a second, by its header; expected {_RATES[0]} to"
            f" {_RATES[1]}."
        )
    if channels > _MOST_CHANNELS:
        raise UserError(
            f"{where} has {channels} channels, by its header; {_MOST_CHANNELS} are read at most."
        )
    if file.frames >= 2**62:  # as of a FLAC that a program wrote while it recorded
        raise UserError(f"{where} does not say how long it is; {_CONVERT}.")
    _check_length(file.frames, file, most_seconds, where)


def _check_length(frames: int, file: Any, most_seconds: float, where: str) -> None:
    seconds = frames / file.samplerate
    if seconds > most_seconds:
        raise UserError(
            f"{where} lasts {_spoken(seconds)} or more, and an utterance {_spoken(most_seconds)} at"
            " most; cut it into utterances."
        )
    if frames * file.channels > MOST_SAMPLES:
        raise UserError(
            f"{where} has {file.channels} channels of {_spoken(seconds)} at {file.samplerate}"
            f" samples a second, more than can be read at once; {_CONVERT[:-1]} with fewer."
        )


def _blocks(file: Any, most_seconds: float, where: str) -> Iterator[tuple[np.ndarray, bool]]:
    """Mono, piece by piece, and whether it is the last."""
    frames = max(_BLOCK // file.channels, 1)
    share = np.full(file.channels, 1 / file.channels, np.float32)
    read = 0
    while True:
        block = file.read(frames, dtype="float32", always_2d=True)
        read += len(block)
        _check_length(read, file, most_seconds, where)
        with np.errstate(over="ignore", invalid="ignore"):
            mono = block @ share
        yield mono, len(block) < frames
        if len(block) < frames:
            break
    if read < file.frames and file.format not in _MP3:  # whose own count is an estimate
        raise UserError(
            f"{where} is cut off: its header says {_spoken(file.frames / file.samplerate)}, and"
            f" {_spoken(read / file.samplerate)} are there; copy or make it again."
        )


def _spoken(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes = math.floor(seconds / 60)
    return f"{minutes // 60} h {minutes % 60:02d} min" if minutes >= 60 else f"{minutes} min"


def check_libraries() -> None:
    """Raises `UserError` where a package is missing, without which no sound can be read."""
    _libraries()


def _libraries() -> tuple[Any, Any]:
    """soundfile and soxr, which only sound needs."""
    try:
        import soundfile
        import soxr
    except (ImportError, OSError) as error:  # OSError: libsndfile is not there
        raise UserError(
            f"to read sound, install the packages for it: pip install 'eacl_jax[audio]' ({error})."
        ) from error
    return soundfile, soxr
