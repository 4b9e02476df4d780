"""Pure rules of the metrics service: facts, shapes, formulas; no framework, no SQL, no clock."""
