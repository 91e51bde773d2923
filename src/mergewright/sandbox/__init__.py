"""Sandboxes that hold no secret and no network: bubblewrap, with limits by cgroup where the machine allows it."""
