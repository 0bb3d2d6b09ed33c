"""Probes of listeners and routes, and the waiting loop with its timing rules."""
