"""AetherNet inside BasicSR: start-up repairs, model classes and the launcher. Importing it imports no BasicSR."""
