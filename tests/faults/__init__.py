"""A server that misbehaves by script, over real sockets, for the tests of what we do then."""

from tests.faults.answers import CHUNKED, LINES, chunk, fine, refusing, whole
from tests.faults.server import FaultServer, Request
from tests.faults.steps import Close, Drip, Flood, Hold, Lines, Piece, Receive, Reset, Send, Serve, Slices, Step, Tls, Wait

__all__ = [
    "CHUNKED",
    "LINES",
    "Close",
    "Drip",
    "FaultServer",
    "Flood",
    "Hold",
    "Lines",
    "Piece",
    "Receive",
    "Request",
    "Reset",
    "Send",
    "Serve",
    "Slices",
    "Step",
    "Tls",
    "Wait",
    "chunk",
    "fine",
    "refusing",
    "whole",
]
