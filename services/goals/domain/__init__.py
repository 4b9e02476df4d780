"""Pure rules of the goals service: facts, states, decisions; no framework, no SQL, no clock."""
