"""Finds out by trying what this machine gives, and what to do about what it lacks."""
