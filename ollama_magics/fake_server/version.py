"""The version of Ollama whose behaviour the stand-in shows and reports."""

VERSION = "0.24.0"
