"""The connectivity check: what stands between this kernel and an answer, found in stages."""

from ollama_magics.diagnosis.probe import Question, check
from ollama_magics.diagnosis.report import CheckReport, Stage

__all__ = ["CheckReport", "Question", "Stage", "check"]
