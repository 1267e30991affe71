"""The dashboard: pages over the runs folder, rendered on the server, brought up to date by server-sent events."""
