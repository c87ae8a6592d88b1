"""What runs in a browser."""
