"""The metrics service: events, metric definitions, baselines; it asks nobody."""
