"""Which value of each setting is in force, where it comes from, and what of it is saved."""
