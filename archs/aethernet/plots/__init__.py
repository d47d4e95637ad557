"""Plots of what was measured: quality against latency, training curves, longer trainings."""
