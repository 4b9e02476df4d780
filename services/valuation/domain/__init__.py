"""Pure rules of the valuation service: cases, formulas, finance; no framework, no SQL, no clock."""
