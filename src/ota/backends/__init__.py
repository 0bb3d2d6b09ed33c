"""Where a body runs. Today: the native backend."""
