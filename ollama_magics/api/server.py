"""Check the server, and list, describe, download and delete its models."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING, Any

from ollama_magics.api.calls import UserLine, language_of_user, worded
from ollama_magics.errors import in_language, suggest_names
from ollama_magics.jobs.unused import Unused
from ollama_magics.server import pulling
from ollama_magics.session import models as session_models
from ollama_magics.session.session import current

if TYPE_CHECKING:
    from ollama_magics.diagnosis.report import CheckReport


@suggest_names
@worded
def check(*, deep: bool = False) -> CheckReport:
    """Return the report of the connectivity check, which is true if every stage passed.

    ``deep`` also loads the model, asks it, and tests what it can do; otherwise no model is loaded. Raises nothing: what is wrong
    is in the report.

    Example: ``assert om.check()``
    """
    return current().check(deep=deep).in_place("python check")


@suggest_names
@worded
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
@worded
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
@worded
def stop(model: str) -> bool:
    """Remove a model from the memory of the server, and return whether it was there. Raises ModelProblem (``model-missing``).

    Example: ``om.stop("llama3.2")``
    """
    return session_models.stop_model(current(), model)


@suggest_names
@worded
def rm(model: str) -> None:
    """Delete a model from the disk of the server, without a question. Raises ModelProblem (``model-missing``).

    Example: ``om.rm("llama3.2")``
    """
    session_models.delete_model(current(), model)


class Pull(Unused, Iterator[pulling.PullProgress]):
    """The steps of a download, which begins with the first of them."""

    def __init__(self, steps: Generator[pulling.PullProgress, None, None]) -> None:
        self._steps = steps

    def __next__(self) -> pulling.PullProgress:
        self._is_used = True
        return next(self._steps)

    def close(self) -> None:
        """End the download; what has been downloaded stays."""
        self._is_used = True
        self._steps.close()


@suggest_names
@worded
def pull(model: str) -> Pull:
    """Let the server download a model while the result is iterated over; yield how far it is after every step.

    A step has ``status``, ``completed`` and ``total`` (bytes of a layer), ``downloaded`` and ``size`` (bytes of all layers),
    ``share`` (0 to 1), ``speed`` (bytes a second) and ``seconds_left``. Leaving the iteration ends the download; what has been
    downloaded stays, and the next pull goes on there. ``model`` may be a name, a command such as ``ollama run llama3.2``, or a
    link to ollama.com or Hugging Face.

    Raises ModelProblem (``model-name-invalid``) and RequestRefused (``pull-unknown``, ``pull-no-network``, ``pull-disk-full`` and
    others, ``pull-failed``).

    Example: ``for step in om.pull("llama3.2"): print(step.status)``
    """
    return UserLine().told_unused(Pull(_steps_of(model)), "pull_unused")


def _steps_of(model: str) -> Generator[pulling.PullProgress, None, None]:
    with in_language(language_of_user):
        yield from pulling.pull(current().client, model)
        current().forget_models()
