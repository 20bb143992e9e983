"""Anything that looks like a picture -> checked PNG or JPEG bytes, and never a guess at what a string means."""

from ollama_magics.images.collecting import collect as collect
from ollama_magics.images.files import from_path as from_path
from ollama_magics.images.picture import Picture as Picture
