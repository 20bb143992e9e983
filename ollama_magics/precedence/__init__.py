"""Which value of each setting is in force, where it comes from, and what of it is saved."""

from ollama_magics.precedence.in_force import InForce as InForce
