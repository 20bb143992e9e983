"""Mistakes on a magic line: told in the language of the notebook, by the name of the option."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from IPython.core.error import UsageError

from ollama_magics import messages

LINES = {
    "%ollama_show --help": ("for all options: %ollama_show?", "查看全部选项：%ollama_show?"),
    "%ollama -h": ("for all options: %ollama?", "查看全部选项：%ollama?"),
    "%ollama_config --modle x": ("unknown option --modle; did you mean --model?", "未知选项 --modle；是否想用 --model？"),
    "%ollama_config --model": ("--model: a value is missing", "--model：缺少值"),
    "%ollama_config --no-probes=x": ("it takes no value, but has 'x'", "该选项不带值，但给出了 'x'"),
    "%ollama_config llama3.2": ("what is llama3.2?", "无法识别 llama3.2"),
    "%ollama_config --system 'a": ("a quote is not closed: ", "引号未闭合："),
    "%ollama_check now": ("does not take now", "不接受 now"),
    "%ollama --think high": ("--think=high", "须用 = 连接：--think=high"),
    "%ollama --once --new x": ("--new and --once contradict each other", "不能同时使用"),
    "%ollama -o 1x Hi": ("takes a name of the notebook, not '1x'", "需要笔记本中的变量名"),
    "%ollama -O seed Hi": ("-O takes KEY=VALUE, not 'seed'", "格式为 KEY=VALUE"),
    "%ollama -f nothere Hi": ("-f nothere: name 'nothere' is not defined", "含空格的内容"),
    "%ollama_history a b": ("one name is enough", "只需一个名称"),
    "%ollama_history --chats x": ("--chats does not take x", "--chats 不接受 x"),
    "%ollama -s a --system b Hi": ("--system takes one value and was typed twice", "--system 只接受一个值"),
    "%ollama -p one.txt -p two.txt": ("--prompt-file takes one value", "--prompt-file 只接受一个值"),
    "%ollama -o one -o two Hi": ("--into takes one value", "--into 只接受一个值"),
    "%ollama -f json --format=list[int] Hi": ("--format takes one value", "--format 只接受一个值"),
    "%ollama --think --think=high Hi": ("--think takes one value", "--think 只接受一个值"),
    "%ollama_config --model a --model b": ("--model takes one value", "--model 只接受一个值"),
    "%ollama_history --save a --save b": ("--save takes one value", "--save 只接受一个值"),
    "%ollama -p '' Hi": ("one of them", "只能选一个"),
    "%ollama -s --new Hi": ("-s needs a value; if --new", "-s 需要一个值"),
    "%embed": ("an expression is missing", "缺少表达式"),
}


@pytest.mark.parametrize(("line", "said"), LINES.items(), ids=LINES)
def test_a_mistake_is_told_in_both_languages(shell: Any, line: str, said: tuple[str, str]) -> None:
    """And nothing is sent."""
    for language, text in zip(messages.LANGUAGES, said, strict=True):
        shell.run(f"%ollama_config --language {language}")
        error, _ = shell.fail(line)
        assert isinstance(error, UsageError)
        assert text in str(error)


@pytest.mark.finding("C18")
def test_a_keyring_that_cannot_be_used_is_told_in_the_cell_that_needs_it(shell: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once, and the answer is there."""
    monkeypatch.setitem(sys.modules, "keyring", None)
    shell.run("%ollama_config --key-store keyring")
    shown = [shell.run("%ollama hello") for _ in range(2)]
    assert ["no key was looked up" in text for text in shown] == [True, False]
    assert shown[1]
