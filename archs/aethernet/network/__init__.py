"""The network: its parts, its configuration, its life from training to int8, and the variants."""
