"""The public calls: chat, embed, check and the rest, for scripts and for functions in a notebook."""

from __future__ import annotations

import inspect
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ollama_magics import messages
from ollama_magics.conversation.conversation import Conversation
from ollama_magics.conversation.prompt import Prompt
from ollama_magics.conversation.template import names_in
from ollama_magics.errors import PromptProblem, SettingError, in_language, suggest_names
from ollama_magics.fake_server.server import FakeServer
from ollama_magics.messages import Phrase
from ollama_magics.server import pulling
from ollama_magics.session import models as session_models
from ollama_magics.session.session import Session, current
from ollama_magics.settings import form

if TYPE_CHECKING:
    import numpy as np

    from ollama_magics.conversation.images import Picture
    from ollama_magics.conversation.reply import Reply
    from ollama_magics.conversation.tools import ToolCall
    from ollama_magics.diagnosis.report import CheckReport
    from ollama_magics.embeddings.output import EmbedReport
    from ollama_magics.rows.experiment import Experiment
    from ollama_magics.rows.options import RowOptions
    from ollama_magics.rows.prompts import ColumnPicture


class _Unchanged:
    """The default of a parameter of configure(): the setting stays as it is."""

    def __repr__(self) -> str:
        return "UNCHANGED"


UNCHANGED: Any = _Unchanged()


def _language() -> str:
    return current().language


@contextmanager
def _worded() -> Iterator[None]:
    """Let errors leave in the language of the user, and notices of the settings as warnings; a decorator of the calls."""
    with in_language(_language):
        yield
    session = current()
    for key, facts in session.resolved.take_notices():
        warnings.warn(messages.notice(key, facts, session.language), stacklevel=5)  # two decorators, and contextlib twice


def _require(name: str, given: object, wanted: str, example: str, *, fits: bool) -> None:
    """Raise SettingError where a parameter has another type than the ``wanted`` one, which is shown as text."""
    if not fits:
        reason = Phrase("need_type", wanted=wanted, kind=type(given).__name__)
        raise SettingError("setting-invalid", value=repr(str(given)[:60]), setting=name, reason=reason, example=example)


@suggest_names
@_worded()
def configure(  # noqa: PLR0913 - one parameter for each setting
    *,
    model: str = UNCHANGED,
    base_url: str = UNCHANGED,
    api_key_env: str = UNCHANGED,
    model_type: Literal["chat", "completion", "embedding"] = UNCHANGED,
    context_length: int | str = UNCHANGED,
    max_tokens: int | str = UNCHANGED,
    vision: Literal["auto", "yes", "no"] | bool = UNCHANGED,
    tools: Literal["auto", "yes", "no"] | bool = UNCHANGED,
    embedding_model: str = UNCHANGED,
    system: str = UNCHANGED,
    temperature: float | None = UNCHANGED,
    top_p: float | None = UNCHANGED,
    top_k: int | None = UNCHANGED,
    seed: int | None = UNCHANGED,
    stop: str | Sequence[str] = UNCHANGED,
    think: str | bool = UNCHANGED,
    keep_alive: float | str | None = UNCHANGED,
    connect_timeout: float = UNCHANGED,
    first_token_timeout: float = UNCHANGED,
    idle_timeout: float = UNCHANGED,
    ca_bundle: str = UNCHANGED,
    headers: Mapping[str, str] | str = UNCHANGED,
    proxy: str = UNCHANGED,
    key_store: Literal["notebook", "keyring", "file"] = UNCHANGED,
    local_only: Literal["no", "yes"] | bool = UNCHANGED,
    probes: Literal["yes", "no"] | bool = UNCHANGED,
    language: Literal["auto", "en", "zh"] = UNCHANGED,
) -> None:
    """Set settings, the same that the panel and ``%ollama_config`` show.

    Parameters are the settings; docs/settings.md has their meaning, range and unit. A parameter that is not given leaves its
    setting as it is. None stands for the server's or the model's default where there is one.

    Raises SettingError (``setting-invalid``) for a bad value and AddressError for a bad address, and then sets nothing.

    Example: ``om.configure(base_url="http://gpu-box:11434", model="llama3.2")``
    """
    given = dict(locals())
    session = current()
    session.configure({name: given[name] for name in form.names() if given[name] is not UNCHANGED})


