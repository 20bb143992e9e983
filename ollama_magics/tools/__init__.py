"""Functions of the notebook that a model may call: what it is told of them, and how a call is checked and run."""

from ollama_magics.tools.calls import Call as Call
from ollama_magics.tools.signatures import Tool as Tool
from ollama_magics.tools.signatures import offered as offered
from ollama_magics.tools.toolbox import Toolbox as Toolbox
