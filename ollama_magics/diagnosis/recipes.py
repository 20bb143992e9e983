"""What to type on the machine of the server, for its system, the narrow way first."""

from __future__ import annotations

from ollama_magics.diagnosis.surroundings import Surroundings
from ollama_magics.messages import Joined, Phrase


def start(around: Surroundings) -> Phrase:
    """Return how Ollama is started on the machine of this kernel."""
    system = around.host_system if around.host_system in ("mac", "windows") else "linux"
    return Joined([Phrase(f"start_{system}"), Phrase("start_none")])


def bind(around: Surroundings) -> Phrase:
    """Return how Ollama is made to listen to more than its own machine, and what that risks."""
    systems = {"desktop": ("mac", "windows")}.get(around.host_system, (around.host_system,))
    return Joined([Phrase("bind_warning"), *(Phrase(f"bind_{system}") for system in systems)])


def docker(around: Surroundings) -> Phrase:
    """Return how a container reaches the machine around it."""
    if around.place == "kubernetes":
        return Phrase("kubernetes_service")
    if around.place == "podman":
        return Joined([Phrase("docker_podman"), Phrase("docker_narrow")])
    if around.host_system in ("desktop", "mac", "windows"):
        return Joined([Phrase("docker_desktop"), bind(around)])
    return Joined([Phrase("docker_linux"), Phrase("docker_narrow")])
