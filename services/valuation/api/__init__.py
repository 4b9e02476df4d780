"""Routes and wire shapes of the valuation service, a file per noun."""
