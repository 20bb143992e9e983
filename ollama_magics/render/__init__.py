"""Text and figures of a reply as safe HTML."""
