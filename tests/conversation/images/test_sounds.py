"""Sounds: recognised by their bytes, sent to a model that hears, and to no other."""

from __future__ import annotations

import base64
import io
import os
import wave
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import ollama_magics as om
from ollama_magics.conversation import sounds
from ollama_magics.conversation.sounds import Sound
from ollama_magics.errors import OllamaMagicsError
from ollama_magics.fake_server.server import FakeServer
from tests.faults import FaultServer, fine, whole


def wav(seconds: float = 0.5) -> bytes:
    """Return a WAV file of silence."""
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(bytes(int(16_000 * seconds)))
    return buffer.getvalue()


PICTURE = base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4z8AAAAMBAQDJ/pLvAAAAAElFTkSuQmCC")
MP3 = b"\xff\xfb\x90\x64" + bytes(413)


def failure(act: Callable[[], object]) -> OllamaMagicsError:
    """Return the error of an act."""
    with pytest.raises(OllamaMagicsError) as caught:
        act()
    return caught.value


@pytest.fixture
def hearing(stand_in: FakeServer) -> FakeServer:
    """Use a stand-in that has a model that hears."""
    stand_in.install("ears", "completion", "audio")
    om.configure(base_url=stand_in.url, model="ears")
    return stand_in


def chats(server: FakeServer) -> list[dict[str, Any]]:
    """Return the bodies of the chats."""
    return [body for _, path, body in server.requests if path == "/api/chat" and body]


KINDS = {
    "WAV": wav(),
    "RF64": b"RF64\xff\xff\xff\xffWAVEds64",
    "MP3": b"ID3\x04",
    "AAC": b"\xff\xf1\x50\x80",
    "FLAC": b"fLaC\0",
    "Ogg": b"OggS\0",
    "M4A": b"\0\0\0\x20ftypM4A \0\0",
    "AIFF": b"FORM\0\0\0\0AIFF",
    "WMA": b"\x30\x26\xb2\x75\x8e\x66\xcf\x11",
    "AMR": b"#!AMR\n",
}
NONE = [
    b"",
    b"RIFF\0\0\0\0WEBP",
    b"\xff\xd8\xff\xe0",
    b"\xff\xfe" + "text".encode("utf-16-le"),
    b"\0\0\0\x20ftypavif",
    b"FORM\0\0\0\0ILBM",
]


def test_sounds_are_known_by_their_bytes() -> None:
    """And pictures, films and texts are none."""
    assert {name: sounds.kind_of(data) for name, data in KINDS.items()} == {name: name for name in KINDS}
    assert sounds.kind_of(MP3) == "MP3"
    assert [sounds.kind_of(data) for data in NONE] == [""] * len(NONE)


def test_a_sound_goes_to_a_model_that_hears(hearing: FakeServer, tmp_path: Path) -> None:
    """As it is, among the pictures, whatever its name; a line below the answer says what it was."""
    (tmp_path / "speech.png").write_bytes(wav())
    reply = om.chat("What is said?", images=[tmp_path / "speech.png", MP3])
    assert reply.text.startswith(f"I hear {len(wav())} bytes of sound and")
    assert [base64.b64decode(text) for text in chats(hearing)[0]["messages"][0]["images"]] == [wav(), MP3]
    assert reply.notes == ["speech.png: WAV, 0.5 s", "images[1]: MP3, 0.0 MB"]
    assert isinstance(reply.images[0], Sound)
    assert "img" not in reply._repr_mimebundle_()[0]["text/html"]


def test_a_sound_goes_to_no_other_model(hearing: FakeServer) -> None:
    """It would end the server of one that sees; a server that lists nothing is not asked either."""
    for model in ("sandbox-vision", "sandbox-chat"):
        error = failure(lambda model=model: om.chat("What?", model=model, images=wav()))  # type: ignore[misc]
        assert (error.code, "ears" in str(error)) == ("model-not-able", True)
    om.configure(vision="yes")
    assert failure(lambda: om.chat("What?", model="sandbox-vision", images=wav())).code == "model-not-able"
    assert chats(hearing) == []
    with FaultServer(fine(show=whole({"model_info": {}}))) as silent:
        om.configure(base_url=silent.url, model="m")
        assert failure(lambda: om.chat("What?", images=wav())).code == "model-not-able"
        assert "/api/chat" not in silent.paths()


