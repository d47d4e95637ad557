"""Plots of what was measured, quality against latency and training curves, and pictures side by side."""
