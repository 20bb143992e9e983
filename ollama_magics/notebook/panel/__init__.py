"""The form as widgets, whose callbacks only set values and start daemon threads, so that no click blocks the kernel."""
