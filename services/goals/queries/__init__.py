"""Questions to the goals ledger, and what is asked of metrics to answer them."""
