"""Files held against the network that they come from."""
