"""Routes and wire shapes of the goals service, a file per noun."""
