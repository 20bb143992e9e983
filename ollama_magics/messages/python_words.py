"""Say what to type in Python instead of magics and their options."""

from __future__ import annotations

import re

# The patterns are compiled at the first error that is shown in Python.
_VALUE = r'(?: (?!--|or\b)("[^"]*"|[^\s"·,;，；（）()]+))?'
_CONFIG = rf"%ollama_config((?: --[a-z][a-z-]*{_VALUE})*)"
_CONFIG_FLAG = rf"--([a-z][a-z-]*){_VALUE}"
# what only a notebook has: profiles, recordings and the table of settings
_NOTEBOOK_ONLY = {"save", "forget", "export", "import", "profiles", "show", "unset", "record", "no-probes"}
_BETWEEN = "   ·   "  # two ways to do it
_CHINESE = "[\u4e00-\u9fff]"
_PARAMETERS = {"context": "context_length", "type": "model_type", "tool": "tools", "image": "images", "chat": "conversation"}
_SWITCHES = {
    **{name: f"{name}=True" for name in ("strict", "new", "generate", "truncate", "reuse", "verify")},
    "continue": "go_on=True",
    "yes": "confirm=lambda call: True",
    "any-model": "any_model=True",
}
_OPTIONS = (
    *("max-tokens", "context", "temperature", "seed", "stop", "keep-alive", "think", "format", "tool", "image", "chat", "model"),
    *(
        "batch",
        "on-error",
        "dimensions",
        "base-url",
        "labels",
        "sample",
        "parallel",
        "lines",
        "logprobs",
        "suffix",
        "system",
        "rows",
    ),
)
_OPTION = rf"(?<![\w-])--({'|'.join((*_SWITCHES, *_OPTIONS))})(?![\w-])(?:[ =](nan (?:or|或) skip|nan\b|N\b|\d\w*|[A-Z]+\b))?"
_SHORT = r"""(?<![\w-])(?<!python )-([fimst])(?:[ ](json\b|[A-Z]\w*|"[^"]+"|(?<=-[im] )(?!takes\b)[!-~]+?(?=[;,]?(?:[^!-~]|$))))?(?![\w-])"""
_SHORT_NAMES = {"f": "format", "i": "images", "m": "model", "s": "system", "t": "tools"}
# sentences that speak of a cell, in both languages
_WORDING = (
    (r'(?:%%?ollama )?-s @(?:"([^"]+)"|([^\s",，；;]+))(?: …)?', r'system=open("\1\2").read()'),
    (r"(?:%%?ollama )?(?:-p|--prompt-file) (\w+)", r'om.chat(open("\1").read())'),
    (r"-s \$(\w+)", r"system=\1"),
    (r"(?:%embed )?(?<![\w-])-O (\w+)=(-?\d+(?:\.\d+)?)\b(?: …)?", r'options={"\1": \2}'),
    (r"(?:%embed )?(?<![\w-])-O (\w+)=true\b(?: …)?", r'options={"\1": True}'),
    (r"(?<![\w-])-O (\w+)=…", r'options={"\1": ...}'),
    (r"(?<![\w-])-O\b(?! \w)", "options"),
    (r"--pages ([\d-]+)(?!\])", r'pages="\1"'),
    (r"--pages (?:\[([^\]\n]*)\]|$)", r"pages=[\1]"),
    (r"--think[ =](auto|off|on|low|medium|high|max)\b", r'think="\1"'),
    (r"\n[^\n]*%%ollama --allow-url[^\n]*", ""),
    (r"%%ollama --each[^·\n]*?(?:   ·   |   or in Python: |   或在 Python 中：)", ""),
    (r"write the prompt into the cell, or: %ollama What is Python\?", 'om.chat("What is Python?")'),
    (r"在单元格中输入提示词，或：%ollama (.*)", r'om.chat("\1")'),
    (r"%ollama --chat (\S+) (\S+)", r'om.chat("\2", conversation="\1")'),
    (r"%ollama_history --undo", "conversation.undo()"),
    (r"%ollama_history --chats[^\n]*", "conversation.turns"),
    (r"%ollama_history --save (\w+)", r"conversation.save(\1)"),
    (r"%ollama_history --load (\w+)", r"conversation = om.Conversation.load(\1)"),
    (r"%ollama_pull ([^\s,;，；。]+)", r'for step in om.pull("\1"): print(step.status)'),
    (r"%ollama_(show|stop|rm) ([^\s,;，；。]+)(?: --yes)?", r'om.\1("\2")'),
    (r"%ollama_models\b", "om.models()"),
    (r"%%?ollama\b(?!_)", "om.chat"),
    (r"%ollama_check --deep", "om.check(deep=True)"),
    (r"%ollama_check\b", "om.check()"),
    (r"%embed --context (\w+)(?: …)?", r'context="\1"'),
    (r"%embed (?=--)", ""),
    (r"%embed ((?!--)[^\n]+?)(?=   |\n|$)", r"om.embed(\1)"),
    (r"%embed\b", "om.embed"),
    (r"%pip install", "pip install"),
    (r"(?m)^!", ""),
    (r"--no-fill for all braces of the cell", "no values= for all braces"),
    (r"用 --no-fill 保留整个单元格的花括号", "不传 values=，保留所有花括号"),
    (r"用 --no-fill", "不传 values="),
    (r"--no-fill", "no values="),
    (r"_ollama\b", "error.partial"),
    (r"([Rr])un (?:the|this) cell again", r"\1un it again"),
    (r"重新运行(?:该|此|本)?单元格", "重新运行"),
    (r"the address of this notebook: in a notebook: %ollama_config --unset base_url", 'this address: om.configure(base_url="")'),
    (r"本笔记本的地址：在笔记本中：%ollama_config --unset base_url", '该地址：om.configure(base_url="")'),
    (r" in this notebook: in a notebook: ", ": in a notebook: "),
    (r"在此笔记本中访问服务器：在笔记本中：", "访问服务器：在笔记本中："),
    (r"run all cells with a server (and without OLLAMA_MAGICS_REPLAY)", r"run it with a server \1, or: pytest --ollama-record"),
    (r"(OLLAMA_MAGICS_REPLAY 时)运行所有单元格", r"\1运行，或：pytest --ollama-record"),
    (r"仅用于一个单元格", "仅用于一次"),
    (r"for one cell", "for one call"),
    (r"前端无法在该单元格中接收输入", "没有 confirm 函数"),
    (r"empty the cell", "give an empty prompt"),
    (r"清空单元格", "使用空的提示词"),
    (r"There is no text after the options", "It holds no text"),
    (r"选项之后没有文本", "其中没有文本"),
    (r"The text of the cell", "The prompt"),
    (r"单元格的文本|单元格中的文本", "提示词"),
    (r"this cell cannot ask you", "nobody can be asked"),
    (r"the front end has no input for this cell", "there is no confirm function"),
    (r"interrupt the cell", "interrupt it"),
    (r"中断单元格", "中断运行"),
)


