"""The vendors' ways of sending: one file each, pure."""
