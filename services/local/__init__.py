"""The three services as three processes on one machine, and the bundled demonstration."""
