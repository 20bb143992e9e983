"""The only room that knows HTTP: requests as values in, answers as values out, every failure one of our errors."""
