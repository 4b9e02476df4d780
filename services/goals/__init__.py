"""The goals service: initiatives, goals, their commitment, progress and verdict; it asks metrics."""
