"""How replies, settings and checks reach the screen of a notebook or terminal."""
