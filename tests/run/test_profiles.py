"""Files an env profile renders: made before the workflow's tasks, and read by them."""

import json
import tomllib

import pytest

pytestmark = pytest.mark.edge

HEAD = "version: 1\nproject: {name: p}\n"
CONTRACT = (
    HEAD
    + """
env:
  vars: {TOKEN: {secret: true}, SHARED: {}}
  profiles:
    local:
      env: {PLACE: here, MODE: "a b"}
      render:
        dotenv: {path: made/.env, template: base.env, include: [PLACE, TOKEN, MODE, ABSENT]}
        files:
          - {path: made/config.json, format: json, sources: [low.toml, high.json]}
          - {path: made/config.toml, format: toml, sources: [high.json], merge_into_existing: true}
tasks:
  show: {run: 'printf "%s|%s|%s" "$PLACE" "$KEPT" "$TOKEN" > seen; cat made/.env > copied'}
  other: {run: 'true'}
workflows:
  default: app
  app:
    env: {profile: local}
    run: {task: show}
    instances:
      default: one
      one: {}
      two: {env: {PLACE: there}}
"""
)
FILES = {
    "ota.yaml": CONTRACT,
    "base.env": "# base\nKEPT=kept\nPLACE=replaced\n",
    "low.toml": "[server]\nhost = 'low'\nport = 1\n",
    "high.json": '{"server": {"host": "high"}, "list": [1, {"a": "b c"}]}',
}


@pytest.fixture
def repo(project):
    return project(FILES)


def test_the_rendered_file_is_there_and_read_before_the_first_task(repo):
    result = repo.run("run", "show", env={"TOKEN": "hunter22"})
    assert result.code == 0
    assert repo.read("seen") == "here|kept|hunter22"
    assert repo.read("copied") == repo.read("made/.env")
    assert repo.read("made/.env").startswith("# base\nKEPT=kept\nPLACE=here\n")
    assert "ABSENT" not in repo.read("made/.env")
    assert "env profile `local` rendered `made/.env`" in result.err
    assert "hunter22" not in result.err
    assert (repo.path / "made/.env").stat().st_mode & 0o777 == 0o600


def test_it_is_made_anew_each_time_and_belongs_to_the_instance(repo):
    repo.run("run", "show")
    (repo.path / "made/.env").write_text("PLACE=stale\n")
    assert repo.run("run", "show", "--workflow", "app@two").code == 0
    assert repo.read("seen").startswith("there|")


def test_a_task_of_no_workflow_renders_nothing(repo):
    assert repo.run("run", "other").code == 0
    assert not (repo.path / "made").exists()


def test_structured_sources_merge_and_may_keep_what_was_there(repo):
    (repo.path / "made").mkdir()
    (repo.path / "made/config.toml").write_text("own = 'mine'\n[server]\nuser = 'u'\n")
    assert repo.run("run", "show").code == 0
    assert json.loads(repo.read("made/config.json")) == {
        "server": {"host": "high", "port": 1},
        "list": [1, {"a": "b c"}],
    }
    assert tomllib.loads(repo.read("made/config.toml")) == {
        "own": "mine",
        "server": {"user": "u", "host": "high"},
        "list": [1, {"a": "b c"}],
    }


def test_a_preview_shows_what_would_be_rendered_and_writes_nothing(repo):
    document = repo.run("run", "show", "--dry-run", "--json").json
    values = {each["name"]: each.get("value") for each in document["env"]}
    assert (values["PLACE"], values["KEPT"]) == ("here", "kept")
    assert not (repo.path / "made").exists()


@pytest.mark.parametrize(
    ("broken", "told"),
    [
        ({"base.env": None}, "cannot be rendered from `base.env`"),
        ({"low.toml": "x = "}, "`low.toml`: it is not valid TOML"),
        ({"high.json": '{"a": null}'}, "TOML has no null"),
    ],
)
def test_what_cannot_be_rendered_stops_the_run_before_it_starts(project, broken, told):
    files = {**FILES, **broken}
    repo = project({name: content for name, content in files.items() if content is not None})
    result = repo.run("run", "show")
    assert result.code == 1
    assert told in result.err
    assert not (repo.path / "seen").exists()


def test_nothing_is_rendered_outside_the_repository(repo, tmp_path):
    (tmp_path / "outside").mkdir()
    (repo.path / "made").symlink_to(tmp_path / "outside")
    result = repo.run("run", "show")
    assert result.code == 1
    assert "leads out of the repository" in result.err
    assert list((tmp_path / "outside").iterdir()) == []


def test_up_renders_before_its_preconditions_and_for_its_instance(repo):
    setup = CONTRACT.replace("run: {task: show}", "setup: {task: show}")
    (repo.path / "ota.yaml").write_text(setup)
    assert repo.run("up", "--workflow", "app@two").code == 0
    assert repo.read("seen").startswith("there|kept|")
    (repo.path / "base.env").unlink()
    (repo.path / "seen").unlink()
    result = repo.run("up")
    assert result.code == 1
    assert "cannot be rendered from `base.env`" in result.out
    assert not (repo.path / "seen").exists()
