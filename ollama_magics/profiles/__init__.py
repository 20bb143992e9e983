"""Named settings on disk, and keys apart from them; nothing is ever read from the folder of a notebook."""

from ollama_magics.profiles.files import export, forget, imported, load, names, save
from ollama_magics.profiles.folder import DEFAULT
from ollama_magics.profiles.keys import store, stored

__all__ = ["DEFAULT", "export", "forget", "imported", "load", "names", "save", "store", "stored"]
