"""Simulated situations: what is wrong on a machine, what is checked, and the error code that must come first."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

from ollama_magics.diagnosis.environment import Environment
from ollama_magics.diagnosis.report import CheckRequest
from ollama_magics.secret import Secret
from tests.diagnosis.certificates import certificate, tls_server
from tests.faults import Close, FaultServer, Hold, Receive, Reset, Send, Serve, Step, fine, whole

HTML = "text/html"
ROUTE = "Iface\tDestination\tGateway\tFlags\neth0\t00000000\t0100007F\t0003\n"  # the gateway is 127.0.0.1
ISSUER = "WWW-Authenticate: Basic realm=x\r\n"
REQUEST_TO_TLS = b"Client sent an HTTP request to an HTTPS server.\n"


@dataclass
class Machine:
    """A machine as a situation sets it up; closing ``ends`` removes it."""

    ends: ExitStack
    url: str = ""
    environ: dict[str, str] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)
    modules: set[str] = field(default_factory=set)
    names: dict[str, list[str] | OSError] = field(default_factory=dict)
    system: str = "linux"
    port: int = 0
    proxy: dict[str, str] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)  # of the check
    trusts: bool = False
    programs: dict[str, str] = field(default_factory=dict)

    def serve(self, script: Sequence[Step], *, host: str = "127.0.0.1", port: int = 0) -> int:
        """Run a server and return its port; the first one is what the user typed."""
        server = FaultServer(script, port=port) if host == "127.0.0.1" else _Server6(script, port)
        self.ends.enter_context(server)
        self.url = self.url or server.url
        return server.port

    def environment(self) -> Environment:
        """Return what the check may read."""
        port = self.port or closed_port()
        read, run = (lambda path: self.files.get(path, "")), (lambda *words: self.programs.get(" ".join(words), ""))
        return Environment(self.environ, read, self.modules, self.system, self._resolve, port, run)

    def request(self) -> CheckRequest:
        """Return what the check is to test."""
        return CheckRequest(self.url, "notebook", **{"model": "m", **self.options})

    def _resolve(self, host: str, port: int, **_: object) -> list[tuple[Any, ...]]:
        found = self.names.get(host, socket.gaierror(socket.EAI_NONAME, "Name or service not known"))
        if isinstance(found, OSError):
            raise found
        return [(socket.AF_INET6 if ":" in one else socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, port)) for one in found]


class _Server6(FaultServer):
    """The same on ::1 only."""

    def __init__(self, script: Sequence[Step], port: int = 0) -> None:
        super().__init__(script)
        self._listener.close()
        self._listener = socket.create_server(("::1", port), family=socket.AF_INET6)
        self.port = self._listener.getsockname()[1]
        self.url = f"http://[::1]:{self.port}"


def closed_port() -> int:
    """Return a port on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


Make = Callable[[Machine], None]


def serving(script: Sequence[Step], **options: Any) -> Make:
    """Return what runs a server with this script."""

    def make(machine: Machine) -> None:
        machine.serve(script)
        machine.options |= options

    return make


def closed(  # noqa: PLR0913 - the parts of the environment, by name
    *,
    host: str = "127.0.0.1",
    environ: Mapping[str, str] | None = None,
    files: Mapping[str, str] | None = None,
    modules: set[str] | None = None,
    names: Mapping[str, list[str] | OSError] | None = None,
    system: str = "linux",
    programs: Mapping[str, str] | None = None,
) -> Make:
    """Return what types an address on which nobody listens, in this environment."""

    def make(machine: Machine) -> None:
        machine.url = f"http://{host}:{closed_port()}"
        machine.environ |= environ or {}
        machine.files |= files or {}
        machine.modules |= modules or set()
        machine.names |= names or {}
        machine.system = system
        machine.programs |= programs or {}

    return make


