"""Runs a generated program with mounts, limits and nothing else."""
