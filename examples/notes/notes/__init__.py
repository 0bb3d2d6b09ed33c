"""A notebook over HTTP: `store` keeps notes in SQLite, `web` speaks HTTP, `__main__` is the command line."""
