"""Files compared with the network that they come from."""
