"""The four stages of a generation: author, run, score, decide. Each leaves files and one record."""
