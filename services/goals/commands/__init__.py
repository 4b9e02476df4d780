"""Changes to the goals ledger."""
