"""The native backend: how a body becomes a child process of this host.

Knows shells, argv and working directories; knows nothing of tasks, readiness or events.

Source: runtime specification 3.1; contract specification 15.3.
"""

from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct

from ota.resolve.plan import ArgvBody, ShellBody
from ota.system.spawn import OutputMode, SpawnRequest, StdinMode, Stream

TASK_VARIABLE = "OTA_TASK"
"""Tells another run, when it finds a port taken, which task holds it."""

# INT and TERM reach the whole group of the task; the trap takes itself off first, or `kill 0` would
# call it again for ever.
_FORWARDING = "trap 'trap - INT TERM; kill 0' INT TERM; "


class Activation(Struct, frozen=True, kw_only=True):
    """A command that prepares the environment of what is run after it, in the shell it is written for."""

    shell: str
    text: str

    def wrapping(self, argv: tuple[str, ...]) -> tuple[str, ...]:
        """`argv` behind this command: not started when it fails, and its output kept out of its own."""
        script = f'{{ {self.text}\n}} >&2 || exit; exec "$@"'
        return (self.shell, "-c", script, self.shell, *argv)


def shell_argv(text: str, path: str | None) -> tuple[str, ...]:
    """`sh -lc`, with the caller's PATH put back after the login files had their say.

    Debian's `/etc/profile` replaces PATH, so without this a task would not find what the user
    has on PATH (a virtual environment, a version manager).
    """
    restored = f"export PATH={posix_quoted(path)}; " if path is not None else ""
    return ("sh", "-lc", f"{_FORWARDING}{restored}{text}")


def activated_argv(text: str, path: str | None, activation: Activation | None) -> tuple[str, ...]:
    """`shell_argv` behind an activation, whose PATH stays: no login file and nobody puts another one back."""
    if activation is None:
        return shell_argv(text, path)
    return activation.wrapping(("sh", "-c", f"{_FORWARDING}{text}"))


def posix_quoted(text: str) -> str:
    """One POSIX shell word."""
    return "'" + text.replace("'", "'\"'\"'") + "'"


def spawn_request(
    body: ShellBody | ArgvBody,
    *,
    root: Path,
    env: Mapping[str, str],
    task: str,
    run_id: str,
    output: OutputMode,
    terminal_streams: tuple[Stream, ...],
    stdin: StdinMode,
    activation: Activation | None = None,
) -> SpawnRequest:
    """What to start for a body in the contract's directory `root`, with `env` and the task's name."""
    cwd = root
    if isinstance(body, ArgvBody):
        argv: tuple[str, ...] = (body.exe, *body.args)
        argv = argv if activation is None else activation.wrapping(argv)
        cwd = root / body.cwd if body.cwd else root
    else:
        argv = activated_argv(body.text, env.get("PATH"), activation)
    return SpawnRequest(
        argv=argv,
        cwd=cwd,
        env={**env, TASK_VARIABLE: task},
        run_id=run_id,
        output=output,
        terminal_streams=terminal_streams,
        stdin=stdin,
    )
