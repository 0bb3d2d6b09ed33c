"""`python -m ota`."""

from ota.cli.main import enter

enter()
