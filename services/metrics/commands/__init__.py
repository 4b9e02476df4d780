"""Changes to the metrics ledger: functions given a transaction."""
