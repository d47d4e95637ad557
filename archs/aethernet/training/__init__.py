"""What trainings need of us: the optimiser, and the recipes that option files are rendered from."""
