"""The tests; a package only so that their folders can share the fault server."""