def in_python(text: str) -> str:
    """Return a text with calls and parameters of ollama_magics in the place of magics and options."""
    text = re.sub(_CONFIG, _configure, text)
    for pattern, replacement in _WORDING:
        text = re.sub(pattern, replacement, text)
    text = re.sub(_SHORT, _short_parameter, re.sub(_OPTION, _parameter, text))
    # what is one thing as an option and as a parameter is the same twice by now
    return "\n".join(_BETWEEN.join(dict.fromkeys(line.split(_BETWEEN))) for line in text.split("\n"))


def _configure(found: re.Match[str]) -> str:
    given = re.findall(_CONFIG_FLAG, found[1])
    names = {name for name, _ in given}
    if "sandbox" in names:
        return "with om.sandbox() as url: ..."
    if names == {"profile"}:
        return f"om.use_profile({_literal(given[0][1] or 'NAME')})"
    if not names or names & _NOTEBOOK_ONLY or "profile" in names:
        where = "在笔记本中：" if re.search(_CHINESE, found.string) else "in a notebook: "
        return where + found[0]
    values: dict[str, list[str]] = {}
    for name, value in given:
        values.setdefault(_name(name) if value else "api_key_env", []).append(_literal(value or "NAME"))
    parts = (f"{name}={many[0] if len(many) == 1 else '[' + ', '.join(many) + ']'}" for name, many in values.items())
    return f"om.configure({', '.join(parts)})"


def _parameter(found: re.Match[str]) -> str:
    name, value = found[1], found[2]
    if name == "on-error" and value and value != "nan":
        return f'on_error="{value[:3]}"{value[3:-4]}"{value[-4:]}"'
    return _SWITCHES.get(name) or f"{_name(name)}={_literal(value) if value and value != 'N' else value or ''}"


def _short_parameter(found: re.Match[str]) -> str:
    name, value = _SHORT_NAMES[found[1]], found[2]
    if not value:
        return f"{name}="
    if name == "images":
        return f"images=[{value}]" if value.isidentifier() else f'images=[Path("{value}")]'
    is_type = name == "format" and value != "json"
    return f"{name}={value.strip(chr(34)) if is_type else _literal(value)}"


def _name(flag: str) -> str:
    return _PARAMETERS.get(flag) or flag.replace("-", "_")


def _literal(value: str) -> str:
    if value.startswith("$"):
        return value.removeprefix("$")
    return value if value.isdecimal() or value.startswith('"') else f'"{value}"'
