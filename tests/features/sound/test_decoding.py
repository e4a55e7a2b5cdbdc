"""Sound files, as people have them, to float32 at 16 kHz."""

import io
import struct
import sys

import numpy as np
import pytest

from eacl_jax.errors import UserError
from eacl_jax.features.sound import decoding
from eacl_jax.features.sound.decoding import RATE, read_sound
from tests.stubs.sounds import noise, sine, wav

soundfile = pytest.importorskip("soundfile")
pytest.importorskip("soxr")


def encoded(sound: np.ndarray, kind: str, rate: int = RATE, subtype: str | None = None) -> bytes:
    stream = io.BytesIO()
    soundfile.write(stream, sound, rate, format=kind, subtype=subtype)
    return stream.getvalue()


def problem(source, **options) -> str:
    with pytest.raises(UserError) as raised:
        read_sound(source, **options)
    message = str(raised.value)
    assert "\n" not in message
    return message


def test_a_file_at_16_khz_is_read_as_it_is(tmp_path):
    sound = sine(200)
    (tmp_path / "a.wav").write_bytes(wav(sound))
    for source in (tmp_path / "a.wav", str(tmp_path / "a.wav"), wav(sound)):
        read = read_sound(source)
        assert read.dtype == np.float32
        np.testing.assert_allclose(read, sound, atol=1 / 2**14)


@pytest.mark.parametrize("rate", [8_000, 11_025, 22_050, 44_100, 48_000, 96_000])
def test_other_rates_become_16_khz_in_place(rate):
    """The tone stays where it is in time, and is as long."""
    read = read_sound(wav(sine(200, 5.0, rate=rate), rate))
    assert abs(len(read) - 5 * RATE) <= 1
    within = slice(RATE // 10, 4 * RATE)
    np.testing.assert_allclose(read[within], sine(200, 5.0)[within], atol=2e-3)


def test_what_16_khz_cannot_hold_is_left_out():
    assert np.abs(read_sound(wav(sine(12_000, rate=48_000), 48_000))[1000:-1000]).max() < 1e-3


@pytest.mark.parametrize("width", [1, 2, 4])
def test_samples_of_all_widths(width):
    np.testing.assert_allclose(read_sound(wav(sine(200), width=width)), sine(200), atol=0.006)


def test_channels_are_averaged():
    both = np.stack([sine(200), np.zeros(RATE, np.float32)], axis=1)
    np.testing.assert_allclose(read_sound(wav(both)), sine(200) / 2, atol=1e-4)


@pytest.mark.parametrize(
    ("kind", "subtype"), [("FLAC", None), ("MP3", None), ("OGG", "VORBIS"), ("OGG", "OPUS")]
)
def test_other_formats_whatever_their_name(kind, subtype, tmp_path):
    (tmp_path / "a.wav").write_bytes(encoded(sine(200, 2.0), kind, subtype=subtype))
    read = read_sound(tmp_path / "a.wav")
    assert abs(len(read) - 2 * RATE) < RATE / 10
    spectrum = np.abs(np.fft.rfft(read[:RATE]))
    assert spectrum.argmax() == 200


def test_silence_is_sound():
    assert not read_sound(wav(np.zeros(RATE))).any()
    assert not read_sound(wav(np.zeros(RATE), width=1)).any()


@pytest.mark.parametrize(
    ("content", "part"),
    [
        (b"", "is empty (0 bytes)"),
        (b"hello, this is no sound\n", "is text"),
        ("é".encode() * 40, "is text"),
        (b"\x89PNG\r\n\x1a\n" + bytes(50), "is a PNG picture"),
        (b"\x1aE\xdf\xa3" + bytes(50), "is WebM or Matroska"),
        (b"\0\0\0\x20ftypM4A " + bytes(50), "is MP4 or M4A"),
        (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        (bytes(100), "is no sound that is known"),
        (b"RIFF" + bytes(100), "is damaged or no sound that can be read"),
        (b"ID3\x03" + bytes(100), "is damaged or no sound that can be read"),
        (b"\xff\xfb\x90\x00" + bytes(100), "damaged"),
        (wav(np.zeros(0)), "holds no sound: its header is there"),
        (encoded(noise(3.0), "FLAC")[:20_000], "damaged"),
    ],
)
def test_what_is_no_sound_is_refused_in_a_line(content, part):
    message = problem(content, where="ann.wav")
    assert part in message or (part == "damaged" and "cut off" in message), message
    assert message.startswith("ann.wav")


def test_a_missing_file_and_a_folder(tmp_path):
    assert problem(tmp_path / "no.wav").endswith("no.wav is missing.")
    assert "is no file" in problem(tmp_path)


def test_a_wav_without_its_end_is_what_is_there():
    assert len(read_sound(wav(sine(200, 2.0))[: 44 + RATE * 2])) == RATE


def test_numbers_that_are_none():
    sound = sine(200)
    sound[7] = np.nan
    assert "no finite numbers" in problem(encoded(sound, "WAV", subtype="FLOAT"))


def test_the_header_alone_refuses_three_hours():
    """A sparse file: reading it would take longer than the test."""
    hours = bytearray(encoded(np.zeros(RATE), "FLAC"))
    # STREAMINFO's total of samples, 36 bits, ends at byte 26.
    hours[22:26] = struct.pack(">I", 3 * 3600 * RATE)
    message = problem(bytes(hours), where="long.flac")
    assert message == (
        "long.flac lasts 3 h 00 min or more, and an utterance 10 min at most; cut it into"
        " utterances."
    )


def test_a_flac_that_does_not_tell_its_length_is_refused():
    recorded = bytearray(encoded(sine(200), "FLAC"))
    recorded[21] &= 0xF0
    recorded[22:26] = bytes(4)
    assert "does not say how long it is" in problem(bytes(recorded))


def test_an_mp3_that_does_not_tell_its_length_is_not_cut_silently():
    """Without its first frame, the encoder's note: the next is a loud one's, and makes believe that
    as many bytes are less time. And two in one.
    """
    whole = encoded(np.concatenate([noise(2.0), np.zeros(18 * RATE, np.float32)]), "MP3")
    second = whole.index(whole[:2], 2)
    assert "does not say how long it is" in problem(whole[second:])
    assert "several MP3s in one" in problem(whole + whole)
    assert len(read_sound(whole + b"TAG" + bytes(125))) == len(read_sound(whole))


@pytest.mark.parametrize(
    ("rate", "channels", "part"),
    [(2**31 - 1, 1, "samples a second"), (10, 1, "samples a second"), (RATE, 500, "channels")],
)
def test_headers_that_would_make_much_of_little(rate, channels, part):
    header = bytearray(wav(np.zeros(4000)))
    header[22:24] = struct.pack("<H", channels)
    header[24:28] = struct.pack("<I", rate)
    header[32:34] = struct.pack("<H", channels * 2)
    assert part in problem(bytes(header))


def test_too_many_bytes_and_samples(monkeypatch):
    monkeypatch.setattr(decoding, "MOST_BYTES", 1000)
    assert "are read at most" in problem(wav(sine(200)))
    monkeypatch.undo()
    monkeypatch.setattr(decoding, "MOST_SAMPLES", 1000)
    assert "more than can be read at once" in problem(wav(sine(200)))


def test_without_the_packages_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "soxr", None)
    assert "pip install 'eacl_jax[audio]'" in problem(wav(sine(200)))
