"""The run directory: durable stages, ledger, resume."""
