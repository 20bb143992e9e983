"""A magic line -> its options and the rest of the line, and nothing of what they mean."""

from ollama_magics.arguments.asked import Asked as Asked
from ollama_magics.arguments.bare import Bare as Bare
from ollama_magics.arguments.bodiless import with_body as with_body
from ollama_magics.arguments.options import ASK as ASK
from ollama_magics.arguments.options import check_options as check_options
from ollama_magics.arguments.options import config_options as config_options
from ollama_magics.arguments.options import embed_options as embed_options
from ollama_magics.arguments.options import history_options as history_options
from ollama_magics.arguments.options import prompt_options as prompt_options
from ollama_magics.arguments.reading import assigned_name as assigned_name
from ollama_magics.arguments.reading import evaluated as evaluated
from ollama_magics.arguments.reading import named as named
from ollama_magics.arguments.reading import pairs as pairs
from ollama_magics.arguments.reading import read as read
from ollama_magics.arguments.reading import read_named as read_named
from ollama_magics.arguments.reading import refuse_both as refuse_both
from ollama_magics.arguments.reading import refuse_detached as refuse_detached
from ollama_magics.arguments.reading import refuse_secrets as refuse_secrets
from ollama_magics.arguments.reading import wishes as wishes
