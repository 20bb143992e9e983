"""Anything that looks like a picture -> checked PNG or JPEG bytes, and never a guess at what a string means."""
