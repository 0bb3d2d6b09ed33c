"""Contract, host facts and invocation to one `Plan`. Pure."""
