"""A type in, a JSON schema out; text in, values and DataFrames out."""

from ollama_magics.schema.fitting import fit as fit
from ollama_magics.schema.fitting import inlined as inlined
from ollama_magics.schema.kinds import Schema as Schema
from ollama_magics.schema.kinds import UnfitError as UnfitError
from ollama_magics.schema.kinds import of as of
from ollama_magics.schema.records import Rows as Rows
from ollama_magics.schema.records import frame as frame
from ollama_magics.schema.records import pretty as pretty
from ollama_magics.schema.records import records as records
