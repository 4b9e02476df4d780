"""The three services; each is deployed alone and none imports another."""
