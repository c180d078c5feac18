"""Where the verdicts on the paper's claims come from."""
