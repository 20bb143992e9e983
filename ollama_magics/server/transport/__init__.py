"""Connections whose waits an interrupt or a cancel flag can end, as a transport of httpx."""
