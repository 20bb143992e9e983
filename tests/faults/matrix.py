"""The faults of a server, of the way to it and of what it says, and what is right then in each column, as data."""

from __future__ import annotations

import gzip
import json
from io import BytesIO
from typing import Any

from PIL import Image

from tests.faults.answers import CHUNKED, LINES, chunk, whole
from tests.faults.cells import Dash, Fails, Fault, Held, Works
from tests.faults.cuts import cut_at_random
from tests.faults.places import (
    full_backlog,
    in_event_loop,
    in_thread,
    nobody,
    other_machine,
    tls,
)
from tests.faults.steps import Close, Drip, Flood, Hold, Lines, Piece, Receive, Reset, Send, Slices, Step, Wait

_JSON = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
END = chunk("", done=True, done_reason="stop")


def says(status: int, text: str, extra: str = "") -> list[Step]:
    """Return an error in Ollama's form."""
    return whole({"error": text}, status=status, extra=extra)


def page(status: int, html: str = "<html><title>Bad Gateway</title></html>", extra: str = "") -> list[Step]:
    """Return a web page."""
    return whole(html.encode(), status=status, kind="text/html", extra=extra)


def picture(kind: str) -> bytes:
    """Return the bytes of a small picture."""
    Image.linear_gradient("L").save(file := BytesIO(), kind)
    return file.getvalue()


def lines(*parts: bytes, end: type[Close | Hold | Reset] = Close) -> list[Step]:
    """Return an answer of these lines, after which the connection ends, is held or reset."""
    return [Send(LINES + b"".join(parts)), Wait(0.02), end()]


def everywhere(code: str, words: str = "") -> dict[str, Any]:
    """Return that every column fails alike, and jobs as a whole."""
    return dict.fromkeys(("check", "chat", "rows", "embed"), Fails(code, words, all=True))


SITUATIONS, LOOK_ALIKES = "tests/diagnosis/test_situations.py", "tests/diagnosis/test_look_alikes.py"
CLIENT, ANSWERS = "tests/server/client", "tests/embeddings/test_job_answers.py"
ONE_CLIENT = Dash("the same client does it")
TEXT_ONLY = {"capabilities": ["completion"], "model_info": {}}
SMALL = {"capabilities": ["completion", "embedding"], "model_info": {"general.architecture": "x", "x.context_length": 2048}}
PICTURE, JPEG = picture("PNG"), picture("JPEG")
NESTED = json.dumps(
    {
        "error": {
            "code": 400,
            "message": "input too long",
            "type": "exceed_context_size_error",
            "n_prompt_tokens": 700,
            "n_ctx": 512,
        }
    }
)
REFUSED = json.dumps(  # of 0.33, as one text
    {
        "error": {
            "code": 400,
            "message": "request (36005 tokens) exceeds the available context size (512 tokens), try increasing it",
            "type": "exceed_context_size_error",
            "n_prompt_tokens": 36005,
            "n_ctx": 512,
        }
    }
)
NO_PICTURES = json.dumps(
    {"error": {"code": 400, "message": "Multimodal data provided, but model does not support multimodal requests."}}
)
EOF_SAID = 'do embedding request: Post "http://127.0.0.1:1/embedding": EOF'
STUCK = "prediction aborted, token repeat limit reached"

