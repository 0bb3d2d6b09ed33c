"""`ota completion --setup`, `--remove` and `check` touch their own block and nothing else."""

import pytest

from ota.cli.commands.completion import BEGIN, END

pytestmark = pytest.mark.edge

FILES = {"bash": ".bashrc", "zsh": ".zshrc", "fish": ".config/fish/completions/ota.fish"}
MINE = "alias ll='ls -l'\nexport X=1"  # no final newline


@pytest.fixture
def repo(project):
    return project({})


def home(repo, shell):
    return repo.home / FILES[shell]


@pytest.mark.parametrize("shell", list(FILES))
def test_setup_is_idempotent_and_remove_restores(repo, shell):
    file = home(repo, shell)
    assert repo.run("completion", shell, "--setup").out.startswith(f"Completion for {shell}: installed")
    installed = file.read_bytes()
    assert repo.run("completion", shell, "--setup").out.startswith(
        f"Completion for {shell}: already configured"
    )
    assert file.read_bytes() == installed
    assert repo.run("completion", "check", env={"SHELL": f"/bin/{shell}"}).code == 0
    assert repo.run("completion", shell, "--remove").out.startswith(f"Completion for {shell}: removed")
    assert not file.exists() or file.read_text() == ""
    assert not (repo.home / ".config/ota/zsh/_ota").exists()
    assert repo.run("completion", shell, "--remove").out.startswith(
        f"Completion for {shell}: was not installed"
    )


@pytest.mark.parametrize("shell", list(FILES))
def test_lines_of_the_user_stay(repo, shell):
    file = home(repo, shell)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(MINE)
    file.chmod(0o600)
    repo.run("completion", shell, "--setup")
    text = file.read_text()
    assert text.startswith(f"{MINE}\n{BEGIN}\n")
    file.write_text(f"{text}# after\n")
    repo.run("completion", shell, "--remove")
    assert file.read_text() == f"{MINE}\n# after\n"
    assert file.stat().st_mode & 0o777 == 0o600


def test_an_old_block_is_updated_in_place(repo):
    file = home(repo, "bash")
    file.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    env = {"SHELL": "/bin/bash"}
    checked = repo.run("completion", "check", env=env)
    assert checked.code == 1
    assert "Hook: needs update" in checked.out
    assert repo.run("completion", "--setup", env=env).out.startswith("Completion for bash: updated")
    text = file.read_text()
    assert text.startswith(f"before\n{BEGIN}\n")
    assert text.endswith(f"{END}\nafter\n")
    assert "old" not in text


@pytest.mark.parametrize("text", [f"{BEGIN}\nmine\n", f"{END}\n{BEGIN}\n", f"{BEGIN}\n{BEGIN}\n{END}\n"])
def test_a_damaged_block_is_left_alone(repo, text):
    file = home(repo, "bash")
    file.write_text(text)
    for action in ("--setup", "--remove"):
        done = repo.run("completion", "bash", action)
        assert done.code == 1
        assert "is damaged" in done.err
        assert file.read_text() == text


def test_a_linked_configuration_stays_a_link(repo):
    real = repo.home / "dotfiles-bashrc"
    real.write_text("mine\n")
    home(repo, "bash").symlink_to(real)
    repo.run("completion", "bash", "--setup")
    assert home(repo, "bash").is_symlink()
    assert BEGIN in real.read_text()


def test_fish_respects_the_configuration_folder(repo):
    folder = repo.home / "elsewhere"
    done = repo.run("completion", "fish", "--setup", env={"XDG_CONFIG_HOME": str(folder)})
    assert done.code == 0
    assert (folder / "fish" / "completions" / "ota.fish").exists()


def test_check_says_where_and_what_next(repo):
    done = repo.run("completion", "check", env={"SHELL": "/usr/bin/zsh"})
    assert done.code == 1
    rows = dict(line.split(": ", 1) for line in done.out.splitlines())
    assert rows["Shell"] == "zsh"
    assert rows["File"] == str(repo.home / ".zshrc")
    assert rows["Completion file"] == str(repo.home / ".config/ota/zsh/_ota")
    assert rows["Hook"] == "missing"
    assert rows["Next"] == "`ota completion zsh --setup`"
    assert set(rows) == {"Shell", "Binary", "File", "Completion file", "Hook", "Next"}


@pytest.mark.parametrize(
    "args",
    [
        (),
        ("--script",),
        ("tcsh",),
        ("check", "--setup"),
        ("bash", "--setup", "--remove"),
        ("bash", "--script", "--setup"),
    ],
    ids=" ".join,
)
def test_usage(repo, args):
    done = repo.run("completion", *args, env={"SHELL": "/bin/bash"})
    assert (done.code, done.out) == (2, "")
    assert "Usage: ota completion" in done.err


@pytest.mark.parametrize("shell", ["/bin/tcsh", None])
def test_a_shell_that_is_not_supported_or_not_known(repo, shell):
    done = repo.run("completion", "--setup", env={"SHELL": shell})
    assert done.code == 2
    assert "no shell was named" in done.err


def test_a_file_that_cannot_be_written_is_said(repo):
    home(repo, "bash").mkdir()
    done = repo.run("completion", "bash", "--setup")
    assert done.code == 1
    assert "Traceback" not in done.err
    assert ".bashrc" in done.err
