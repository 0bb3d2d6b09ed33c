"""Version requirements, and probes of tools and runtimes."""
