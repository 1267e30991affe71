"""The only way out of the jail: every model call is checked, capped, metered, recorded, and can be replayed."""
