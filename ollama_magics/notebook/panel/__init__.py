"""The settings form as widgets; their callbacks set values and start daemon threads, so that no click blocks the kernel."""
