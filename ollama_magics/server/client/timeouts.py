"""How long a request may take, step by step."""

from __future__ import annotations

from dataclasses import dataclass

import httpx

from ollama_magics.server.address.reading import Address


@dataclass(frozen=True)
class Timeouts:
    """Seconds to connect (at most 2 on this machine), to the first byte of an answer, and between two of its parts."""

    connect: float = 5
    first_token: float = 600
    idle: float = 120
    metadata: float = 10

    def for_request(self, address: Address, first: float) -> httpx.Timeout:
        """Return the limits up to the first byte of an answer."""
        return httpx.Timeout(connect=self.connecting(address), read=first, write=max(60, self.idle), pool=self.connect)

    def connecting(self, address: Address) -> float:
        """Return the limit for a connection."""
        return min(self.connect, 2) if address.is_loopback else self.connect
