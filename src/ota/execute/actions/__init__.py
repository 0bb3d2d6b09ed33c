"""Typed bodies: actions and prepare steps, carried out part by part.

`parts` tells what can be done and does it in order; `files` works in this process, `packages`,
`virtualenv` and `git` run commands through `children`, `engines` those of a container engine, `inside`
runs them in a container; `places` keeps every write inside the repository.

Source: contract specification 15.3 (`prepare`, `action`).
"""

from ota.execute.actions.failure import ActionFailedError
from ota.execute.actions.parts import Step, run_action, unsupported_action, unsupported_in_container

__all__ = ["ActionFailedError", "Step", "run_action", "unsupported_action", "unsupported_in_container"]
