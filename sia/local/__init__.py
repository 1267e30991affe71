"""Small language models on the user's own machine: fetched, served on loopback, scored and stopped."""
