"""Named settings on disk, and keys apart from them; nothing is ever read from the folder of a notebook."""

from ollama_magics.profiles.files import confirm, export, forget, imported, is_unverified, load, names, save
from ollama_magics.profiles.folder import DEFAULT
from ollama_magics.profiles.keys import store, stored

__all__ = [
    "DEFAULT",
    "confirm",
    "export",
    "forget",
    "imported",
    "is_unverified",
    "load",
    "names",
    "save",
    "store",
    "stored",
]
