"""Text and figures of a reply -> safe HTML, and nothing about where it is shown."""

from ollama_magics.markup.cleaning import Cleaned as Cleaned
from ollama_magics.markup.cleaning import escape as escape
from ollama_magics.markup.cleaning import plain as plain
from ollama_magics.markup.data import json_html as json_html
from ollama_magics.markup.data import table_html as table_html
from ollama_magics.markup.data import tool_card_html as tool_card_html
from ollama_magics.markup.growing import Markup as Markup
from ollama_magics.markup.growing import finished as finished
from ollama_magics.markup.markdown import first_code as first_code
from ollama_magics.markup.markdown import to_html as to_html
from ollama_magics.markup.markdown import words_only as words_only
from ollama_magics.markup.pieces import answer_html as answer_html
from ollama_magics.markup.pieces import columns_html as columns_html
from ollama_magics.markup.pieces import footer_html as footer_html
from ollama_magics.markup.pieces import thoughts_html as thoughts_html
from ollama_magics.markup.pieces import thumbnails_html as thumbnails_html
from ollama_magics.markup.pieces import waiting_html as waiting_html
