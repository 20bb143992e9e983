"""Where a name and a password in an address go, and where they never show."""

from __future__ import annotations

import traceback

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ollama_magics.errors import AddressError
from ollama_magics.secret import Secret
from ollama_magics.server.address import parse

CANARY = "hunter2canary"
MARKS = ["://", "@", ":", "/", " ", "?", "＠", "﹫", "#", "%40", '"', "'", "' ", '" ', "\\", "\n", ")", ";", ",", "=", "a"]
AROUND = st.text(max_size=8) | st.lists(st.sampled_from(MARKS), max_size=4).map("".join)
FRONTS = [
    "",
    "http://",
    "https://",
    "http：／／",
    "http:",
    "ftp://",
    "ssh:",
    "curl http://",
    "OLLAMA_HOST=",
    "export OLLAMA_HOST='",
]
BACKS = ["@h", "@h:1/api/chat", "＠h", "@", "@ two words", "@h:abc", "@[::1", "﹫h", "@h?x=1", "@llama3.2", "@h -d '{}'"]


def _everything_said(typed: str) -> str:
    try:
        address = parse(typed)
    except AddressError as error:
        return "\n".join([*traceback.format_exception(error), repr(error), repr(error.facts), error.debug])
    said = [address.typed, address.url, address.origin, address.explain(), *address.reasons]
    return "\n".join([*said, repr(address), str(address), f"{address}", f"{address.password}"])


@given(st.sampled_from(FRONTS), AROUND, AROUND, st.sampled_from(BACKS))
@example("export OLLAMA_HOST='", "", "'", "@h")
@example("curl http://", "", ")", "﹫h")
@example("curl http://", "", " -", "@h")
@example("curl http://", "@", " two", "@h")
def test_a_password_shows_in_no_text(front: str, before: str, after: str, back: str) -> None:
    """Neither the result nor an error holds it, whatever stands around it."""
    assert CANARY not in _everything_said(f"{front}me:{before}{CANARY}{after}{back}")


@pytest.mark.parametrize(
    "typed",
    [
        f"http://h/api/tags?key={CANARY}",
        f"http://h#{CANARY}",
        f"https://{CANARY}@h",
        f"curl -H 'Authorization: Bearer {CANARY}' http://h/api/chat",
        f"curl -u me:{CANARY} http://h/api/chat",
        f"curl http://h:abc -u me:{CANARY}",
        f"OLLAMA_API_KEY={CANARY} OLLAMA_HOST=h ollama serve",
        f"OLLAMA_API_KEY={CANARY} ollama serve",
        f"ollama run m {CANARY}",
    ],
)
def test_other_secrets_in_a_pasted_text_do_not_show_either(typed: str) -> None:
    """Queries, headers, options and other variables are left out of what is shown."""
    assert CANARY not in _everything_said(typed)


@pytest.mark.parametrize(
    ("typed", "username", "password"),
    [
        ("http://h", None, None),
        ("http://@h", None, None),
        ("http://me:pw@h", "me", "pw"),
        ("me:pw@h:1", "me", "pw"),
        ("http://me@h", "me", None),
        ("http://:pw@h", "", "pw"),
        ("http://me:@h", "me", ""),
        ("http://me:a%40b%3A@h", "me", "a@b:"),
        ("http://me:a@b:c@h", "me", "a@b:c"),
        ("http://me:ｐｗ：@h", "me", "ｐｗ："),
        ("curl http://me:pw@h/api/chat", "me", "pw"),
        ("http://😀:🔑@h", "😀", "🔑"),
    ],
)
def test_name_and_password_are_moved_out_unchanged(typed: str, username: str | None, password: str | None) -> None:
    """They are decoded once, and full-width signs in them stay what they are."""
    address = parse(typed)
    assert address.username == username
    assert (None if address.password is None else address.password.reveal()) == password


def test_a_secret_shows_bullets_in_every_form() -> None:
    """repr, str, format and the inside of a container never hold the text."""
    secret = Secret(CANARY)
    assert {repr(secret), str(secret), f"{secret}", f"{secret!s:4}", str([secret])[1:-1]} == {"••••"}


def test_a_secret_has_no_attributes_to_list() -> None:
    """What walks over the attributes of an object finds none."""
    assert not hasattr(Secret(CANARY), "__dict__")


def test_equal_secrets_are_equal() -> None:
    """Two addresses with one password are one address, and with another password they are not."""
    assert parse("http://me:pw@h") == parse("http://me:pw@h")
    assert len({Secret("a"), Secret("a"), Secret("b")}) == 2
    assert parse("http://me:pw@h") != parse("http://me:other@h")
