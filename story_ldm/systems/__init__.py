"""One folder a story system: its networks, losses and presets."""
