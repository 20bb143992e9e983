"""What differs between two releases of Ollama: one row a fact, one column a release."""

from __future__ import annotations

from typing import Any

RELEASES = ("0.24.0", "0.34.4")


def relayed(message: str, kind: str = "invalid_request_error", more: str = "") -> tuple[int, str]:
    """Return status and text of an error of llama-server, which is JSON in a text; each ``*`` stands for anything."""
    return 400, f'{{"error":{{"code":400,"message":"{message}","type":"{kind}"{more}}}}}'


TOO_LONG = relayed(
    "request (* tokens) exceeds the available context size (512 tokens), try increasing it",
    "exceed_context_size_error",
    ',"n_prompt_tokens":*,"n_ctx":512',
)
BAD_SCHEMA = relayed(r"Field 'json_schema': \"json_schema\": JSON schema conversion failed:\nJSON schema error at #*")
BAD_GRAMMAR = relayed("Failed to initialize samplers: failed to parse grammar")
BAD_PICTURE = relayed("Failed to load image or audio file")
BLIND = relayed("Multimodal data provided, but model does not support multimodal requests.")
CRASHED = (500, "model runner has unexpectedly stopped, *")
LEVELS = '("high", "medium", "low", "max", true, or false)'
METRICS = ("total_duration", "load_duration", "prompt_eval_count", "prompt_eval_duration", "eval_count", "eval_duration")
CACHED = (*METRICS[:3], "prompt_eval_cached_count", *METRICS[3:])
LOOP = (500, "prediction aborted, token repeat limit reached")
TYPICAL = (400, "typical_p is no longer supported")
NO_BYTES = (500, "Failed to create new sequence: failed to process inputs: received zero length image")
OLD_LONG = (400, "the input length exceeds the context length")
OLD_SCHEMA = (500, "invalid JSON schema in format")
WRAPPED = r'struct { *api.ChatRequest; Think json.RawMessage "json:\"think\"" }'
OLD_THINK, NEW_THINK = f"think must be a boolean or string {LEVELS}", "think must be a boolean or string"
NO_EMBEDDINGS = (501, "This server does not support embeddings. Start it with `--embeddings`")

# fmt: off
FACTS: dict[str, tuple[Any, Any]] = {
    # a fact                                       in 0.24.0                 in 0.34.4; None: it is answered
    "a prompt that is too long":                  (OLD_LONG,                 TOO_LONG),
    "tokens read of a prompt that is cut to 512": (512,                      259),
    "tokens that num_ctx 64 holds, unshifted":    (65,                       256),
    "context length loaded for num_ctx 64":       (64,                       64),
    "context length loaded for num_ctx 1":        (4,                        4),
    "context length of a vision model for 512":   (2048,                     2048),
    "a schema that cannot be used":               (OLD_SCHEMA,               BAD_SCHEMA),
    "a schema that says nothing":                 (OLD_SCHEMA,               None),
    "minimum length over 2000 in a schema":       (CRASHED,                  BAD_GRAMMAR),
    "maximum length over 2000 in a schema":       (CRASHED,                  None),
    "an empty schema stands for an object":       (True,                     False),
    "an entry of tags also has":                  ((),                       ("capabilities",)),
    "details in tags also have":                  ((),                       ("context_length", "embedding_length")),
    "a picture for a model without vision":       (None,                     BLIND),
    "a picture of no bytes":                      (NO_BYTES,                 BAD_PICTURE),
    "a picture that is none":                     (CRASHED,                  BAD_PICTURE),
    "a WEBP picture":                             (CRASHED,                  None),
    "a chat request is of type":                  ("api.ChatRequest",        WRAPPED),
    "a member of a chat request is called":       ("ChatRequest.",           ".ChatRequest."),
    "an unknown model to show":                   ("model 'Nope' not found", "model 'Nope:latest' not found"),
    "a level of thinking comes before the model": (True,                     False),
    "thinking of another type":                   (OLD_THINK,                NEW_THINK),
    "figures of an answer":                       (METRICS,                  CACHED),
    "eval_duration of one token":                 (None,                     1000),
    "a token again and again, not streamed":      (None,                     LOOP),
    "a token again and again, streamed, ends in": ("done",                   "error"),
    "typical_p":                                  (None,                     TYPICAL),
    "embeddings of a chat model":                 (None,                     NO_EMBEDDINGS),
}
# fmt: on


def fact(name: str, version: str) -> Any:
    """Return what holds of a release; of one between the two, or of a newer one, what held of the last before it."""
    column = max((number for number, release in enumerate(RELEASES) if _numbers(release) <= _numbers(version)), default=0)
    return FACTS[name][column]


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.partition("-")[0].split(".")))
