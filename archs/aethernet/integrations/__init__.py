"""Bridges into training frameworks; nothing below this package knows that they exist."""
