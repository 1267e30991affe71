"""The remote trainer: Tinker trains models that no machine at home does. The plan is the same, see `mapping.py`."""
