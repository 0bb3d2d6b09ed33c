"""`ota completion`: print a shell's script, install it, remove it, or say whether it is there.

What is installed stands between two marker lines; nothing else in a file of the user is touched.

Source: commands specification 23.
"""

from pathlib import Path

from msgspec import Struct

from ota.cli.completion_scripts import SCRIPTS
from ota.cli.flags import Arguments, usage_error
from ota.cli.session import Session
from ota.errors import Finding, HostError, UsageError
from ota.system.files import read_bytes, remove_file, write_of_user
from ota.system.host import environ, observe_host

BEGIN = "# >>> ota completion >>>"
END = "# <<< ota completion <<<"


class Installation(Struct, frozen=True, kw_only=True):
    """Where completion of one shell lives: the file with the block, and a support file for zsh."""

    shell: str
    file: Path
    block: str
    support: Path | None = None
    support_text: str = ""

    @property
    def completion_file(self) -> Path:
        """The file that holds the script."""
        return self.support or self.file


def run(arguments: Arguments, session: Session) -> int:
    """Print, install, remove or check."""
    asked = arguments.path
    action = next((each for each in ("--setup", "--script", "--remove") if arguments.has(each)), None)
    if asked == "check":
        if action is not None:
            raise usage_error(arguments.command, f"the argument '{action}' cannot be used with 'check'")
        return _check(_installation(_own_shell(arguments)), session)
    if asked is None and action in (None, "--script"):
        raise usage_error(arguments.command, "a required argument was not provided: <SHELL>", _KNOWN)
    shell = _known(arguments, asked) if asked is not None else _own_shell(arguments)
    if action == "--setup":
        return _setup(_installation(shell), session)
    if action == "--remove":
        return _remove(_installation(shell), session)
    session.out.write(SCRIPTS[shell])
    return 0


_KNOWN = f"one of {', '.join(SCRIPTS)}; or `check`"


def _known(arguments: Arguments, shell: str) -> str:
    if shell not in SCRIPTS:
        raise _unsupported(arguments, shell)
    return shell


def _unsupported(arguments: Arguments, shell: str) -> UsageError:
    return usage_error(arguments.command, f"invalid value '{shell}' for '<SHELL>'", _KNOWN)


def _own_shell(arguments: Arguments) -> str:
    name = Path(environ().get("SHELL", "")).name
    if name not in SCRIPTS:
        problem = f"the shell of this user is `{name}`" if name else "the variable SHELL is not set"
        raise usage_error(arguments.command, f"no shell was named, and {problem}", _KNOWN)
    return name


def _installation(shell: str) -> Installation:
    home = Path(observe_host().home)
    if shell == "bash":
        return Installation(shell=shell, file=home / ".bashrc", block=SCRIPTS[shell])
    if shell == "fish":
        config = Path(environ().get("XDG_CONFIG_HOME") or home / ".config")
        return Installation(
            shell=shell, file=config / "fish" / "completions" / "ota.fish", block=SCRIPTS[shell]
        )
    support = home / ".config" / "ota" / "zsh" / "_ota"
    block = (
        "(( $+functions[compdef] )) || { autoload -Uz compinit && compinit -i }\n"
        '[[ -r "$HOME/.config/ota/zsh/_ota" ]] && source "$HOME/.config/ota/zsh/_ota"\n'
    )
    return Installation(
        shell=shell, file=home / ".zshrc", block=block, support=support, support_text=SCRIPTS[shell]
    )


# --- the three actions ---------------------------------------------------------------------------


def _setup(wanted: Installation, session: Session) -> int:
    hook = _hook(wanted)
    if hook != "present":
        if wanted.support is not None:
            _write(wanted.support, wanted.support_text)
        before, _, after = _parts(wanted.file)
        if before and not before.endswith("\n"):
            before += "\n"
        _write(wanted.file, f"{before}{BEGIN}\n{wanted.block}{END}\n{after}")
    word = {"missing": "installed", "needs update": "updated", "present": "already configured"}[hook]
    print(f"Completion for {wanted.shell}: {word} ({wanted.file})", file=session.out)
    if hook != "present":
        style = session.style_of(session.out)
        print(style.label("Next"), "open a new shell, or load it here:", _load(wanted), file=session.out)
    return 0


def _load(wanted: Installation) -> str:
    return f"`exec {wanted.shell}`"


def _remove(wanted: Installation, session: Session) -> int:
    before, block, after = _parts(wanted.file)
    is_there = block is not None
    if is_there and not (before + after).strip() and wanted.support is None and wanted.shell == "fish":
        remove_file(wanted.file)  # the file held nothing but the block
    elif is_there:
        _write(wanted.file, before + after)
    if wanted.support is not None and remove_file(wanted.support):
        is_there = True
    word = "removed" if is_there else "was not installed"
    print(f"Completion for {wanted.shell}: {word} ({wanted.file})", file=session.out)
    return 0


def _check(wanted: Installation, session: Session) -> int:
    from shutil import which

    style = session.style_of(session.out)
    hook = _hook(wanted)
    rows = [
        ("Shell", wanted.shell),
        ("Binary", which("ota") or "not on PATH"),
        ("File", str(wanted.file)),
        ("Completion file", str(wanted.completion_file)),
        ("Hook", hook),
    ]
    if hook != "present":
        rows.append(("Next", f"`ota completion {wanted.shell} --setup`"))
    print("\n".join(f"{style.label(name)} {text}" for name, text in rows), file=session.out)
    return 0 if hook == "present" else 1


# --- files of the user ---------------------------------------------------------------------------


def _hook(wanted: Installation) -> str:
    _, block, _ = _parts(wanted.file)
    if block is None:
        return "missing"
    is_current = block == wanted.block
    if wanted.support is not None:
        is_current = is_current and _text(wanted.support) == wanted.support_text
    return "present" if is_current else "needs update"


def _parts(file: Path) -> tuple[str, str | None, str]:
    """What stands before the block, in it, and behind it; no block: None, and everything stands before.

    Raises:
        HostError: the block has no end; guessing one could delete the user's own lines.
    """
    text = _text(file)
    lines = text.splitlines(keepends=True)
    marks = [index for index, line in enumerate(lines) if line.strip() in (BEGIN, END)]
    if not marks:
        return text, None, ""
    stated = [lines[index].strip() for index in marks]
    if stated != [BEGIN, END]:
        raise HostError(_damaged(file))
    begin, end = marks
    return "".join(lines[:begin]), "".join(lines[begin + 1 : end]), "".join(lines[end + 1 :])


def _damaged(file: Path) -> Finding:
    return Finding(
        code="OTA_COMPLETION_BLOCK_DAMAGED",
        summary=f"the ota block in {file} is damaged",
        why=f"one `{BEGIN}` followed by one `{END}` was expected",
        next=f"remove the ota lines from {file} by hand, then run `ota completion --setup`",
        category="environment",
        owner="host",
    )


def _text(file: Path) -> str:
    if not file.exists():
        return ""
    return read_bytes(file).decode("utf-8", "surrogateescape")


def _write(file: Path, text: str) -> None:
    """Through a link to the file it means: a shell configuration is often kept in another repository."""
    try:
        file.resolve().parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        from ota.system.files import refused

        raise refused(error, action="write", path=file) from error
    write_of_user(file, text.encode("utf-8", "surrogateescape"))
