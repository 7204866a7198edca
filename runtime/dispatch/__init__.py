"""From a stored update to its effect."""
