"""How a definition becomes a figure."""
