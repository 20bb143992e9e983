"""Tests in a real browser: JupyterLab in Chromium, its kernels asking a stand-in server."""
