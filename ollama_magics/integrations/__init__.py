"""Integrations with Dask and scikit-learn."""
