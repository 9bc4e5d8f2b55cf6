"""Mutated files and cells through every decoder: `make fuzz`."""
