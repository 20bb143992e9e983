"""A healthy server that answers one request for vectors after another with scripts of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tests.faults import Serve, Step, fine


class _InTurn(dict[str, Sequence[Step]]):
    def __init__(self, healthy: Mapping[str, Sequence[Step]], turns: Sequence[Sequence[Step]]) -> None:
        super().__init__(healthy)
        self._turns = list(turns)

    def __getitem__(self, path: str) -> Sequence[Step]:
        if path == "/api/embed" and len(self._turns) > 1:
            return self._turns.pop(0)
        return self._turns[0] if path == "/api/embed" else super().__getitem__(path)


def in_turn(*turns: Sequence[Step]) -> list[Step]:
    """Return the script of a server that answers requests for vectors with these, the last for all that follow."""
    (healthy,) = fine()
    assert isinstance(healthy, Serve)
    return [Serve(_InTurn(healthy.scripts, turns))]