def test_a_model_is_found_that_hears(hearing: FakeServer) -> None:
    """Where none is named; for a picture and a sound it must do both."""
    om.configure(model="")
    assert om.chat("What?", images=wav()).model == "ears"
    assert failure(lambda: om.chat("What?", images=[wav(), PICTURE])).code == "model-not-able"
    assert hearing.requests


def test_earlier_sounds_are_left_out_for_a_model_that_does_not_hear(hearing: FakeServer) -> None:
    """Which is reported; a picture of the same turn stays for one that sees."""
    hearing.install("both", "completion", "audio", "vision")
    chat = om.Conversation()
    assert om.chat("What?", model="both", images=[wav(), PICTURE], conversation=chat).text
    seen = om.chat("And now?", model="sandbox-vision", conversation=chat)
    assert seen.text
    assert "does not hear" in seen.notes[0]
    assert len(chats(hearing)[-1]["messages"][0]["images"]) == 1
    assert om.chat("And now?", model="ears", conversation=chat).text
    assert [base64.b64decode(text) for text in chats(hearing)[-1]["messages"][0]["images"]] == [wav()]


def test_sounds_that_cannot_be_heard_are_refused(hearing: FakeServer, tmp_path: Path) -> None:
    """Another format with the line that converts it, one that is cut, and one of 2 GB, which is not read."""
    with (tmp_path / "large.wav").open("wb") as file:
        file.write(wav())
    os.truncate(tmp_path / "large.wav", 2**31)  # takes no space on the disk
    given: list[tuple[Any, str]] = [
        *((data, "sound-format") for name, data in KINDS.items() if name not in ("WAV", "MP3")),
        (wav()[:-100], "sound-broken"),
        (wav()[:30], "sound-broken"),
        (wav(0), "sound-broken"),
        (tmp_path / "large.wav", "picture-too-large"),
    ]
    found = [failure(lambda what=what: om.chat("What?", images=[what])) for what, _ in given]  # type: ignore[misc]
    (tmp_path / "large.wav").unlink()  # the files of all tests are searched for keys
    assert [error.code for error in found] == [code for _, code in given]
    assert "ffmpeg" in found[1].remedy
    assert "2.1 GB; the limit is 64 MB" in found[-1].how_we_know
    assert chats(hearing) == []


@pytest.mark.release("0.24.0")
@pytest.mark.usefixtures("hearing")
def test_an_older_server_hears_wav_only() -> None:
    """It takes an MP3 for a picture, and ends."""
    assert om.chat("What?", images=wav()).text
    error = failure(lambda: om.chat("What?", images=MP3))
    assert (error.code, "0.24.0 takes WAV only" in error.how_we_know) == ("sound-format", True)


def test_rows_bring_sounds(hearing: FakeServer, tmp_path: Path) -> None:
    """The first row says what the model must be able to do; a picture between them is the error of its row."""
    (tmp_path / "a.wav").write_bytes(wav())
    column = [str(tmp_path / "a.wav"), PICTURE, wav(1)]
    rows = om.map({"what": column}, "What is said?", images="what", store=False)
    assert [reply.startswith("I hear") if reply else reply for reply in rows["reply"]] == [True, None, True]
    assert rows["error"][1].startswith("model-not-able")
    om.configure(model="sandbox-vision")
    assert failure(lambda: om.map({"what": column}, "What is said?", images="what")).code == "model-not-able"
    rows = om.map({"what": column[1:]}, "What is it?", images="what", store=False)
    assert rows["error"][1].startswith("model-not-able")
    assert len(chats(hearing)) == 3
