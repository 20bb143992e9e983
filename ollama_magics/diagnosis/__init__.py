"""The connectivity check: what stands between this kernel and an answer, found in stages."""
