"""Env sources, dotenv, resolution order, secret marking and redaction."""
