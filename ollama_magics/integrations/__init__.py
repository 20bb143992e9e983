"""Integrations with Dask, scikit-learn and pytest."""
