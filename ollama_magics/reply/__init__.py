"""A reply: the stream that remembers what it said, what surrounds it, and how it looks."""

from ollama_magics.reply.circumstances import Circumstances as Circumstances
from ollama_magics.reply.circumstances import Stats as Stats
from ollama_magics.reply.data import pretty as pretty
from ollama_magics.reply.looks import body_html as body_html
from ollama_magics.reply.looks import bundle as bundle
from ollama_magics.reply.looks import call_line as call_line
from ollama_magics.reply.looks import column_facts as column_facts
from ollama_magics.reply.looks import columns_bundle as columns_bundle
from ollama_magics.reply.looks import columns_metadata as columns_metadata
from ollama_magics.reply.looks import figures as figures
from ollama_magics.reply.looks import finished_column as finished_column
from ollama_magics.reply.looks import metadata as metadata
from ollama_magics.reply.looks import plain_text as plain_text
from ollama_magics.reply.looks import warnings as warnings
from ollama_magics.reply.several import Replies as Replies
from ollama_magics.reply.stream import Reply as Reply
from ollama_magics.reply.undisturbed import undisturbed as undisturbed
