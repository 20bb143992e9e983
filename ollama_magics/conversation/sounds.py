"""Recognise sounds by their bytes, and check those that a model can hear."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field

from ollama_magics.conversation.notes import Note
from ollama_magics.errors import PictureProblem
from ollama_magics.messages import Phrase

_HEAD = 64  # bytes that tell what a file is
_MOST_RIFF_SIZE = 0xFFFFFFFF  # what a program writes that does not know the size yet
_LEAST_FORMAT = 16  # bytes of a format chunk
_SIGNATURES = ((b"fLaC", "FLAC"), (b"OggS", "Ogg"), (b"FORM", "AIFF"), (b"#!AMR", "AMR"), (b".snd", "AU"), (b"MThd", "MIDI"))
_BRANDS = (b"M4A ", b"M4B ", b"F4A ")
_WMA = b"\x30\x26\xb2\x75\x8e\x66\xcf\x11"
_LAYER, _BITRATE, _RATE = 0x06, 0xF0, 0x0C  # bits of an MPEG frame


@dataclass(frozen=True, slots=True)
class Sound:
    """A WAV or MP3 file as it is sent; ``seconds`` is its length, 0 where that is not known without decoding."""

    data: bytes = field(repr=False)
    kind: str
    source: str
    seconds: float = 0.0
    notes: tuple[Note, ...] = ()  # nothing of a sound is lost or converted

    @property
    def base64(self) -> str:
        """The bytes as Ollama takes them, among the pictures: Base64 text."""
        return base64.b64encode(self.data).decode("ascii")

    @property
    def summary(self) -> Note:
        """What is shown below the answer: its name, format and length."""
        length = f"{self.seconds:.1f} s" if self.seconds else f"{len(self.data) / 1e6:.1f} MB"
        return Note(Phrase("sound_sent", source=self.source, kind=self.kind, length=length), loses=False)


def kind_of(data: bytes) -> str:
    """Return the format of a sound, such as ``WAV``, by the beginning of its bytes; empty for what is none."""
    if data[:4] in (b"RIFF", b"RF64", b"BW64") and data[8:12] == b"WAVE":
        return "WAV" if data[:4] == b"RIFF" else "RF64"
    if data[:3] == b"ID3" or _is_mpeg_frame(data):
        return "MP3"
    if data[:2] in (b"\xff\xf1", b"\xff\xf9"):
        return "AAC"
    if data[4:8] == b"ftyp" and data[8:12] in _BRANDS:
        return "M4A"
    if data[:4] == b"FORM" and data[8:11] != b"AIF":
        return ""
    return "WMA" if data.startswith(_WMA) else next((kind for mark, kind in _SIGNATURES if data.startswith(mark)), "")


def is_sound(text: str) -> bool:
    """Return whether Base64 text, as it is sent, is that of a sound."""
    return bool(kind_of(base64.b64decode(text[: 4 * _HEAD])))


def ability(is_heard: bool) -> str:  # noqa: FBT001 - it is the question
    """Return what a model must be able to do for a sound, or for a picture."""
    return "audio" if is_heard else "vision"


def from_bytes(data: bytes, source: str) -> Sound:
    """Return a sound that a model can hear; raises PictureProblem (sound-format, sound-broken)."""
    kind = kind_of(data)
    if kind not in ("WAV", "MP3"):
        raise PictureProblem("sound-format", source=source, kind=kind, reason=Phrase("sound_formats"))
    return Sound(data, kind, source, _wav_seconds(data, source) if kind == "WAV" else 0.0)


def _is_mpeg_frame(data: bytes) -> bool:
    """Return whether bytes begin like a frame of an MP3, or of its elder brother, with no reserved version or rate.

    Layer I, which nobody uses, would take the mark of a UTF-16 text for a frame.
    """
    if len(data) < 4 or data[0] != 0xFF or data[1] & 0xE0 != 0xE0:
        return False
    is_reserved = data[1] & 0x18 == 0x08 or data[1] & _LAYER not in (0x02, 0x04)
    return not is_reserved and data[2] & _BITRATE != _BITRATE and data[2] & _RATE != _RATE


def _wav_seconds(data: bytes, source: str) -> float:
    """Return the length of a WAV file; raises PictureProblem where it has no format or no samples, or is cut."""
    place, rate = 12, 0
    while place + 8 <= len(data):
        name, size = data[place : place + 4], int.from_bytes(data[place + 4 : place + 8], "little")
        place += 8
        if name == b"fmt " and size >= _LEAST_FORMAT:
            rate = int.from_bytes(data[place + 8 : place + 12], "little")  # bytes a second
        if name == b"data" and rate:
            here = len(data) - place
            size = here if size in (0, _MOST_RIFF_SIZE) else size  # a stream, whose length was not known
            if not here or size > here:
                break
            return size / rate
        place += size + size % 2
    raise PictureProblem("sound-broken", source=source)