def secured(name: str = "127.0.0.1", *, scheme: str = "https", begins: int = -2, ends: int = 2, trusts: bool = True) -> Make:
    """Return what runs a server that speaks TLS with such a certificate, whose authority is trusted or not."""

    def make(machine: Machine) -> None:
        port = machine.ends.enter_context(tls_server(certificate(name, begins=begins, ends=ends))).port
        machine.url = f"{scheme}://127.0.0.1:{port}"
        machine.trusts = trusts

    return make


def by_proxy(script: Sequence[Step] | None, *, scheme: str = "http", value: str = "") -> Make:
    """Return what puts a proxy before a name that only it could know; None: one that does not run."""

    def make(machine: Machine) -> None:
        machine.url = f"{scheme}://gpu-box.test:11434"
        url = value or (f"http://127.0.0.1:{closed_port()}" if script is None else "")
        if script is not None:
            server = FaultServer(script)
            machine.ends.enter_context(server)
            url = server.url
        machine.proxy = {f"{scheme}_proxy": url}

    return make


def typed(url: str, names: Mapping[str, list[str] | OSError] | None = None, **options: Any) -> Make:
    """Return what types an address, where nothing runs."""

    def make(machine: Machine) -> None:
        machine.url = url
        machine.names |= names or {}
        machine.options |= options

    return make


def https_to_http(machine: Machine) -> None:
    """Ollama speaks http, and https is typed."""
    plain: list[Step] = [Send(b"HTTP/1.0 400 Bad Request\r\n\r\n"), Close()]
    server = FaultServer([Hold()], plain, fine())  # the connection, the handshake, the search for other addresses
    machine.ends.enter_context(server)
    machine.url = f"https://127.0.0.1:{server.port}"


def no_handshake(machine: Machine) -> None:
    """Close in the middle of the handshake."""
    port = machine.serve([Close()])
    machine.url = f"https://127.0.0.1:{port}"


def cloud(machine: Machine) -> None:
    """Play ollama.com, which wants a key."""
    server = FaultServer(page('{"error":"unauthorized"}', 401, "application/json"))
    machine.ends.enter_context(server)
    machine.url = f"http://ollama.com:{server.port}"
    machine.names["ollama.com"] = ["127.0.0.1"]


def only_ipv6(machine: Machine) -> None:
    """Ollama listens on ::1, and 127.0.0.1 is typed."""
    port = machine.serve(fine(), host="::1")
    machine.url = f"http://127.0.0.1:{port}"


def only_ipv4(machine: Machine) -> None:
    """And the reverse."""
    port = machine.serve(fine())
    machine.url = f"http://[::1]:{port}"


def first_is_silent(machine: Machine) -> None:
    """Give a name whose first address leads nowhere, and the second to Ollama."""
    port = machine.serve(fine())
    machine.url = f"http://box.test:{port}"
    machine.names["box.test"] = ["192.0.2.77", "127.0.0.1"]


def in_container_found(machine: Machine) -> None:
    """Put the kernel into a container, around which a machine answers by its name."""
    port = machine.serve(fine())
    machine.port = port
    machine.url = f"http://[::1]:{closed_port()}"
    machine.files["/proc/1/cgroup"] = "0::/docker/abc"
    machine.names["host.docker.internal"] = ["127.0.0.1"]


def port_slip(machine: Machine) -> None:
    """Type a wrong port, while Ollama listens on its own."""
    machine.port = machine.serve(fine())
    machine.url = f"http://127.0.0.1:{closed_port()}"


def loaded(**entry: Any) -> list[Step]:
    """Return the answer of /api/ps with the model in memory."""
    return whole({"models": [{"name": "m:latest", "size": 100, **entry}]})


def card(context: int = 8192, *capabilities: str) -> list[Step]:
    """Return the answer of /api/show."""
    info = {"general.architecture": "x", "x.context_length": context}
    return whole({"capabilities": list(capabilities or ("completion",)), "model_info": info})


def error(status: int, text: str, **more: str) -> list[Step]:
    """Return an error in the form of Ollama."""
    return whole({"error": text, **more}, status=status)


