"""The container plane: engines, identities, what ota owns there, and bringing a workload up in it."""
