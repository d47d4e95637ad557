"""What we add to a training in BasicSR: model classes, optimisers, losses, guards."""