def page(text: str, status: int = 200, kind: str = HTML, extra: str = "") -> list[Step]:
    """Return a server that answers everything with one page."""

    class Always(dict[str, Sequence[Step]]):
        def __missing__(self, _: str) -> Sequence[Step]:
            return whole(text.encode(), status=status, kind=kind, extra=extra)

    return [Serve(Always())]


DEEP = {"deep": True, "context_length": 512}
CGROUP = {"/proc/1/cgroup": "12:cpu:/docker/0123"}
WSL = {"/proc/version": "Linux version 5.15.0-microsoft-standard-WSL2", "/proc/net/route": "I\tD\tG\ne\t00000000\t014014AC\t3\n"}

# name: (what makes it, the code that must come, a part of the first remedy)
SITUATIONS: dict[str, tuple[Make, str, str]] = {
    "an unknown name": (typed("http://gpu-bxo.test:11434"), "host-unknown", "11434"),
    "host.docker.internal outside of a container": (
        typed("http://host.docker.internal:11434"),
        "host-unknown",
        "--base-url http://127.0.0.1:11434",
    ),
    "no name server": (
        typed("http://box.test:11434", {"box.test": socket.gaierror(socket.EAI_AGAIN, "Temporary failure")}),
        "lookup-failed",
        "Kaggle",
    ),
    "a closed port": (closed(), "address-refused", "systemctl start ollama"),
    "a closed port on macOS": (closed(system="darwin"), "address-refused", "open -a Ollama"),
    "a closed port on Windows": (closed(system="win32"), "address-refused", "Start menu"),
    "a closed port of another machine": (
        closed(host="box.test", names={"box.test": ["127.0.0.1"]}),
        "address-refused",
        "on box.test",
    ),
    "a slip in the port": (port_slip, "address-refused", "%ollama_config --base-url http://127.0.0.1:"),
    "/.dockerenv alone": (closed(files={"/.dockerenv": " "}), "address-refused", "systemctl start ollama"),
    "a container": (closed(files=CGROUP), "address-refused-container", "--add-host=host.docker.internal:host-gateway"),
    "a container whose host answers": (in_container_found, "address-refused-container", "%ollama_config --base-url http://"),
    "podman": (closed(environ={"container": "podman"}), "address-refused-container", "host.containers.internal"),
    "Kubernetes": (
        closed(environ={"KUBERNETES_SERVICE_HOST": "10.0.0.1"}),
        "address-refused-container",
        "http://ollama.NAMESPACE:11434",
    ),
    "Docker Desktop": (
        closed(files={**CGROUP, "/proc/version": "Linux version 6.1-linuxkit"}),
        "address-refused-container",
        "host.docker.internal",
    ),
    "WSL": (closed(files=WSL, environ={"WSL_DISTRO_NAME": "Ubuntu"}), "address-refused-wsl", "networkingMode=mirrored"),
    "WSL with a mirrored network": (
        closed(files=WSL, environ={"WSL_DISTRO_NAME": "Ubuntu"}, programs={"wslinfo --networking-mode": "mirrored"}),
        "address-refused",
        "Start menu",
    ),
    "host.docker.internal refuses": (
        closed(host="host.docker.internal", files=CGROUP, names={"host.docker.internal": ["127.0.0.1"]}),
        "address-refused-remote",
        "no password",
    ),
    "an address without a way": (typed("http://box.test:11434", {"box.test": ["192.0.2.77"]}), "address-silent", "ufw"),
    "Ollama on ::1 only": (only_ipv6, "address-family-refused", "%ollama_config --base-url http://[::1]:"),
    "Ollama on 127.0.0.1 only": (only_ipv4, "address-family-refused", "%ollama_config --base-url http://127.0.0.1:"),
    "a name whose first address is silent": (
        first_is_silent,
        "address-family-slow",
        "%ollama_config --base-url http://127.0.0.1:",
    ),
    "Colab": (closed(environ={"COLAB_RELEASE_TAG": "x"}, modules={"google.colab"}), "address-refused-cloud", "install.sh"),
    "Kaggle, which looks like Colab": (
        closed(environ={"KAGGLE_KERNEL_RUN_TYPE": "Interactive", "COLAB_RELEASE_TAG": "x"}),
        "address-refused-cloud",
        "install.sh",
    ),
    "a kernel over SSH": (closed(environ={"SSH_CONNECTION": "1 2 3 4"}), "address-refused-hub", "ssh -N -R"),
    "VS Code on a remote machine": (closed(environ={"VSCODE_AGENT_FOLDER": "/x"}), "address-refused-hub", "ssh -N -R"),
    "a tunnel without a far end": (serving([Receive(), Close()]), "connection-broken", "curl"),
    "a reset": (serving([Receive(), Reset()]), "connection-broken", "curl"),
    "an SSH server": (serving([Send(b"SSH-2.0-OpenSSH_9.2\r\n"), Hold()]), "not-http", ":11434"),
    "a mail server": (serving([Send(b"220 mail.test ESMTP\r\n"), Receive(), Close()]), "not-http", ":11434"),
    "https to plain http": (https_to_http, "https-to-http", "%ollama_config --base-url http://127.0.0.1:"),
    "http to TLS": (secured(scheme="http"), "http-to-https", "https://"),
    "http to the TLS of Go": (serving(page(REQUEST_TO_TLS.decode(), 400, "text/plain")), "http-to-https", "https://"),
    "a certificate of nobody known": (secured(trusts=False), "certificate-rejected", "--ca-bundle"),
    "a certificate of yesterday": (secured(begins=-9, ends=-1), "certificate-rejected", "renew it"),
    "TLS that is not completed": (no_handshake, "tls-failed", "a proxy that intercepts TLS"),
    "a certificate for another name": (secured("other.test"), "certificate-rejected", "use the host name of the certificate"),
    "ollama.com without a key": (cloud, "cloud-key-required", "--api-key"),
    "a proxy with a page of its own": (by_proxy(page("<html>Bad Gateway</html>", 502)), "proxy-answered", "NO_PROXY="),
    "a dead proxy": (by_proxy(None), "proxy-failed", "--proxy none"),
    "a proxy that wants a password": (
        by_proxy([Receive(), Send(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n"), Close()], scheme="https"),
        "proxy-refused",
        "getpass",
    ),
    "a plain proxy that wants a password": (by_proxy(page("no", 407)), "proxy-refused", "getpass"),
    "a SOCKS proxy": (by_proxy(None, value="socks5://127.0.0.1:1"), "proxy-settings-unusable", "HTTP_PROXY"),
    "a redirect to a login": (serving(page("", 302, extra="Location: /login\r\n")), "redirect-refused", "login page"),
    "a redirect elsewhere": (serving(page("", 301, extra="Location: https://else.test/x\r\n")), "redirect-refused", "--base-url"),
    "Open WebUI": (serving(page("<html><title>Open WebUI</title></html>")), "not-ollama", "/ollama"),
    "LM Studio": (
        serving(page('{"error":"Unexpected endpoint or method. (GET /api/version)"}', kind="application/json")),
        "not-ollama",
        "install it",
    ),
    "vLLM": (serving(page('{"data":[{"id":"x","owned_by":"vllm"}]}', kind="application/json")), "not-ollama", "install it"),
    "llama.cpp": (
        serving(page('{"error":{"code":404}}', 404, "application/json", "Server: llama.cpp\r\n")),
        "not-ollama",
        "install it",
    ),
    "a login page": (serving(page("<html><form>Sign in<input type='password'></form></html>")), "not-ollama", "login page"),
    "an nginx page": (serving(page("<html><center>nginx</center></html>", 404)), "not-ollama", "11434"),
    "no list of models": (serving(fine(tags=whole({"data": []}))), "not-ollama", "11434"),
    "404 page not found": (serving(page("404 page not found", 404, "text/plain")), "path-unknown", "--base-url"),
    "a cloud model, not signed in": (
        serving(fine(show=error(401, "unauthorized", signin_url="https://ollama.com/x"))),
        "sign-in-required",
        "ollama signin",
    ),
    "a guard with a password": (serving(page("<html>", 401, extra=ISSUER)), "password-required", "getpass"),
    "a forbidding page": (serving(page("<html>Forbidden", 403)), "authentication-required", "--api-key"),
    "Ollama's own guard": (serving(page("", 403)), "host-header-refused", "Host localhost:11434"),
    "the cloud is disabled": (
        serving(fine(show=error(403, "ollama cloud is disabled: x"))),
        "cloud-disabled",
        "OLLAMA_NO_CLOUD",
    ),
    "a silent port": (serving([Hold()]), "server-silent", "ollama ps"),
    "a gateway without a server": (serving(page("<html>Bad Gateway", 502)), "gateway-failed", "ollama serve"),
    "a usage limit": (serving(fine(show=error(429, "you've reached your hourly usage limit"))), "usage-limit-reached", "--model"),
    "a model that needs a subscription": (
        serving(fine(show=error(403, "this model requires a subscription, upgrade for access"))),
        "subscription-required",
        "--model NAME",
    ),
    "a key that is refused": (serving(page("no", 401), key=Secret("k")), "key-refused", "--api-key"),
    "a proxy that takes no large requests": (
        serving(fine(show=whole(b"<html>413", status=413, kind=HTML))),
        "request-too-large",
        "client_max_body_size",
    ),
    "only cloud models": (
        serving(fine(tags=whole({"models": [{"name": "k2:cloud"}]})), model=""),
        "only-cloud-models",
        "--model k2:cloud",
    ),
    "a gateway that gave up": (serving(page("<html>Gateway Time-out", 504)), "gateway-timeout", "proxy_read_timeout"),
    "a full queue": (serving(fine(show=error(503, "server busy, please try again"))), "server-busy", "wait"),
    "too many requests": (serving(fine(show=error(429, "slow down"))), "server-busy", "wait"),
    "an old Ollama": (serving(fine(version=whole({"version": "0.11.0"}))), "server-too-old", "upgrade"),
    "a missing model": (
        serving(
            fine(tags=whole({"models": [{"name": "mistral:latest"}]}), show=error(404, "model 'x' not found")),
            model="mistrl",
        ),
        "model-missing",
        "%ollama_pull mistrl",
    ),
    "an empty server": (serving(fine(tags=whole({"models": []}))), "no-model-able", "%ollama_pull m"),
    "an embedding model for chat": (serving(fine(show=card(8192, "embedding"))), "model-wrong-type", "%ollama_pull"),
    "a chat model for embeddings": (serving(fine(show=card()), abilities=("embedding",)), "model-wrong-type", "%ollama_pull"),
    "pictures for a blind model": (
        serving(fine(show=card()), abilities=("completion", "vision")),
        "model-not-able",
        "%ollama_pull",
    ),
    "more context than the model has": (serving(fine(show=card(2048))), "context-above-maximum", "--context 2048"),
    "loaded with another context": (
        serving(fine(show=card(), ps=loaded(context_length=1024))),
        "context-reload",
        "--context 1024",
    ),
    "too little memory": (
        serving(fine(show=card(), chat=error(500, "model requires more system memory (9 GiB) than is available")), **DEEP),
        "model-failed",
        "smaller",
    ),
    "a model for a newer Ollama": (
        serving(fine(show=card(), chat=error(412, "this model requires a newer version of Ollama")), **DEEP),
        "model-needs-newer-server",
        "upgrade",
    ),
    "a model on the processor": (serving(fine(show=card(), ps=loaded(size_vram=0)), **DEEP), "model-on-cpu", "GPU"),
    "a clock that is wrong": (secured(begins=1, ends=9), "certificate-not-yet-valid", "clock"),
    "an address to listen on": (typed("http://0.0.0.0:1"), "address-refused", "ollama"),
}


@contextmanager
def simulate(make: Make) -> Iterator[Machine]:
    """Make a situation, give it, and take it down."""
    with ExitStack() as ends:
        machine = Machine(ends)
        make(machine)
        yield machine