@suggest_names
@_worded()
def use_profile(name: str) -> None:
    """Use a saved profile; settings that were set here before stay.

    ``name`` is the profile, as ``%ollama_config --profiles`` lists it. Raises SettingError (``profile-unknown``).

    Example: ``om.use_profile("gpu")``
    """
    current().resolved.use(name)


@suggest_names
@_worded()
def chat(  # noqa: PLR0913 - one parameter for each option of a prompt
    prompt: str,
    *,
    model: str = "",
    system: str | None = None,
    values: Mapping[str, Any] | None = None,
    rows: int | Literal["all"] | None = None,
    images: Iterable[Any] = (),
    format: Any = None,  # noqa: A002 - as Ollama calls it
    tools: Iterable[Callable[..., Any]] = (),
    confirm: Callable[[ToolCall], bool] | None = None,
    conversation: str | Conversation | None = None,
    new: bool = False,
    go_on: bool = False,
    strict: bool = False,
    reuse: bool = False,
    generate: bool = False,
    suffix: str = "",
    logprobs: int | None = None,
    local_only: bool = False,
    context_length: int | str | None = None,
    max_tokens: int | str | None = None,
    temperature: float | None = None,
    top_p: float | None = None,
    top_k: int | None = None,
    seed: int | None = None,
    stop: str | Sequence[str] | None = None,
    think: str | bool | None = None,
    keep_alive: float | str | None = None,
    options: Mapping[str, Any] | None = None,
) -> Reply:
    """Return the reply to a prompt. The request is sent at the first iteration or at ``.text``.

    ``model``, ``system`` and the parameters from ``context_length`` to ``keep_alive`` override the settings for this prompt;
    docs/settings.md has their meaning, range and unit. ``options`` are other options of Ollama by Ollama's names, such as
    ``{"min_p": 0.05}``.

    - ``values`` replace ``{{name}}`` in the prompt and in ``system``; without them braces are text. ``rows`` is how many rows of
      a table and items of a list go in (20), or "all". ``images`` are paths, bytes, pictures, arrays or figures.
    - ``format`` is "json", a JSON schema or a type; see ``.value`` and ``.frame`` of the reply. ``tools`` are functions that the
      model may call, if ``confirm`` returns true for the call.
    - Nothing is remembered without a ``conversation``: a Conversation, or the name of one of this notebook ("" for that of cells
      that name none). ``new`` starts it anew, ``go_on`` continues its cut answer, ``strict`` leaves nothing out
      and changes nothing on the way to the model; ``notes`` of the reply list what was.
    - ``reuse`` takes the stored answer of the same request to the same model. ``generate`` completes the prompt instead of
      answering it, up to ``suffix``. ``logprobs`` is a number of alternatives for each token. ``local_only`` refuses to send the
      prompt off this machine.

    Raises PromptProblem (``prompt-not-text``, ``prompt-empty``, ``left-out``), SettingError (``setting-invalid``), ModelProblem
    (``model-missing``) and, when the request is sent, ConnectionProblem, RequestRefused or AnswerCut.

    Example: ``om.chat("Describe {{x}}", values={"x": x}, images=[fig], temperature=0).text``
    """
    given = dict(locals())
    if not isinstance(prompt, str):
        raise PromptProblem("prompt-not-text", kind=type(prompt).__name__)
    for name, text in (("model", model), ("system", system or ""), ("suffix", suffix)):
        _require(name, text, "str", f'om.chat(prompt, {name}="…")', fits=isinstance(text, str))
    _require("values", values, "dict", 'om.chat("Describe {{x}}", values={"x": x})', fits=isinstance(values or {}, Mapping))
    _require("options", options, "dict", 'om.chat(prompt, options={"min_p": 0.05})', fits=isinstance(options or {}, Mapping))
    _require("confirm", confirm, "callable", _CONFIRM_EXAMPLE, fits=confirm is None or callable(confirm))
    is_place = isinstance(conversation, (str, Conversation)) or conversation is None
    _require("conversation", conversation, "str, Conversation", "om.chat(prompt, conversation=om.Conversation())", fits=is_place)
    if values is None:
        _warn_of_names(f"{prompt}\n{system or ''}")
    session = current()
    frozen = Prompt(
        prompt,
        model=model,
        system=system,
        images=tuple(_pictures(session, images)),
        overrides={name: given[name] for name in form.request_places()},
        extra=options or {},
        local_only=local_only,
        format=format,
        tools=tools,
        confirm=confirm,
        new=new,
        once=conversation is None,
        chat=conversation or "",
        go_on=go_on,
        strict=strict,
        generate=generate,
        suffix=suffix,
        logprobs=logprobs,
        reuse=reuse,
        rows=rows,
        in_python=True,
    )
    return session.ask(frozen, values)


