"""Typed records of every contract section, their parser, their rules. Never touches the host."""
