"""Pictures to train and to measure on: read, made, shrunk and cut. No torch, no training framework."""
