"""Goals and metrics as valuation reads them: only the fields that are needed here."""

# How a moment of knowledge or a basis is asked for, and the longest page of a list.
Known = dict[str, str | None]
PAGE = 500
