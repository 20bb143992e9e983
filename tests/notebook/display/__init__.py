"""What reaches a screen: how much of it, how often, and how it looks in a terminal."""
