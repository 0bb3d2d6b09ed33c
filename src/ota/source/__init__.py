"""Bytes to a located YAML 1.2 tree. Knows nothing of what fields mean."""
