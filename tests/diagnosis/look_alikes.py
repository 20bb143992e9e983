"""Programs that answer where Ollama is expected: what each really answers, and how it must be named and explained."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ollama_magics.secret import Secret
from tests.faults import Serve, Step, whole

JSON, HTML, TEXT = "application/json", "text/html; charset=utf-8", "text/plain; charset=utf-8"
NOT_FOUND: Any = {"detail": "Not Found"}  # of every FastAPI program
DIGEST = "b5dc5e784f2a3ee1582373093acf69a2f4e2ac1710b253a001712b86a61f88bb"


@dataclass(frozen=True)
class Answer:
    """One answer: a dict or list is JSON, a text is a page."""

    body: Any = ""
    status: int = 200
    kind: str = ""
    headers: str = ""  # each ends with CRLF

    def steps(self) -> list[Step]:
        """Return its script."""
        is_text = isinstance(self.body, str)
        kind = self.kind or (JSON if not is_text else HTML if "<" in self.body else TEXT)
        body = self.body.encode() if is_text else json.dumps(self.body).encode()
        return whole(body, status=self.status, kind=kind, extra=self.headers)


@dataclass(frozen=True)
class LookAlike:
    """A program: where its answers are taken from, the answers by path, what is typed after the address, what must be said."""

    source: str
    routes: Mapping[str, Answer]
    other: Answer  # to every other path
    code: str  # of the check's error; empty: it works
    said: str = ""  # in how we know
    advised: str = ""  # in what to type
    path: str = ""  # typed after the address
    options: Mapping[str, Any] = field(default_factory=dict)  # of the check

    def script(self) -> list[Step]:
        """Return the script of its server."""
        other = self.other.steps()

        class Routes(dict[str, Sequence[Step]]):
            def __missing__(self, _: str) -> Sequence[Step]:
                return other

        return [Serve(Routes({path: answer.steps() for path, answer in self.routes.items()}))]


def models(owner: str, **more: Any) -> Answer:
    """Return a list of models in OpenAI's form."""
    return Answer({"object": "list", "data": [{"id": "x", "object": "model", "created": 1, "owned_by": owner, **more}]})


UVICORN, LLAMA = "Server: uvicorn\r\n", "Server: llama.cpp\r\n"
OPEN_WEBUI = "open-webui/open-webui backend/open_webui/"
WEBUI_PAGE = Answer("<!doctype html><html><head><title>Open WebUI</title></head><body></body></html>", headers=UVICORN)
WEBUI_ROUTES = {
    "/api/version": Answer({"version": "0.6.5", "deployment_id": ""}, headers=UVICORN),
    "/api/config": Answer(
        {"status": True, "name": "Open WebUI", "version": "0.6.5", "oauth": {"providers": {}}}, headers=UVICORN
    ),
    "/v1/models": WEBUI_PAGE,
}
TAGS = {"models": [{"name": "llama3.2:latest", "model": "llama3.2:latest", "size": 9, "digest": DIGEST, "urls": [0]}]}
CARD = Answer({"capabilities": ["completion"], "details": {}, "model_info": {}})
WEBUI_OLLAMA = {
    "/ollama/": Answer({"status": True}),
    "/ollama/api/version": Answer({"version": "0.24.0"}),
    "/ollama/api/tags": Answer(TAGS),
    "/ollama/api/show": CARD,
    "/ollama/api/ps": Answer({"detail": "You do not have permission to access this resource."}, 401),
}
LLAMA_404 = Answer({"error": {"code": 404, "message": "File Not Found", "type": "not_found_error"}}, 404, headers=LLAMA)
LLAMA_MODELS = {"models": [{"name": "x.gguf", "model": "x.gguf", "modified_at": "", "size": "", "digest": ""}], "object": "list"}
OLLAMA = {
    "/": Answer("Ollama is running"),
    "/api/version": Answer({"version": "0.24.0"}),
    "/api/tags": Answer({"models": [{"name": "m:latest", "model": "m:latest", "size": 1, "digest": DIGEST}]}),
    "/api/show": CARD,
}


def nginx(status: str, *, extra: str = "", end: str = "<hr><center>nginx/1.27.2</center>") -> Answer:
    """Return a page of nginx, src/http/ngx_http_special_response.c."""
    title = f"<html>\r\n<head><title>{status}</title></head>\r\n<body>\r\n<center><h1>{status}</h1></center>\r\n"
    return Answer(f"{title}{end}\r\n</body>\r\n</html>\r\n", int(status[:3]), HTML, f"Server: nginx/1.27.2\r\n{extra}")


