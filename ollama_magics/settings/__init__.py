"""The provider form, declared once: each setting's name, type, unit, range, default and help."""
