"""The connectivity check: what stands between this kernel and an answer, found in stages."""

from ollama_magics.diagnosis.probe import Report, check
from ollama_magics.diagnosis.question import Question
from ollama_magics.diagnosis.report import CheckReport, Stage
from ollama_magics.diagnosis.surroundings import World
from ollama_magics.diagnosis.where import address_told

__all__ = ["CheckReport", "Question", "Report", "Stage", "World", "address_told", "check"]