def cloudflare(status: int, title: str, *, extra: str = "") -> Answer:
    """Return an error page of Cloudflare, developers.cloudflare.com/support/troubleshooting/http-status-codes."""
    page = f'<!DOCTYPE html>\n<html lang="en-US"><head><title>{title}</title></head><body></body></html>'
    return Answer(page, status, HTML, f"Server: cloudflare\r\nCF-RAY: 8c1a-FRA\r\n{extra}")


LOCALHOST = "%ollama_config --base-url http://127.0.0.1:11434"
LOOK_ALIKES: dict[str, LookAlike] = {
    "Open WebUI": LookAlike(OPEN_WEBUI + "main.py", WEBUI_ROUTES, WEBUI_PAGE, "not-ollama", "Open WebUI", "/ollama"),
    "Open WebUI of a version above Ollama's": LookAlike(
        OPEN_WEBUI + "main.py",
        {**WEBUI_ROUTES, "/api/version": Answer({"version": "0.13.2", "deployment_id": ""})},
        WEBUI_PAGE,
        "not-ollama",
        "Open WebUI",
        "/ollama",
    ),
    "Open WebUI with a name of its own": LookAlike(
        OPEN_WEBUI + "env.py, WEBUI_NAME",
        {**WEBUI_ROUTES, "/api/config": Answer({"status": True, "name": "Lab (Open WebUI)"}), "/": Answer("<html><title>Lab")},
        Answer("<!doctype html><title>Lab</title>"),
        "not-ollama",
        "Open WebUI",
    ),
    "Open WebUI's /ollama": LookAlike(OPEN_WEBUI + "routers/ollama.py", WEBUI_OLLAMA, WEBUI_PAGE, "", path="/ollama"),
    "Open WebUI's /ollama without a key": LookAlike(
        OPEN_WEBUI + "utils/auth.py",
        {**WEBUI_OLLAMA, "/ollama/api/tags": Answer({"detail": "Not authenticated"}, 401)},
        WEBUI_PAGE,
        "authentication-required",
        "Not authenticated",
        "%ollama_config --api-key",
        path="/ollama",
    ),
    "Open WebUI's /ollama with another key": LookAlike(
        OPEN_WEBUI + "utils/auth.py, constants.py INVALID_TOKEN",
        {**WEBUI_OLLAMA, "/ollama/api/tags": Answer({"detail": "Your session has expired or the token is invalid."}, 401)},
        WEBUI_PAGE,
        "key-refused",
        "token is invalid",
        "%ollama_config --api-key",
        path="/ollama",
        options={"key": Secret("another")},
    ),
    "Open WebUI's /ollama, switched off": LookAlike(
        OPEN_WEBUI + "routers/ollama.py, get_ollama_versions",
        {**WEBUI_OLLAMA, "/ollama/api/version": Answer({"version": False})},
        WEBUI_PAGE,
        "not-ollama",
        "switched off",
        "Connections",
        path="/ollama",
    ),
    "Open WebUI's /ollama before an old Ollama": LookAlike(
        OPEN_WEBUI + "routers/ollama.py",
        {**WEBUI_OLLAMA, "/ollama/api/version": Answer({"version": "0.11.0"})},
        WEBUI_PAGE,
        "server-too-old",
        path="/ollama",
    ),
    "llama.cpp": LookAlike(
        "ggml-org/llama.cpp tools/server/server-http.cpp, server.cpp",
        {
            "/": Answer("Error: gzip is not supported by this browser", 415, headers=LLAMA),
            "/v1/models": models("llamacpp", meta={"n_ctx_train": 4096}),
            "/api/tags": Answer(LLAMA_MODELS, headers=LLAMA),
        },
        LLAMA_404,
        "not-ollama",
        "llama.cpp server",
        LOCALHOST,
    ),
    "llama.cpp behind a proxy that hides it": LookAlike(
        "ggml-org/llama.cpp tools/server/server.cpp",
        {"/v1/models": models("llamacpp")},
        Answer(LLAMA_404.body, 404),
        "not-ollama",
        "llama.cpp server",
    ),
    "llama.cpp with a key": LookAlike(
        "ggml-org/llama.cpp tools/server/server-http.cpp, middleware_validate_api_key",
        {"/v1/models": models("llamacpp")},
        Answer({"error": {"message": "Invalid API Key", "type": "authentication_error", "code": 401}}, 401, headers=LLAMA),
        "not-ollama",
        "llama.cpp server",
    ),
    "llama.cpp that loads": LookAlike(
        "ggml-org/llama.cpp tools/server/server-http.cpp, middleware_server_state",
        {},
        Answer({"error": {"message": "Loading model", "type": "unavailable_error", "code": 503}}, 503, headers=LLAMA),
        "not-ollama",
        "llama.cpp server",
    ),
    "LM Studio": LookAlike(
        "lmstudio-ai/lmstudio-bug-tracker issues 618 and 1724",
        {"/v1/models": models("organization_owner")},
        Answer({"error": "Unexpected endpoint or method. (GET /api/version)"}, headers="X-Powered-By: Express\r\n"),
        "not-ollama",
        "LM Studio",
        LOCALHOST,
    ),
    "vLLM": LookAlike(
        "vllm-project/vllm vllm/entrypoints/openai/api_server.py; BerriAI/litellm issue 7744",
        {"/v1/models": models("vllm", max_model_len=4096), "/version": Answer({"version": "0.11.0"}, headers=UVICORN)},
        Answer(NOT_FOUND, 404, headers=UVICORN),
        "not-ollama",
        "vLLM",
        LOCALHOST,
    ),
    "vLLM with a key": LookAlike(
        "vllm-project/vllm vllm/entrypoints/openai/api_server.py, AuthenticationMiddleware",
        {
            "/v1/models": Answer({"error": "Unauthorized"}, 401, headers=UVICORN),
            "/version": Answer({"version": "0.11.0"}, headers=UVICORN),
        },
        Answer(NOT_FOUND, 404, headers=UVICORN),
        "not-ollama",
        "vLLM",
    ),
    "LiteLLM": LookAlike(
        "BerriAI/litellm litellm/proxy/proxy_server.py",
        {
            "/": Answer("<!DOCTYPE html><html><head><title>LiteLLM API - Swagger UI</title></head></html>", headers=UVICORN),
            "/openapi.json": Answer({"openapi": "3.1.0", "info": {"title": "LiteLLM API"}}, headers=UVICORN),
            "/v1/models": Answer(
                {"error": {"message": "Authentication Error, No api key passed in.", "type": "auth_error", "code": "401"}}, 401
            ),
        },
        Answer(NOT_FOUND, 404, headers=UVICORN),
        "not-ollama",
        "LiteLLM",
        LOCALHOST,
    ),
    "Docker Model Runner": LookAlike(
        "docker/model-runner pkg/server/server.go, pkg/ollama/http_handler.go",
        {
            "/": Answer("Docker Model Runner is running"),
            "/api/version": Answer({"version": "0.1.0"}),
            "/api/tags": Answer({"models": [{"name": "ai/smollm2", "model": "ai/smollm2", "size": 0, "digest": "sha256:ab"}]}),
            "/engines/v1/models": models("docker"),
        },
        Answer("404 page not found\n", 404),
        "not-ollama",
        "Docker Model Runner, which has only a part",
        LOCALHOST,
    ),
    "an older Docker Model Runner": LookAlike(
        "docker/model-runner main.go",
        {"/": Answer("Docker Model Runner is running"), "/engines/v1/models": models("docker")},
        Answer("404 page not found\n", 404),
        "not-ollama",
        "Docker Model Runner",
    ),
    "Jan": LookAlike(
        "janhq/jan src-tauri/src/core/server/proxy.rs, static/openapi.json",
        {"/openapi.json": Answer({"openapi": "3.0.0", "info": {"title": "Jan API", "version": "0.3.14"}})},
        Answer("Not Found", 404),
        "not-ollama",
        "Jan",
        LOCALHOST,
    ),
    "Jan with a key": LookAlike(
        "janhq/jan src-tauri/src/core/server/proxy.rs",
        {"/openapi.json": Answer({"openapi": "3.0.0", "info": {"title": "Jan API", "version": "0.3.14"}})},
        Answer("Invalid or missing authorization token", 401),
        "not-ollama",
        "Jan",
    ),
    "LocalAI": LookAlike(
        "mudler/LocalAI core/http/endpoints/ollama/models.go, core/http/routes/ollama.go",
        {
            "/": Answer("<!DOCTYPE html><html><head><title>LocalAI</title></head></html>"),
            "/api/version": Answer({"version": "0.9.0"}),
            "/api/tags": Answer({"models": [{"name": "gpt-4:latest", "model": "gpt-4:latest", "digest": f"sha256:{DIGEST}"}]}),
        },
        Answer({"error": {"code": 404, "message": "Resource not found", "type": ""}}, 404),
        "not-ollama",
        "LocalAI, which has only a part",
        LOCALHOST,
    ),
    "LocalAI with Ollama's first page": LookAlike(
        "mudler/LocalAI core/http/routes/ollama.go, RegisterOllamaRootEndpoint",
        {
            "/": Answer("Ollama is running"),
            "/api/version": Answer({"version": "0.9.0"}),
            "/api/tags": Answer({"models": [{"name": "gpt-4:latest", "digest": f"sha256:{DIGEST}"}]}),
        },
        Answer({"error": {"code": 404, "message": "Resource not found", "type": ""}}, 404),
        "not-ollama",
        "LocalAI",
    ),
    "KoboldCpp": LookAlike(
        "LostRuins/koboldcpp koboldcpp.py",
        {
            "/": Answer("<!doctype html><html><head><title>KoboldAI Lite</title></head></html>"),
            "/api/version": Answer({"version": "0.7.0"}),
            "/api/tags": Answer({"models": [{"name": "koboldcpp", "model": "koboldcpp/x", "size": 394998579, "digest": DIGEST}]}),
            "/api/extra/version": Answer({"result": "KoboldCpp", "version": "1.76", "protected": False}),
        },
        Answer("Error: HTTP Server is running, but this endpoint does not exist. Please check the URL.", 404, HTML),
        "not-ollama",
        "KoboldCpp, which has only a part",
        LOCALHOST,
    ),
    "an older KoboldCpp": LookAlike(
        "LostRuins/koboldcpp koboldcpp.py, 1.76",
        {"/api/extra/version": Answer({"result": "KoboldCpp", "version": "1.76", "protected": False})},
        Answer("Error: HTTP Server is running, but this endpoint does not exist. Please check the URL.", 404, HTML),
        "not-ollama",
        "KoboldCpp",
    ),
    "text-generation-webui": LookAlike(
        "oobabooga/text-generation-webui modules/api/script.py, models.py",
        {"/v1/models": models("user"), "/v1/internal/health": Answer({"status": "ok"}, headers=UVICORN)},
        Answer(NOT_FOUND, 404, headers=UVICORN),
        "not-ollama",
        "text-generation-webui",
        LOCALHOST,
    ),
    "JupyterHub": LookAlike(
        "jupyterhub/jupyterhub jupyterhub/handlers/base.py",
        {},
        Answer("", 302, headers="Location: /hub/api/version\r\nX-JupyterHub-Version: 5.2.1\r\nServer: TornadoServer/6.4\r\n"),
        "redirect-refused",
        "/hub/api/version",
        "login page",
    ),
    "JupyterHub's login": LookAlike(
        "jupyterhub/jupyterhub share/jupyterhub/templates/login.html",
        {},
        Answer(
            '<!DOCTYPE HTML><html><head><title>JupyterHub</title></head><form action="/hub/login"><h1>Sign in</h1>',
            headers="X-JupyterHub-Version: 5.2.1\r\n",
        ),
        "not-ollama",
        "JupyterHub",
        "login page",
    ),
    "a private space of Hugging Face": LookAlike(
        "huggingface.co/docs/hub/spaces-overview",
        {},
        Answer("<!doctype html><title>404 – Hugging Face</title>", 404, HTML, "X-Powered-By: huggingface-moon\r\n"),
        "not-ollama",
        "Hugging Face",
    ),
    "another login page": LookAlike(
        "authelia, keycloak and others", {}, Answer('<form method=post><input type="password">'), "not-ollama", "login page"
    ),
    "nginx, another site": LookAlike("nginx", {}, nginx("404 Not Found"), "not-ollama", "nginx", LOCALHOST),
    "nginx, nothing behind": LookAlike(
        "nginx", {}, nginx("502 Bad Gateway"), "gateway-failed", "502 Bad Gateway", "ollama serve"
    ),
    "nginx, too slow": LookAlike(
        "nginx", {}, nginx("504 Gateway Time-out"), "gateway-timeout", "504 Gateway Time-out", "proxy_read_timeout"
    ),
    "nginx, too large": LookAlike(
        "nginx",
        {**OLLAMA, "/api/show": nginx("413 Request Entity Too Large")},
        Answer("404 page not found", 404),
        "request-too-large",
        "413 Request Entity Too Large",
        "client_max_body_size",
    ),
    "nginx with a password": LookAlike(
        "nginx ngx_http_auth_basic_module",
        {},
        nginx("401 Authorization Required", extra='WWW-Authenticate: Basic realm="lab"\r\n'),
        "password-required",
        'Basic realm="lab"',
        "%ollama_config --base-url $url",
    ),
    "nginx that forbids": LookAlike(
        "nginx", {}, nginx("403 Forbidden"), "authentication-required", "403 Forbidden", "%ollama_config --api-key"
    ),
    "nginx that forbids the version": LookAlike(
        "nginx", {**OLLAMA, "/api/version": nginx("403 Forbidden")}, Answer("404 page not found", 404), ""
    ),
    "nginx that forbids the first page and the version": LookAlike(
        "nginx",
        {**OLLAMA, "/": nginx("404 Not Found"), "/api/version": nginx("404 Not Found")},
        Answer("404 page not found", 404),
        "",
    ),
    "Ollama behind a password": LookAlike(
        "nginx before Ollama",
        OLLAMA,
        Answer("404 page not found", 404),
        "",
        options={"key": Secret("right")},
    ),
    "Caddy, nothing behind": LookAlike(
        "caddyserver/caddy modules/caddyhttp/reverseproxy",
        {},
        Answer("", 502, TEXT, "Server: Caddy\r\n"),
        "gateway-failed",
        "502",
        "ollama serve",
    ),
    "Caddy with a password": LookAlike(
        "caddyserver/caddy modules/caddyhttp/caddyauth/basicauth.go",
        {},
        Answer("", 401, TEXT, 'Server: Caddy\r\nWWW-Authenticate: Basic realm="restricted"\r\n'),
        "password-required",
        "restricted",
        "getpass",
    ),
    "Traefik without a route": LookAlike(
        "traefik/traefik pkg/server/router",
        {},
        Answer("404 page not found\n", 404, headers="X-Content-Type-Options: nosniff\r\n"),
        "path-unknown",
        "404 page not found",
        "%ollama_config --base-url http://127.0.0.1:",
    ),
    "Traefik, nothing behind": LookAlike(
        "traefik/traefik pkg/proxy", {}, Answer("Bad Gateway", 502), "gateway-failed", "Bad Gateway", "ollama serve"
    ),
    "Traefik without a healthy server": LookAlike(
        "traefik/traefik", {}, Answer("no available server\n", 503), "gateway-failed", "no available server"
    ),
    "Envoy without a healthy server": LookAlike(
        "envoyproxy/envoy", {}, Answer("no healthy upstream", 503, TEXT, "Server: envoy\r\n"), "gateway-failed", "no healthy"
    ),
    "a gateway that wants a token": LookAlike(
        "RFC 6750, 3",
        {},
        Answer("", 401, TEXT, 'WWW-Authenticate: Bearer realm="gate", error="invalid_token"\r\n'),
        "authentication-required",
        "Bearer",
        "%ollama_config --api-key",
    ),
    "a gateway that wants Kerberos": LookAlike(
        "RFC 4559",
        {},
        Answer("", 401, TEXT, "WWW-Authenticate: Negotiate\r\n"),
        "authentication-required",
        "Negotiate",
        "not supp",
    ),
    "Cloudflare Access": LookAlike(
        "developers.cloudflare.com/cloudflare-one/access-controls, service tokens",
        {},
        Answer(
            "",
            302,
            HTML,
            "Location: https://lab.cloudflareaccess.com/cdn-cgi/access/login/gpu.lab.test\r\nServer: cloudflare\r\n",
        ),
        "redirect-refused",
        "cloudflareaccess.com",
        "CF-Access-Client-Id",
    ),
    "Cloudflare, server down": LookAlike(
        "developers.cloudflare.com",
        {},
        cloudflare(521, "lab.test | 521: Web server is down"),
        "gateway-failed",
        "521: Web",
    ),
    "Cloudflare, tunnel down": LookAlike(
        "developers.cloudflare.com", {}, cloudflare(530, "Cloudflare Tunnel error | lab.test"), "gateway-failed", "Tunnel error"
    ),
    "Cloudflare, too slow": LookAlike(
        "developers.cloudflare.com",
        {},
        cloudflare(524, "lab.test | 524: A timeout occurred"),
        "gateway-timeout",
        "524: A",
    ),
    "Tailscale without a server": LookAlike(
        "tailscale/tailscale ipn/ipnlocal/serve.go", {}, Answer("", 502, TEXT), "gateway-failed", "502", "ollama serve"
    ),
}
