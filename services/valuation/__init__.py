"""The valuation service: business cases and what they were worth; it asks goals and metrics."""