@suggest_names
@_worded()
def map(  # noqa: A001, PLR0913 - it is what the word says for a data frame; one parameter for each option
    data: Any,
    prompt: str,
    *,
    format: Any = None,  # noqa: A002 - as Ollama calls it
    system: str | None = None,
    images: Any = (),
    labels: Any = None,
    abstain: float | None = None,
    examples: Iterable[tuple[str, Any]] = (),
    values: Mapping[str, Any] | None = None,
    model: str = "",
    parallel: int | None = None,
    sample: int | None = None,
    tools: Iterable[Callable[..., Any]] = (),
    confirm: Callable[[ToolCall], bool] | None = None,
    base_url: str | Iterable[str] = "",
    store: bool = True,
    reuse: bool = False,
    api_key_env: str = "",
    local_only: bool = False,
    context_length: int | str | None = None,
    max_tokens: int | str | None = None,
    temperature: float | None = None,
    top_p: float | None = None,
    top_k: int | None = None,
    seed: int | None = None,
    stop: str | Sequence[str] | None = None,
    think: Literal["auto", "off", "on", "low", "medium", "high", "max"] | None = None,
    keep_alive: float | str | None = None,
    options: Mapping[str, Any] | None = None,
) -> Any:
    r"""Ask the prompt for each row of the data, and return the data with the answers as columns.

    - ``data``: a data frame (pandas, polars, Arrow, dask), a Series, a list, or a dict of columns. The result is of the same kind
      and has its index; a Series gives a frame, a list gives a list of dicts.
    - ``{{column}}`` in the ``prompt`` comes from the row (``{{item}}`` for a list), other names from ``values``.
    - ``format`` is "json", a JSON schema or a type, whose fields become columns of their types; without it there is a column
      ``reply``.
    - ``labels``, a list, a dict of label and description, an Enum or a comma-separated text, ask for one of them instead: the
      columns are ``label``, the probability of each one as ``p_LABEL``, and ``p_none``, the share of other answers. Below the
      probability ``abstain`` the label is None. ``examples`` are prompts with their labels, shown to the model first.
    - ``images`` are names of columns with a picture in each row, and pictures that are sent with every row.
    - ``parallel`` is the number of requests in flight for each server; None finds it by measuring. ``base_url`` names several
      servers, which share the rows. ``sample`` is a number of rows that are drawn by a fixed seed; None asks for all.
    - Finished rows are kept until the job is finished, so that an interrupted call asks only for the rest. ``reuse`` takes the
      stored rows of a finished job, too; ``store=False`` keeps none.
    - The other parameters are those of om.chat.

    The columns ``error`` (a code and words, or an empty text), ``seconds`` and ``tokens`` follow. A column that is there already
    gets a new one with ``_reply`` behind its name.

    Raises RowsProblem (``rows-missing``, ``rows-mostly-failed``), PromptProblem (``name-unknown``), FormatProblem and the
    errors of om.chat before the first row; Interrupted, whose ``partial`` is the result so far.

    Example: ``om.map(df, "Fill in the ticket.\n\n{{text}}", format=Ticket)``
    """
    given = dict(locals())
    if not isinstance(prompt, str):
        raise PromptProblem("prompt-not-text", kind=type(prompt).__name__)
    from ollama_magics.rows.progress import RowsBar  # noqa: PLC0415 - only a job of rows needs it

    session = current()
    frozen, chosen = _asked_for_rows(session, given, prompt)
    from ollama_magics.integrations import dask, dask_rows  # noqa: PLC0415 - brings in numpy

    if dask.is_collection(data):
        return dask_rows.map_rows(data, frozen, values or {}, chosen, api_key_env)
    bar = RowsBar()
    try:
        result = session.map(data, frozen, values, options=chosen, watch=bar.update)
        bar.update(result.view)
    finally:
        bar.end()
    for note in result.view.notes:
        warnings.warn(note.phrase.text(session.language), stacklevel=4)  # two decorators
    return result.frame


