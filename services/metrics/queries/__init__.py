"""Questions to the metrics ledger: functions given a view."""
