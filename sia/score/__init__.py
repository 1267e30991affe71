"""Scores as measurements: evaluator, intervals, split, verdict."""
