"""`aethernet train` and `test`: BasicSR's pipelines, started, resumed and distributed."""
