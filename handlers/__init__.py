"""When the core runs: one handler per state of the state machine, named after it."""
