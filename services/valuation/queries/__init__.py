"""Questions about cases and valuations, and about the world that they rest on."""
