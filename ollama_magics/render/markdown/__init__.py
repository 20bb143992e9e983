"""Text and figures of a reply -> safe HTML, and nothing about where it is shown."""
