"""Events to receipt, summary, logs index and archive."""
