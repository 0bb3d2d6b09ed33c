"""The plan interpreter: runs what the plan says and emits events."""