# fmt: off
FAULTS: tuple[Fault, ...] = (
    # The way to the server.
    Fault("F03", "nobody listens", place=nobody, **everywhere("address-refused", "ollama serve")),
    Fault(
        "F05", "connections are dropped (also F08: the backlog is full)", place=full_backlog,
        **everywhere("address-silent", "within 0.8 s"),
    ),
    Fault("F07", "accepts, and never answers", [Hold()], on="connection", **everywhere("server-silent", "0.8 s")),
    Fault("F09", "reset after the connection", [Reset()], on="connection", **everywhere("connection-broken")),
    Fault("F09b", "reset after the request", [Receive(), Reset()], on="connection", **everywhere("connection-broken")),
    Fault("F10", "closes without a byte", [Receive(), Close()], on="connection", **everywhere("connection-broken")),
    Fault(
        "F11", "the banner of SSH", [Send(b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n"), Receive(), Close()], on="connection",
        **everywhere("not-http", "SSH-2.0"),
    ),
    Fault(
        "F11b", "the answer of Redis", [Receive(), Send(b"-ERR unknown command\r\n"), Close()], on="connection",
        **everywhere("not-http", "ERR"),
    ),
    Fault(
        "F15", "https to plain HTTP", [Send(b"HTTP/1.1 400 Bad Request\r\n\r\n"), Close()], on="connection",
        url="https://127.0.0.1:{port}", **everywhere("https-to-http", "http://127"),
    ),
    Fault(
        "F16", "http to TLS: a raw alert", [Receive(), Send(b"\x15\x03\x03\x00\x02\x02\x32"), Close()], on="connection",
        **everywhere("http-to-https"),
    ),
    Fault(
        "F16b", "http to TLS: nginx",
        page(400, "<html><title>400 The plain HTTP request was sent to HTTPS port</title></html>"), on="all",
        **everywhere("http-to-https", "https://"),
    ),
    Fault(
        "F16c", "http to TLS: Go", whole(b"Client sent an HTTP request to an HTTPS server.\n", status=400, kind="text/plain"),
        on="all", **everywhere("http-to-https", "https://"),
    ),
    Fault("F17", "an unknown authority", place=tls(), **everywhere("certificate-rejected", "(?s)Unknown.*ca_bundle")),
    Fault("F17b", "an expired certificate", place=tls(ends=-1), trusted=True, **everywhere("certificate-rejected", "expired")),
    Fault(
        "F17c", "a certificate for another name", place=tls("other.test"), trusted=True,
        **everywhere("certificate-rejected", "another host name"),
    ),
    Fault("F17d", "a certificate of tomorrow", place=tls(begins=1), trusted=True, **everywhere("certificate-not-yet-valid")),
    Fault(
        "F17e", "a certificate of a known authority", place=tls(), trusted=True, check=Works(), chat=Works(), rows=Works(),
        embed=Works(),
    ),
    Fault(
        "F18", "the TLS handshake hangs", [Hold()], on="connection", url="https://127.0.0.1:{port}",
        **everywhere("tls-failed", "0.8 s"),
    ),
    Fault(
        "F18b", "the connection ends in the TLS handshake", [Wait(0.05), Close()], on="connection",
        url="https://127.0.0.1:{port}", **everywhere("tls-failed"),
    ),
    Fault(
        "F19", "a proxy variable, and a server on this machine", times=0,
        variables={"HTTP_PROXY": "http://127.0.0.1:9", "http_proxy": "http://127.0.0.1:9"}, check=Works(), chat=Works(),
        rows=Works(), embed=Works(),
    ),
    Fault(
        "F20", "the proxy is dead", place=other_machine(), variables={"http_proxy": "http://127.0.0.1:9"},
        **everywhere("proxy-failed", "127.0.0.1:9"),
    ),
    Fault(
        "F21", "the proxy answers 502", page(502), url="http://ollama.test:11434",
        variables={"http_proxy": "http://127.0.0.1:{port}"}, on="all", **everywhere("proxy-answered", "502"),
    ),
    Fault(
        "F21b", "the proxy wants a password", whole(b"", status=407, extra="Proxy-Authenticate: Basic\r\n"),
        url="http://ollama.test:11434", variables={"http_proxy": "http://127.0.0.1:{port}"}, on="all",
        **everywhere("proxy-refused", "407"),
    ),
    Fault(
        "F21c", "the proxy refuses CONNECT", [Receive(), *whole(b"", status=403)], on="connection",
        url="https://ollama.test:11434", variables={"https_proxy": "http://127.0.0.1:{port}"},
        **everywhere("proxy-refused", "403"),
    ),
    Fault(
        "F22", "NO_PROXY=[::1]", times=0, variables={"NO_PROXY": "[::1]", "http_proxy": "http://127.0.0.1:9"}, check=Works(),
        chat=Works(), rows=Works(), embed=Works(),
    ),
    Fault(
        "F22b", "a SOCKS proxy", place=other_machine(), variables={"all_proxy": "socks5://127.0.0.1:9"},
        **everywhere("proxy-settings-unusable", "socks5"),
    ),
    Fault(
        "F22c", "SSL_CERT_FILE names no file", place=other_machine("https://127.0.0.1:9"),
        variables={"SSL_CERT_FILE": "/no/such.pem"}, **everywhere("proxy-settings-unusable", "SSL_CERT_FILE"),
    ),
    # Whatever answers there.
    *(Fault(
        f"F23-{status}", f"a redirect with {status}", whole(b"", status=status, extra="Location: http://other.test/x\r\n"),
        on="all", **everywhere("redirect-refused", "http://other.test/x"),
    ) for status in (301, 302, 307, 308)),
    Fault(
        "F24", "a web page with 200", page(200, "<html><title>Log in</title></html>"), check=Fails("not-ollama"),
        chat=Fails("answer-unreadable", "Log in"), rows=Fails("answer-unreadable", "Log in"),
        embed=Fails("rows-failed", "Log in"),
    ),
    Fault(
        "F26", "401 of a proxy", page(401, "<html><title>401</title></html>", 'WWW-Authenticate: Basic realm="x"\r\n'),
        on="all", **everywhere("password-required"),
    ),
    Fault(
        "F26b", "the model needs a sign-in",
        whole({"error": "unauthorized", "signin_url": "https://ollama.com/connect?x=1"}, status=401), on="all",
        **everywhere("sign-in-required", "ollama signin"),
    ),
    Fault("F26c", "403 with an empty body", whole(b"", status=403), on="all", **everywhere("host-header-refused", "403")),
    Fault("F26d", "the cloud is disabled", says(403, "ollama cloud is disabled"), on="all", **everywhere("cloud-disabled")),
    Fault(
        "F27", "404 page not found", whole(b"404 page not found", status=404, kind="text/plain"), on="all",
        **everywhere("path-unknown"),
    ),
    Fault(
        "F28", "the model is missing", says(404, "model 'm' not found"), chat=Fails("model-missing", "om.pull"),
        rows=Fails("model-missing"), embed=Fails("model-missing", all=True),
    ),
    Fault(
        "F28b", "the model is missing, in other words", says(404, 'model "m" not found, try pulling it first'),
        chat=Fails("model-missing"), rows=Fails("model-missing"), embed=Fails("model-missing", all=True),
    ),
    Fault(
        "F29", "the model cannot do it", says(400, '"m" does not support chat'), chat=Fails("model-wrong-type"),
        rows=Fails("model-wrong-type"), embed=Dash("no chat"),
    ),
    Fault(
        "F30", "the context is exceeded", says(400, "the input length exceeds the context length"),
        chat=Fails("prompt-too-long"), rows=Fails("prompt-too-long"), embed=Fails("texts-too-long", "Row 1"),
    ),
    Fault(
        "F30b", "the context is exceeded, as JSON in a text", says(400, NESTED), chat=Fails("prompt-too-long", "700.*512"),
        rows=Fails("prompt-too-long", "700"), embed=Fails("texts-too-long", "188 tokens too long"),
    ),
    Fault(
        "F31", "429, and well again", whole(b"slow down", status=429, kind="text/plain", extra="Retry-After: 0\r\n"), times=1,
        chat=Fails("server-busy"), rows=Works(), embed=Works(),
    ),
    *(Fault(
        f"F31-{name}", f"503 with Retry-After: {value}",
        says(503, "server busy, please try again", f"Retry-After: {value}\r\n"), times=1, chat=Fails("server-busy"),
        rows=Works(), embed=Works(),
    ) for name, value in (("1", "1"), ("date", "Wed, 21 Oct 2015 07:28:00 GMT"), ("odd", "soon"))),
    Fault(
        "F31-limit", "429 of a used-up quota", says(429, "you have reached your usage limit"),
        chat=Fails("usage-limit-reached", "usage limit"), rows=Fails("usage-limit-reached"),
        embed=Fails("usage-limit-reached", all=True),
    ),
    Fault(
        "F31-9999", "429 with Retry-After: 9999", says(429, "busy", "Retry-After: 9999\r\n"), chat=Fails("usage-limit-reached"),
        rows=Fails("usage-limit-reached"), embed=Fails("usage-limit-reached", all=True),
    ),
    Fault(
        "F32", "out of memory", says(500, "CUDA error: out of memory"), chat=Fails("model-failed", "memory"),
        rows=Fails("model-failed"), embed=Fails("rows-failed", "Row 1"),
    ),
    Fault(
        "F32b", "the runner crashed, once", says(500, "model runner has unexpectedly stopped"), times=1,
        chat=Fails("model-failed"), rows=Works(), embed=Works(),
    ),
    Fault(
        "F32c", "the runner crashes with this text", says(500, "model runner has unexpectedly stopped"),
        chat=Fails("model-failed"), rows=Fails("model-failed"), embed=Fails("rows-failed", "Row 1"),
    ),
    Fault(
        "F32d", "the model does not load in time", says(500, "timed out waiting for llama runner to start"),
        chat=Fails("model-failed"), rows=Fails("model-failed"), embed=Fails("model-failed", all=True),
    ),
    Fault("F33", "502 of a gateway", page(502), on="all", **everywhere("gateway-failed", "502")),
    Fault("F33b", "504 of a gateway", page(504), on="all", **everywhere("gateway-timeout", "504")),
    Fault(
        "F33c", "524 of Cloudflare, once", page(524), times=1, chat=Fails("gateway-timeout", "524"), rows=Works(),
        embed=Works(),
    ),
    Fault("F34", "500 without a body", whole(b"", status=500), on="all", **everywhere("request-refused")),
    Fault(
        "F34b", "500 with a page of 1 MB", page(500, "<html><title>Oops</title>" + "x" * 1_000_000), on="all",
        **everywhere("request-refused", "Oops"),
    ),
    Fault(
        "F35", "200 with an error", says(200, "something broke"), chat=Fails("request-refused", "something broke"),
        rows=Fails("request-refused"), embed=Fails("rows-failed", "something broke"),
    ),
    Fault(
        "F35b", "200 with an error as an object", whole({"error": {"message": "something broke"}}),
        chat=Fails("request-refused", "something broke"), rows=Fails("request-refused"),
        embed=Fails("rows-failed", "something broke"),
    ),
    *(Fault(
        f"F36-{name}", f"JSON of another shape: {text}", whole(text.encode()), chat=Fails("answer-unreadable"),
        rows=Fails("answer-unreadable"), embed=Fails("rows-failed|vectors-mismatch"), check=Fails("not-ollama"),
    ) for name, text in (("list", "[]"), ("null", "null"), ("other", '{"status": "ok"}'), ("number", "7"))),
    Fault(
        "F37", "invalid UTF-8", whole(chunk("a").replace(b'"a"', b'"\xff"')), chat=Fails("answer-unreadable"),
        rows=Fails("answer-unreadable"),
    ),
    Fault(
        "F37b", "a byte order mark", whole(b"\xef\xbb\xbf" + chunk("Hello", done=True)), chat=Fails("answer-unreadable"),
        rows=Fails("answer-unreadable"),
    ),
    Fault(
        "F37c", "NaN among the figures", whole(chunk("Hello", done=True, done_reason="stop", eval_count=float("nan"))),
        chat=Fails("answer-unreadable"), rows=Fails("answer-unreadable"),
    ),
    Fault(
        "F38", "gzip, whole", whole(gzip.compress(chunk("Hello", done=True)), extra="Content-Encoding: gzip\r\n"), on="all",
        **everywhere("answer-unreadable", "gzip"),
    ),
    Fault(
        "F38b", "gzip, truncated", whole(gzip.compress(chunk("Hello", done=True))[:30], extra="Content-Encoding: gzip\r\n"),
        on="all", **everywhere("answer-unreadable", "gzip"),
    ),
    Fault(
        "F39", "less than Content-Length", [Send(_JSON + b"Content-Length: 99\r\n\r\n{"), Close()],
        check=Fails("connection-broken"), chat=Fails("stream-incomplete"), rows=Fails("stream-incomplete"),
        embed=Fails("connection-broken", all=True),
    ),
    Fault(
        "F39b", "a header of 200 kB", [Send(_JSON + b"X: " + b"a" * 200_000), Hold()], on="all",
        **everywhere("connection-broken"),
    ),
    Fault(
        "F39c", "headers that drip", [Send(_JSON), Drip(b"X-Word: a\r\n", 0.02, endless=True)], on="all",
        **everywhere("server-silent", "0.8 s"),
    ),
    Fault("F39d", "half a header, and the end", [Send(_JSON[:30]), Close()], on="all", **everywhere("connection-broken")),
    Fault(
        "F39e", "half a body, and silence", [Send(_JSON + b"Content-Length: 99\r\n\r\n{"), Hold()],
        check=Fails("server-silent", "0.8 s"), chat=Fails("stream-stalled"), rows=Fails("stream-stalled"),
        embed=Fails("server-silent", all=True),
    ),
    Fault(
        "F39f", "half an error, and silence", [Send(b"HTTP/1.1 500 Oops\r\nContent-Length: 99\r\n\r\n<"), Hold()], on="all",
        **everywhere("server-silent", "0.8 s"),
    ),
    # Answers that come as they should not.
    Fault(
        "F40", "FIN within a line", lines(chunk("a"), chunk("b")[:20]), chat=Fails("stream-unreadable", kept="a"),
        rows=Fails("stream-unreadable"),
    ),
    Fault(
        "F40b", "FIN within an HTTP chunk", [Send(CHUNKED), Piece(chunk("a")), Send(b"50\r\n{"), Close()],
        chat=Fails("stream-incomplete", kept="a"), rows=Fails("stream-incomplete"),
    ),
    Fault(
        "F40c", "RST", [Send(LINES), Lines(3), Wait(0.05), Reset()], chat=Fails("stream-incomplete", kept="0 1 2 "),
        rows=Fails("stream-incomplete"),
    ),
    Fault(
        "F40d", "an HTTP chunk of no length", [Send(CHUNKED), Piece(chunk("a")), Send(b"zz\r\n"), Hold()],
        chat=Fails("stream-incomplete", kept="a"), rows=Fails("stream-incomplete"),
    ),
    Fault(
        "F41", "a clean end without done", lines(chunk("a")),
        chat=Fails("stream-incomplete", "_ollama|error.partial", kept="a"), rows=Fails("model-stuck"),
    ),
    Fault(
        "F41b", "an HTTP body that ends without done", whole(chunk("a"), kind="application/x-ndjson"),
        chat=Fails("stream-incomplete", kept="a"), rows=Fails("model-stuck"),
    ),
    Fault("F41c", "nothing at all", lines(), chat=Fails("stream-incomplete"), rows=Fails("stream-incomplete")),
    Fault(
        "F42", "an error in the stream", lines(chunk("a"), b'{"error":"unexpected EOF"}\n'),
        chat=Fails("stream-error", "unexpected EOF", kept="a"), rows=Fails("stream-error"),
    ),
    Fault(
        "F42b", "an error as an object in the stream", lines(chunk("a"), b'{"error":{"message":"unexpected EOF"}}\n'),
        chat=Fails("stream-error", "unexpected EOF", kept="a"), rows=Fails("stream-error"),
    ),
    Fault(
        "F43c", "a byte order mark in the stream", lines(chunk("a"), b"\xef\xbb\xbf" + chunk("b")),
        chat=Fails("stream-unreadable", kept="a"), rows=Fails("stream-unreadable"),
    ),
    Fault(
        "F43", "an error under a foreign key", lines(chunk("a"), b'{"detail":"quota"}\n'),
        chat=Fails("stream-unreadable", "quota", kept="a"), rows=Fails("stream-unreadable"),
    ),
    Fault(
        "F43b", "a web page in the stream", lines(chunk("a"), b"<html>502</html>\n"),
        chat=Fails("stream-unreadable", "502", kept="a"), rows=Fails("stream-unreadable"),
    ),
    Fault(
        "F44", "a stall between tokens", lines(chunk("a"), end=Hold), chat=Fails("stream-stalled", "0.8 s", kept="a"),
        rows=Fails("stream-stalled"),
    ),
    Fault(
        "F44b", "a line that drips", [Send(LINES + chunk("a")), Drip(b" ", 0.02, endless=True)],
        chat=Fails("stream-stalled", "0.8 s", kept="a"), rows=Fails("stream-stalled"),
    ),
    Fault(
        "F45", "one byte at a time", [Send(LINES), Slices(chunk("Hel") + chunk("lo") + END), Close()], chat=Works(),
        rows=Works(),
    ),
    Fault(
        "F45b", "CRLF, blank lines, no end of the last",
        lines((chunk("Hel") + b"\r\n \n" + chunk("lo") + END).replace(b"}\n", b"}\r\n").rstrip()), chat=Works(), rows=Works(),
    ),
    Fault(
        "F46", "marks that others take for line ends",
        lines(chunk("a\u0085b\u2028c\u2029d\x00e\u202ef", done=True, done_reason="stop")),
        chat=Works("a\u0085b\u2028c\u2029d\x00e\u202ef"),
    ),
    Fault(
        "F46b", "half a pair of UTF-16", lines(b'{"message":{"content":"\\ud800"},"done":true}\n'),
        chat=Fails("answer-unreadable"), rows=Fails("answer-unreadable"),
    ),
    Fault(
        "F47", "a line of 80 MB", [Send(LINES), Flood(b"a" * 65536)], chat=Fails("answer-endless", "bytes"),
        rows=Fails("answer-endless"), prompt={"max_tokens": 10}, limit=20,
    ),
    Fault(
        "F48", "thoughts only, cut at the max tokens",
        lines(chunk(message={"content": "", "thinking": "hm"}), chunk("", done=True, done_reason="length", eval_count=9)),
        chat=Works("", "used up by thoughts"), rows=Fails("row-reply-cut"),
    ),
    Fault(
        "F49", "cut at the max tokens", lines(chunk("a"), chunk("", done=True, done_reason="length", eval_count=9)),
        chat=Works("a", "cut at max tokens"),
    ),
    Fault("F50", "more after the end", lines(chunk("Hello"), END, chunk("more"), END, b"rubbish\n"), chat=Works(), rows=Works()),
    Fault(
        "F51", "an endless answer", [Send(LINES), Flood(chunk("word "))], chat=Fails("answer-endless", "1.120 lines"),
        rows=Fails("answer-endless"), prompt={"max_tokens": 15},
    ),
    Fault(
        "F51b", "endless thoughts", [Send(LINES), Flood(chunk(message={"content": "", "thinking": "hm "}))],
        chat=Fails("answer-endless"), prompt={"max_tokens": 15},
    ),
    Fault(
        "F51c", "endless calls",
        [Send(LINES), Flood(chunk(message={"content": "", "tool_calls": [{"function": {"name": "f", "arguments": {}}}]}))],
        chat=Fails("answer-endless", "128 calls"), prompt={"max_tokens": 15},
    ),
    Fault(
        "F52", "an old server cut the prompt: half of the context is counted",
        lines(chunk("Hello", done=True, done_reason="stop", prompt_eval_count=9_000_000)), chat=Works("Hello", "context"),
    ),
    Fault(
        "F53", "a model stuck in blanks, with a format", lines(chunk("{"), *[chunk(" ")] * 40),
        chat=Fails("model-stuck", "(?!.*again)"), prompt={"format": "json"},
    ),
    Fault(
        "F53b", "an object that is no JSON", lines(chunk("{nonsense", done=True, done_reason="stop")),
        chat=Fails("object-invalid"), prompt={"format": "json"},
    ),
    Fault(
        "F53c", "an object that is cut", lines(chunk('{"a": [1', done=True, done_reason="length", eval_count=9)),
        chat=Fails("object-cut"), prompt={"format": "json"},
    ),
    Fault("F53d", "a model that repeats itself", says(500, STUCK), chat=Fails("model-stuck", STUCK), rows=Fails("model-stuck")),
    # Vectors.
    Fault(
        "F55", "fewer vectors than texts", whole({"embeddings": [[1.0, 2.0, 3.0, 4.0]]}),
        embed=Fails("vectors-mismatch", "1 vectors for 3"),
    ),
    Fault("F56", "empty vectors", whole({"embeddings": [[], [], []]}), embed=Fails("vectors-mismatch", "0 numbers")),
    Fault("F56b", "zeros", whole({"embeddings": [[0.0] * 4] * 3}), embed=Fails("rows-failed")),
    Fault(
        "F56c", "null among the numbers", whole(b'{"embeddings": [[1.0, null, 1, 1], [1, 1, 1, 1], [1, 1, 1, 1]]}'),
        embed=Fails("rows-failed"),
    ),
    Fault(
        "F57", "one text that gives NaN", says(400, "embedding contains NaN or Inf values"),
        embed=Fails("rows-failed", "Row 1.*NaN"),
    ),
    Fault("F58", "the runner is gone, as 400, once", says(400, EOF_SAID), times=1, embed=Works()),
    Fault("F58b", "the runner is gone, as 500, once", says(500, EOF_SAID), times=1, embed=Works()),
    # The way to the server, once more: what is found all the same.
    Fault("F04", "reset under the request, once", [Reset()], times=1, chat=Works(), rows=Works(), embed=Works()),
    Fault(
        "F12", "an address to listen on", url="http://0.0.0.0:{port}", check=Works(), chat=Works(), rows=Works(), embed=Works(),
    ),
    Fault(
        "F13", "an address with quotes, blanks and a path", url=' "http://127.0.0.1:{port}/v1/" ', check=Works(), chat=Works(),
        rows=Works(), embed=Works(),
    ),
    Fault(
        "F13b", "an address in full width", url="http：／／127.0.0.1:{port}", check=Works(), chat=Works(), rows=Works(),
        embed=Works(),
    ),
    Fault(
        "F69", "called in a running event loop", inside=in_event_loop, check=Works(), chat=Works(), rows=Works(), embed=Works(),
    ),
    Fault("F69b", "called in a thread", inside=in_thread, check=Works(), chat=Works(), rows=Works(), embed=Works()),
    # Held elsewhere: what is not in the script of a server.
    Fault(
        "F01", "the name is unknown", check=Held(f"{SITUATIONS}::test_a_situation_is_reported_with_a_remedy"),
        chat=Held(f"{CLIENT}/test_connections.py::test_an_unknown_host_is_named"), rows=ONE_CLIENT, embed=ONE_CLIENT,
    ),
    Fault(
        "F02", "the look-up of the name hangs",
        check=Held("tests/diagnosis/test_limits.py::test_the_metadata_stages_end_in_time_whatever_a_server_does"),
        chat=Held("tests/server/transport/test_interrupts.py::test_a_wait_for_a_name_ends"), rows=ONE_CLIENT, embed=ONE_CLIENT,
    ),
    Fault(
        "F06", "only one family of addresses listens", check=Held(f"{SITUATIONS}::test_a_situation_is_reported_with_a_remedy"),
        chat=Held(f"{CLIENT}/test_connections.py::test_both_families_of_addresses_are_tried"), rows=ONE_CLIENT,
        embed=ONE_CLIENT,
    ),
    Fault(
        "F13c", "three hundred spellings of addresses",
        check=Held("tests/server/address/test_address_spellings.py::test_a_spelling_leads_to_its_address"), chat=ONE_CLIENT,
        rows=ONE_CLIENT, embed=ONE_CLIENT,
    ),
    Fault(
        "F14", "in a container, WSL, Colab, over SSH", check=Held(f"{SITUATIONS}::test_a_situation_is_reported_with_a_remedy"),
        chat=Dash("names the check"), rows=Dash("names the check"), embed=Dash("names the check"),
    ),
    Fault(
        "F25", "a look-alike of Ollama", check=Held(f"{LOOK_ALIKES}::test_a_look_alike_is_named_by_the_check"),
        chat=Held(f"{LOOK_ALIKES}::test_a_look_alike_is_named_by_a_chat_as_well"), rows=ONE_CLIENT, embed=ONE_CLIENT,
    ),
    Fault(
        "F54", "a call with an unknown name or a wrong argument",
        chat=Held("tests/conversation/tools/test_toolbox.py::test_an_unknown_name_or_a_wrong_argument_runs_nothing_and_asks_nobody"),
    ),
    Fault(
        "F57b", "one bad text among 256",
        embed=Held("tests/embeddings/test_job_failures.py::test_one_bad_text_among_256_is_named_and_the_others_kept"),
    ),
    Fault(
        "F59", "the server loses the order (also F60: other vectors alone)",
        embed=Held(f"{ANSWERS}::test_verify_reports_texts_that_embed_differently_alone"),
    ),
    Fault(
        "F61", "the model is replaced during the job",
        embed=Held(f"{ANSWERS}::test_a_model_that_is_replaced_during_the_job_ends_it"),
    ),
    Fault(
        "F62", "killed at random moments",
        rows=Held("tests/rows/test_resume.py::test_killed_jobs_ask_again_only_for_rows_in_flight"),
        embed=Held("tests/store/test_processes.py::test_a_process_that_is_killed_at_any_moment_leaves_whole_batches"),
    ),
    Fault(
        "F63", "a store on a full disk, damaged, locked",
        rows=Held("tests/rows/test_resume.py::test_a_damaged_store_is_set_aside"),
        embed=Held("tests/store/test_failures.py::test_a_damaged_or_foreign_file_is_set_aside_and_a_new_one_begun"),
    ),
    Fault(
        "F64", "rows that are no texts",
        rows=Held("tests/rows/test_bad_input.py::test_an_error_comes_before_the_first_request"),
        embed=Held("tests/embeddings/test_job_rows.py::test_bad_rows_of_a_list_are_named_before_anything_is_sent"),
    ),
    Fault(
        "F65", "files that are no pictures",
        chat=Held("tests/conversation/images/test_checking.py::test_bytes_that_are_no_picture_are_named_by_their_kind"),
    ),
    Fault(
        "F66", "addresses of pictures on private machines",
        chat=Held("tests/server/test_fetch.py::test_only_public_machines_are_connected_to"),
    ),
    Fault(
        "F67", "the stop button in every phase",
        check=Held("tests/diagnosis/test_limits.py::test_a_check_can_be_stopped_at_any_stage"),
        chat=Held(f"{CLIENT}/test_leaving.py::test_an_interrupt_that_wakes_no_socket_ends_a_wait"),
        rows=Held("tests/rows/test_resume.py::test_an_interrupted_job_asks_for_the_rest"),
        embed=Held("tests/embeddings/test_job_ends.py::test_an_interrupt_closes_the_connections_and_ends_the_threads"),
    ),
    Fault(
        "F68", "loaded twice; a new kernel in mid-job",
        check=Held("tests/notebook/magics/test_form.py::test_loading_twice_and_unloading_leave_the_shell_as_it_was"),
        embed=Held("tests/embeddings/test_job_ends.py::test_only_missing_rows_are_requested_after_an_interrupt"),
    ),
    Fault(
        "F70", "a front end without widgets", check=Held("tests/api/test_shell.py::test_what_cannot_be_done_ends_with_1"),
        chat=Held("tests/notebook/display/test_terminal.py::test_where_the_output_is_no_terminal_it_is_plain_text"),
    ),
    Fault(
        "F71", "broken files of settings",
        check=Held("tests/settings/test_saving.py::test_a_profile_that_cannot_be_read_stops_every_request_until_it_is_fixed"),
    ),
    Fault(
        "F72", "a key with line ends, quotes, odd characters",
        check=Held("tests/settings/test_keys.py::test_files_of_keys_that_another_program_wrote"),
        chat=Held(f"{CLIENT}/test_secrets.py::test_a_key_that_http_cannot_carry_is_refused_unseen"), rows=ONE_CLIENT,
        embed=ONE_CLIENT,
    ),
    # What real servers answer with 200, and is wrong: the lines of one table of measurements, with the requests that lead there.
    Fault(
        "L01", "a whole answer that is not done: the model repeated itself", whole(chunk("{     ")),
        chat=Dash("asks for a stream"), rows=Fails("model-stuck"),
    ),
    Fault(
        "L01b", "the same with a format: a loop over blanks", whole(chunk("{" + " " * 30)), prompt={"format": "json"},
        chat=Fails("stream-incomplete"), rows=Dash("as L01"),
    ),
    Fault(
        "L02", "the server cut a long message to the context, all the same",
        lines(chunk("Hello", done=True, done_reason="stop", prompt_eval_count=512, eval_count=5)), card=TEXT_ONLY,
        prompt={"context_length": 512}, chat=Works("Hello", "lost the beginning"),
        rows=Fails("row-past-context", "517 of 512"),
    ),
    Fault(
        "L02b", "the server cut a long message to half of the context, all the same",
        lines(chunk("Hello", done=True, done_reason="stop", prompt_eval_count=259, eval_count=5)), card=TEXT_ONLY,
        before="Some words that are sent. " * 200, prompt={"context_length": 512},
        chat=Works("Hello", "cut the prompt to 259 tokens"), rows=Fails("row-prompt-cut", "259 tokens.*512"),
    ),
    Fault(
        "L03", "the server drops the oldest of 400 turns",
        chat=Dash("every request says truncate: false, which each cell checks; then L04"),
    ),
    Fault(
        "L03b", "the server dropped the oldest turns, all the same",
        lines(chunk("Hello", done=True, done_reason="stop", prompt_eval_count=502, eval_count=5)), card=TEXT_ONLY,
        before="Some words that are sent. " * 200, prompt={"context_length": 512},
        chat=Works("Hello", "cut the prompt to 502 tokens"), rows=Fails("row-prompt-cut", "502 tokens.*512"),
    ),
    Fault(
        "L04", "the prompt is too long, in the words of 0.33", says(400, REFUSED),
        chat=Fails("prompt-too-long", "36005.*512"), rows=Fails("prompt-too-long", "36005"),
        embed=Fails("texts-too-long", "Row 1"),
    ),
    Fault(
        "L05", "an answer past the context",
        lines(chunk("Hello", done=True, done_reason="stop", prompt_eval_count=6, eval_count=600)), card=TEXT_ONLY,
        prompt={"context_length": 256}, chat=Works("Hello", "lost the beginning"),
        rows=Fails("row-past-context", "606 of 256"),
    ),
    Fault(
        "L06", "an answer longer than what is left of the context",
        lines(chunk("Hello"), chunk("", done=True, done_reason="length", prompt_eval_count=6, eval_count=512)), card=TEXT_ONLY,
        prompt={"context_length": 512}, chat=Works("Hello", "lost the beginning"), rows=Fails("row-past-context"),
    ),
    Fault(
        "L07", "with --strict the answer ends with the context",
        lines(chunk("Hello"), chunk("", done=True, done_reason="length", prompt_eval_count=6, eval_count=251)), card=TEXT_ONLY,
        prompt={"context_length": 256, "strict": True}, chat=Fails("context-full", "257 of 256"),
        rows=Dash("a row past the context is an error in any case"),
    ),
    Fault(
        "L08", "a picture, and a model without vision", card=TEXT_ONLY, prompt={"images": [PICTURE]},
        chat=Fails("model-not-able", "vision", unsent=True), rows=Fails("model-not-able", "vision", all=True, unsent=True),
    ),
    Fault(
        "L08b", "a picture, and a model without vision of which nobody knows", says(400, NO_PICTURES),
        prompt={"images": [PICTURE]}, chat=Fails("model-not-able", "vision"), rows=Fails("model-not-able", "vision"),
    ),
    Fault(
        "L09", "half a JPEG", prompt={"images": [JPEG[: len(JPEG) // 2]]}, chat=Fails("picture-unreadable", unsent=True),
        rows=Fails("picture-unreadable", all=True, unsent=True),
    ),
    Fault(
        "L10", "a text over the length of the embedding model",
        embed=Dash("every request says truncate: false, which each cell checks; then L04"),
    ),
    Fault(
        "L10b", "the same, where the server may cut",
        embed=Held("tests/embeddings/test_job_failures.py::test_cut_texts_are_found_by_asking"),
    ),
    Fault(
        "L11", "a text over the length of the embedding model: the whole batch is refused",
        says(400, "the input length exceeds the context length"), embed=Fails("texts-too-long", "Row 1"),
    ),
    Fault("L12", "embeddings of a chat model", card=TEXT_ONLY, embed=Fails("model-wrong-type", unsent=True)),
    Fault(
        "L12b", "embeddings of a chat model, with 501",
        says(501, "This server does not support embeddings. Start it with `--embeddings`"),
        embed=Fails("model-wrong-type", all=True),
    ),
    Fault(
        "L13", "a context over the model's maximum", card=SMALL, prompt={"context_length": 4096}, embedding={"context": 4096},
        chat=Works("Hello", "maximum context is 2048"), rows=Works(warns="maximum context is 2048"),
        embed=Works(warns="maximum context is 2048"),
    ),
    Fault(
        "L14", "a negative context", prompt={"context_length": -5}, embedding={"context": -5},
        chat=Fails("setting-invalid", unsent=True), rows=Fails("setting-invalid", all=True, unsent=True),
        embed=Fails("setting-invalid", all=True, unsent=True),
    ),
    Fault(
        "L15", "an unknown option", prompt={"options": {"tempratur": 1}}, embedding={"options": {"num_thread_": 1}},
        chat=Fails("setting-invalid", 'options=."temperature"', unsent=True),
        rows=Fails("setting-invalid", 'options=."temperature"', all=True, unsent=True),
        embed=Fails("setting-invalid", "num_thread", unsent=True),
    ),
    Fault(
        "L15b", "an unknown role",
        chat=Held("tests/conversation/test_conversation_files.py::test_messages_that_are_no_conversation_are_refused"),
        rows=Dash("a row has no earlier messages"),
    ),
    Fault("L15c", "an answer in an unknown role", lines(chunk(message={"role": "narrator", "content": "Hello"}), END),
        chat=Works(), rows=Works()),
    Fault("L16", "no text at all", texts=[], embed=Fails("texts-empty", unsent=True)),
    Fault("L16b", "null instead of a text", texts=["one", None], embed=Fails("rows-not-text", "Row 1 is None", unsent=True)),
    Fault(
        "L16c", "no vectors with 200", whole({"embeddings": []}), embed=Fails("vectors-mismatch", "0 vectors for 3"),
    ),
    Fault("L17", "empty and blank texts", texts=["", " "], embed=Fails("rows-not-text", "Row 0.*row 1", unsent=True)),
    Fault(
        "L17b", "texts in which nothing can be seen, which get one vector", texts=["a", "\u200b", "\ufeff\n\u00ad", "\u3000"],
        embed=Fails("rows-not-text", "Row 1.*row 2.*row 3", unsent=True),
    ),
    # Answers that end anywhere, as a seed draws it; python -m tests.faults R77 tries another seed.
    *(fault for seed in range(1, 6) for fault in cut_at_random(seed)),
)
