"""The story of a run, read once and told by the dashboard, the report, the comparison and the terminal."""
