"""SIA makes an AI agent better at a benchmark task by itself."""

__version__ = "1.0.0a1"
