"""Task packages: load, validate, fetch, check."""
