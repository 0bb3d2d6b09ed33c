"""Service managers: starting what a contract declares under `services`, and seeing that it is ready."""
