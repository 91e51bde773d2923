"""Settings, and the one place that chooses adapters and ties everything together."""
