"""Set settings and use profiles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from ollama_magics.api.calls import worded
from ollama_magics.errors import suggest_names
from ollama_magics.session.session import current
from ollama_magics.settings import form
from ollama_magics.settings.parameters import require


class _Unchanged:
    """The default of a parameter of configure(): the setting stays as it is."""

    def __repr__(self) -> str:
        return "UNCHANGED"


UNCHANGED: Any = _Unchanged()


@suggest_names
@worded
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
@worded
def use_profile(name: str) -> None:
    """Use a saved profile; settings that were set here before stay.

    ``name`` is the profile, as ``%ollama_config --profiles`` lists it. Raises SettingError (``profile-unknown``).

    Example: ``om.use_profile("gpu")``
    """
    require("name", name, "str", 'om.use_profile("gpu")', fits=isinstance(name, str))
    current().resolved.use(name)
