"""Data sets for BasicSR."""
