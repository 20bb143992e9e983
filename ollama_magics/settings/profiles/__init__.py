"""Named settings on disk, and keys apart from them; nothing is ever read from the folder of a notebook."""
