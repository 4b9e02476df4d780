"""The kit that all three services stand on; it knows no goal, metric or valuation."""
