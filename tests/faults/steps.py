"""The steps a script is made of, as data that can do itself, and no scripts."""

from __future__ import annotations

import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from tests.faults.connection import Connection, EndError


class Step(Protocol):
    """Something that is done on a connection; raises EndError where nothing can follow."""

    def run(self, connection: Connection) -> None:
        """Do it."""


@dataclass(frozen=True)
class Receive:
    """Read one whole request."""

    def run(self, connection: Connection) -> None:
        """Do it."""
        connection.receive()


@dataclass(frozen=True)
class Tls:
    """Speak TLS from here on; the connection ends where the other side refuses."""

    context: ssl.SSLContext

    def run(self, connection: Connection) -> None:
        """Do it."""
        connection.start_tls(self.context)


@dataclass(frozen=True)
class Send:
    """Send bytes as they are."""

    data: bytes

    def run(self, connection: Connection) -> None:
        """Do it."""
        connection.send(self.data)


@dataclass(frozen=True)
class Slices:
    """Send bytes one by one, each in a packet of its own."""

    data: bytes

    def run(self, connection: Connection) -> None:
        """Do it."""
        for position in range(len(self.data)):
            connection.send(self.data[position : position + 1])


@dataclass(frozen=True)
class Drip:
    """Send bytes one by one, with so many seconds before each, for ever from the start again with ``endless``."""

    data: bytes
    seconds: float
    endless: bool = False

    def run(self, connection: Connection) -> None:
        """Do it."""
        while True:
            for position in range(len(self.data)):
                if connection.ending.wait(self.seconds):
                    raise EndError
                connection.send(self.data[position : position + 1])
            if not self.endless:
                return


@dataclass(frozen=True)
class Flood:
    """Send the same bytes again and again, as fast as the other side reads, until it leaves."""

    data: bytes

    def run(self, connection: Connection) -> None:
        """Do it."""
        block = self.data * (1 + 65536 // len(self.data))
        while not connection.ending.is_set():
            connection.send(block)


@dataclass(frozen=True)
class Piece:
    """Send bytes as one chunk of a chunked answer."""

    data: bytes

    def run(self, connection: Connection) -> None:
        """Do it."""
        connection.send(b"%x\r\n%b\r\n" % (len(self.data), self.data))


@dataclass(frozen=True)
class Lines:
    """Send so many lines of a chat answer, "0 ", "1 " and so on, none of them the last."""

    count: int

    def run(self, connection: Connection) -> None:
        """Do it."""
        for number in range(self.count):
            connection.send(b'{"model":"m","message":{"role":"assistant","content":"%d "},"done":false}\n' % number)


@dataclass(frozen=True)
class Wait:
    """Do nothing for some seconds."""

    seconds: float

    def run(self, connection: Connection) -> None:
        """Do it."""
        connection.ending.wait(self.seconds)


@dataclass(frozen=True)
class Hold:
    """Keep the connection open, and say nothing until the other side leaves."""

    def run(self, connection: Connection) -> None:
        """Do it."""
        connection.wait_for_hang_up()
        raise EndError


@dataclass(frozen=True)
class Close:
    """Close the connection in the ordinary way."""

    def run(self, _: Connection) -> None:
        """Do it."""
        raise EndError


@dataclass(frozen=True)
class Reset:
    """Close the connection with a reset."""

    def run(self, connection: Connection) -> None:
        """Do it."""
        connection.reset()
        raise EndError


@dataclass(frozen=True)
class Serve:
    """Receive request after request, and answer each with the script of its path."""

    scripts: Mapping[str, Sequence[Step]]

    def run(self, connection: Connection) -> None:
        """Do it."""
        while True:
            for step in self.scripts[connection.receive().path]:
                step.run(connection)
