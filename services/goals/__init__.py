"""The goals service: initiatives and goals, from draft to verdict; it asks metrics."""
