"""What the user typed, turned into where we connect and why, without ever connecting."""
