"""Measurements of speed and memory, as medians over whole processes, beside a yardstick on the same machine."""
