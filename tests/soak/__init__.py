"""Killing the service and its database at random, over and over, under load."""