@suggest_names
@_worded()
def experiment(  # noqa: PLR0913 - one parameter for each option
    data: Any,
    prompts: str | Mapping[str, str],
    *,
    models: str | Sequence[str] = (),
    labels: Any = None,
    truth: str = "",
    repeat: int = 1,
    format: Any = None,  # noqa: A002 - as Ollama calls it
    system: str | None = None,
    images: Any = (),
    abstain: float | None = None,
    examples: Iterable[tuple[str, Any]] = (),
    values: Mapping[str, Any] | None = None,
    parallel: int | None = None,
    sample: int | None = None,
    base_url: str | Iterable[str] = "",
    store: bool = True,
    reuse: bool = False,
    local_only: bool = False,
    context_length: int | str | None = None,
    max_tokens: int | str | None = None,
    temperature: float | None = None,
    seed: int | None = None,
    options: Mapping[str, Any] | None = None,
) -> Experiment:
    r"""Ask several models and prompts for each row of the data, and return their answers with figures that compare them.

    - ``prompts`` are templates by name, or one template. ``models`` are asked one after another, so that each is loaded once;
      empty: the model of the settings. ``repeat`` asks each row so many times, with another seed each time.
    - ``truth`` is the column with the right answers: one of the ``labels``, or with ``format`` the field of the same name.
    - Every sampling option is sent, and kept in ``facts`` of the result, so that two servers or versions can be compared: what
      you or the model's own file do not set has a fixed value.
    - The other parameters are those of om.map. An interrupted experiment that is made again asks only for the rest.

    Raises what om.map raises, and PromptProblem (``experiment-invalid``) before the first request. Interrupted has the
    experiment so far as ``partial``. A model that fails has errors instead of answers, as long as another has some.

    Example: ``om.experiment(df, "{{text}}", models=["a", "b"], labels=["yes", "no"], truth="kind").summary``
    """
    given = dict(locals())
    from ollama_magics.rows.run_experiment import ExperimentPlan, run_experiment  # noqa: PLC0415 - only an experiment needs it

    session = current()
    frozen, chosen = _asked_for_rows(session, given)
    plan = ExperimentPlan(
        models=(models,) if isinstance(models, str) else tuple(models),
        prompts=dict(prompts) if isinstance(prompts, Mapping) else {"prompt": prompts},
        repeat=repeat,
        truth=truth,
    )
    return run_experiment(session, data, plan, frozen, values or {}, options=chosen, language=session.language)


def _asked_for_rows(session: Session, given: Mapping[str, Any], prompt: str = "") -> tuple[Prompt, RowOptions]:
    """Return what the parameters of a call ask for each row, and how the rows are asked."""
    from ollama_magics.rows.options import read_row_options  # noqa: PLC0415 - only a job of rows needs it

    frozen = Prompt(
        prompt,
        model=given.get("model", ""),
        system=given["system"],
        overrides={name: given[name] for name in form.request_places() if name in given},
        extra=given["options"] or {},
        local_only=given["local_only"],
        format=given["format"],
        tools=given.get("tools", ()),
        confirm=given.get("confirm"),
        once=True,
    )
    chosen = read_row_options(
        pictures=tuple(_row_pictures(session, given["images"])),
        examples=tuple(given["examples"]),
        **{name: given[name] for name in ("labels", "abstain", "parallel", "sample", "base_url", "store", "reuse")},
    )
    return frozen, chosen


def _row_pictures(session: Session, images: Any) -> Iterator[Picture | ColumnPicture]:
    """Yield a column for each text, with or without braces around it, and the pictures in other values."""
    from ollama_magics.rows.prompts import ColumnPicture  # noqa: PLC0415 - as above

    for what in images if isinstance(images, (list, tuple)) else (images,):
        if isinstance(what, str):
            yield ColumnPicture(what.strip("{} "))
        else:
            yield from session.pictures_of(what, "images")


_CONFIRM_EXAMPLE = "om.chat(prompt, tools=functions, confirm=lambda call: True)"


def _warn_of_names(text: str) -> None:
    """Warn, once in each line, of a name in braces that is a variable where the call stands."""
    frame, level = sys._getframe(1), 1  # noqa: SLF001 - Python's own way to the callers
    while frame.f_back and str(frame.f_globals.get("__name__", "")).partition(".")[0] in ("ollama_magics", "contextlib"):
        frame, level = frame.f_back, level + 1
    for typed, name in names_in(text):
        if name in frame.f_locals or name in frame.f_globals:
            warnings.warn(Phrase("braces_are_text", typed=typed, name=name).text(_language()), stacklevel=level + 1)
            return


