"""The program behind `support.warm`: an interpreter that started once, and forks into one ota per request.

It imports all of ota first. So no command shows here that it imports what it needs, in an order that works:
that is shown by the commands that start from nothing, and by the imports having no circle (tests/cli). It
ends when the process that asks it does.
"""

import gc
import json
import os
import select
import socket
import sys
from importlib import import_module
from pkgutil import walk_packages

REQUEST_LIMIT_BYTES = 1 << 17
FIRST_OF_OTHERS = 3
LAST_OF_OTHERS = 256


def prepare(launcher: str) -> None:
    """All that the launcher does before ota's own first line, then the common imports."""
    sys.modules["ota.__main__"] = sys.modules[__name__]  # it would run a command
    with open(launcher) as file:
        exec(compile(file.read(), launcher, "exec"), {"__file__": launcher})
    del sys.modules["ota.__main__"]
    sys.argv = [launcher]
    import ota.cli.main
    from ota.cli.lean_imports import install

    finders = sys.meta_path[:]
    install()
    for module in walk_packages(ota.__path__, "ota."):
        if module.name != "ota.__main__":
            import_module(module.name)
    # The command's own process does this again, as it would without us.
    sys.meta_path[:] = finders
    gc.collect()
    gc.freeze()


def become(request: dict[str, object], streams: list[int]) -> None:
    """From here on this process is the command that was asked for."""
    try:
        os.setsid()
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
        os.closerange(FIRST_OF_OTHERS, LAST_OF_OTHERS)
        os.chdir(str(request["cwd"]))
        environment: dict[str, str] = request["env"]  # type: ignore[assignment]
        os.environ.clear()
        os.environ.update(environment)
        sys.argv = [sys.argv[0], *request["args"]]  # type: ignore[misc]
        from ota.cli.main import enter

        enter()
    except BaseException:  # noqa: BLE001  whatever it is, this process must not go on as the one that forks
        sys.excepthook(*sys.exc_info())
    finally:
        os._exit(1)


def serve(control: socket.socket) -> None:
    poll = select.poll()
    poll.register(control, select.POLLIN)
    living: dict[int, tuple[int, int]] = {}
    while True:
        for ready, _ in poll.poll():
            if ready in living:
                pid, status = living.pop(ready)
                poll.unregister(ready)
                os.close(ready)
                tell(status, os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
                os.close(status)
                continue
            content, streams, _, _ = socket.recv_fds(control, REQUEST_LIMIT_BYTES, 4)
            if not content:
                return
            status = streams.pop()
            pid = os.fork()
            if pid == 0:
                become(json.loads(content), streams)
            for stream in streams:
                os.close(stream)
            process = os.pidfd_open(pid)
            poll.register(process, select.POLLIN)
            living[process] = pid, status
            tell(status, pid)


def tell(status: int, number: int) -> None:
    try:  # noqa: SIM105  what is imported here, no command imports for itself
        os.write(status, b"%d\n" % number)
    except BrokenPipeError:
        pass  # nobody waits for this one any more


if __name__ == "__main__":
    program, launcher, control = sys.argv
    prepare(launcher)
    serve(socket.socket(fileno=int(control)))
