"""`python -m ota`."""

from ota.cli.main import main

raise SystemExit(main())