def _pictures(session: Session, images: Any) -> Iterator[Picture]:
    """Yield the pictures in the values; a text, or a value that is no collection, is taken for one picture."""
    if isinstance(images, (str, bytes)) or not isinstance(images, Iterable):
        yield from session.pictures_of(images, "images")
    else:
        for number, what in enumerate(images):
            yield from session.pictures_of(what, f"images[{number}]")


@suggest_names
@_worded()
def embed(  # noqa: PLR0913 - one parameter for each option of %embed
    texts: Any = None,
    *,
    model: str = "",
    lines: str | Path = "",
    batch: int | None = None,
    parallel: int = 2,
    dimensions: int | None = None,
    query: bool = False,
    document: bool = False,
    on_error: Literal["raise", "nan", "skip"] = "raise",
    truncate: bool = False,
    verify: bool = False,
    any_model: bool = False,
    context: int | str | None = None,
    keep_alive: float | str | None = None,
    options: Mapping[str, Any] | None = None,
    base_url: str | Iterable[str] = "",
    store: bool = True,
    report: Callable[[EmbedReport], object] | None = None,
    lengths: bool = False,
    api_key_env: str = "",
) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Return the float32 array of the texts, of shape ``(n, d)``, C-contiguous, one row for each text in order.

    - ``texts``: a list, tuple, Series, column, array, generator or one string; or ``lines``, a file with a text on each line.
    - ``model``: the embedding model; empty for that of the settings.
    - ``batch`` texts go into one request; without it about as many as take a second, at most 256. ``parallel`` requests are sent
      at a time, to several servers if ``base_url`` names them. ``dimensions`` is the length of the vectors, where the model can
      shorten them.
    - ``query`` and ``document`` put the model family's prefix before each text.
    - ``on_error``: rows that cannot be embedded raise after all others, become nan, or are left out. ``truncate`` lets the server
      cut texts that are too long. ``verify`` embeds some texts again alone and compares. ``any_model`` accepts a model that is
      not listed as an embedding model.
    - ``context``, ``keep_alive`` and ``options`` are sent with the requests.
    - ``store``: read and write stored vectors. ``report`` is called with the EmbedReport.

    A dask Series, bag or array gives a lazy dask array: ``lengths`` counts its rows at once, and ``api_key_env`` is the
    environment variable of the workers that holds the key.

    Raises EmbeddingProblem (``rows-failed``, ``texts-too-long``), whose ``rows`` name the texts, SettingError
    (``setting-invalid``), ModelProblem (``model-missing``) and the errors of the connection.

    Example: ``om.embed(["a text", "another"], model="all-minilm").shape``
    """
    given = dict(locals())
    _require("model", model, "str", 'om.embed(texts, model="all-minilm")', fits=isinstance(model, str))
    _require("lines", lines, "str, Path", 'om.embed(lines="texts.txt")', fits=isinstance(lines, (str, Path)))
    _require("options", options, "dict", 'om.embed(texts, options={"num_ctx": 2048})', fits=isinstance(options or {}, Mapping))
    _require("base_url", base_url, "str, list", f'om.embed(texts, base_url="{form.DEFAULT_ADDRESS}")', fits=_is_texts(base_url))
    _require("report", report, "callable", "om.embed(texts, report=print)", fits=report is None or callable(report))
    chosen = {name: given[name] for name, parameter in _EMBED_PARAMETERS.items() if given[name] is not parameter.default}
    from ollama_magics.integrations import dask  # noqa: PLC0415 - brings in numpy, which chat does not need

    if dask.is_collection(texts):
        lazy: np.ndarray[Any, np.dtype[np.float32]] = dask.embed(texts, model, lengths=lengths, api_key_env=api_key_env, **chosen)
        return lazy  # dask's array behaves like NumPy's
    return current().embed(texts, model, **chosen)


def _is_texts(given: object) -> bool:
    if isinstance(given, Sequence) and not isinstance(given, bytes):
        return all(isinstance(one, str) for one in given)
    return isinstance(given, Iterable) and not isinstance(given, bytes)


_NOT_PASSED_ON = ("texts", "model", "lengths", "api_key_env")
_EMBED_PARAMETERS = {
    name: parameter for name, parameter in inspect.signature(embed).parameters.items() if name not in _NOT_PASSED_ON
}


@suggest_names
@_worded()
def check(*, deep: bool = False) -> CheckReport:
    """Return the report of the connectivity check, which is true if every stage passed.

    ``deep`` also loads the model, asks it, and tests what it can do; otherwise no model is loaded. Raises nothing: what is wrong
    is in the report.

    Example: ``assert om.check()``
    """
    return current().check(deep=deep).in_place("python check")


@suggest_names
@_worded()
def models() -> list[dict[str, Any]]:
    """Return what is installed on the server, by name, a dict for each model.

    - ``name``, ``digest``, ``size`` in bytes on the disk, ``parameters`` (such as "3.2B"), ``quantization`` (such as "Q4_K_M"),
      ``context_length`` (the longest, in tokens) and ``capabilities``; ``remote_host`` where the model runs in a cloud
    - ``loaded``: whether it is in memory; then ``gpu``, its share on the GPU from 0 to 1, ``loaded_context`` in tokens, and
      ``unloads_in`` seconds, None where it stays

    What the server does not report is None. Raises ConnectionProblem.

    Example: ``[model["name"] for model in om.models()]``
    """
    return session_models.list_models(current())


@suggest_names
@_worded()
def show(model: str) -> dict[str, Any]:
    """Return what the server knows about a model.

    - ``capabilities``, ``parameters``, ``quantization``, ``family``, ``context_length`` and ``embedding_length`` (in tokens and
      dimensions), ``template``, ``system``, ``requires`` (the oldest Ollama that runs it); None where it is not reported
    - ``modelfile_parameters``: the values of each parameter of the Modelfile, as they stand there
    - ``conflicts``: a text for each setting that overrides the Modelfile

    ``model`` may be a name, a command such as ``ollama run llama3.2`` or a link. Raises ModelProblem (``model-missing``,
    ``model-name-invalid``).

    Example: ``om.show("llama3.2")["context_length"]``
    """
    return session_models.describe_model(current(), model)


@suggest_names
@_worded()
def stop(model: str) -> bool:
    """Remove a model from the memory of the server, and return whether it was there. Raises ModelProblem (``model-missing``).

    Example: ``om.stop("llama3.2")``
    """
    return session_models.stop_model(current(), model)


@suggest_names
@_worded()
def rm(model: str) -> None:
    """Delete a model from the disk of the server, without a question. Raises ModelProblem (``model-missing``).

    Example: ``om.rm("llama3.2")``
    """
    session_models.delete_model(current(), model)


@suggest_names
def pull(model: str) -> Iterator[pulling.PullProgress]:
    """Let the server download a model while the result is iterated over; yield how far it is after every step.

    A step has ``status``, ``completed`` and ``total`` (bytes of a layer), ``downloaded`` and ``size`` (bytes of all layers),
    ``share`` (0 to 1), ``speed`` (bytes a second) and ``seconds_left``. Leaving the iteration ends the download; what has been
    downloaded stays, and the next pull goes on there. ``model`` may be a name, a command such as ``ollama run llama3.2``, or a
    link to ollama.com or Hugging Face.

    Raises ModelProblem (``model-name-invalid``) and RequestRefused (``pull-unknown``, ``pull-no-network``, ``pull-disk-full`` and
    others, ``pull-failed``).

    Example: ``for step in om.pull("llama3.2"): print(step.status)``
    """
    with in_language(_language):
        yield from pulling.pull(current().client, model)
        current().forget_models()


@suggest_names
@contextmanager
def sandbox(*, delay: float = 0.02) -> Iterator[str]:
    """Run a stand-in server, yield its address, and use it until the end of the ``with`` block.

    ``delay`` is the time between two tokens, in seconds.

    Example: ``with om.sandbox() as url: ...``
    """
    session = current()
    with FakeServer(delay=delay) as server:
        with session.resolved.restored_at_end():
            session.configure(_sandbox_settings(session, server))
            yield server.url
        session.forget_models()


def start_sandbox() -> str:
    """Start a stand-in server that runs as long as the session, use it, and return its address."""
    session = current()
    server = FakeServer().start()
    session.own(server.stop)
    session.configure(_sandbox_settings(session, server))
    return server.url


SANDBOX_MODELS = "sandbox-chat, sandbox-vision, sandbox-embed, sandbox-think, sandbox-tools"


def _sandbox_settings(session: Session, server: FakeServer) -> dict[str, str]:
    session.resolved.sandboxes.add(server.url)
    # a type that nobody set follows the model that is picked in the panel
    kind = {} if session.settings.model_type == "chat" else {"model_type": "chat"}
    return {"base_url": server.url, "model": "sandbox-chat", "embedding_model": "sandbox-embed", **kind}
