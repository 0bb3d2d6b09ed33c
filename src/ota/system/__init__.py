"""The effectful edge: processes, signals, clock, sockets, files, locks. Knows nothing of contracts."""
