"""Files for inference runtimes."""
