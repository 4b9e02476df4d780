"""Routes and wire shapes of the metrics service, a file per noun."""
