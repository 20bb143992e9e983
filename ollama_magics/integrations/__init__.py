"""What is built on the public calls for other tools: Dask and scikit-learn."""
