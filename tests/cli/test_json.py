"""The documents of the inspection commands, against their published schemas."""

import pytest

pytestmark = pytest.mark.edge

SCHEMAS = {
    "validate": "validate",
    "tasks": "tasks",
    "tasks --all --use": "tasks",
    "tasks --workflow ship": "tasks",
    "services": "services",
    "env": "env",
    "env --task dev": "env",
    "env --task dev --workflow app": "env",
    "env --why API_TOKEN": "env",
    "execution plan": "execution-plan",
    "execution plan --task build --container --ephemeral": "execution-plan",
    "execution plan --remote": "execution-plan",
    "execution topology": "execution-topology",
    "run release:tag --dry-run --part minor": "run",
    "run build --dry-run --container": "run",
    "run dev --dry-run": "run",
}


def with_json(command):
    # ota's flags stand before a task's inputs
    words = command.split()
    return (
        [*words[: words.index("--part")], "--json", *words[words.index("--part") :]]
        if ("--part" in words)
        else [*words, "--json"]
    )


@pytest.mark.parametrize("command", list(SCHEMAS))
def test_documents_are_valid_and_stand_alone(shop, assert_schema, command):
    done = shop.run(*with_json(command))
    assert done.err == ""
    assert done.out.endswith("}\n")
    assert_schema(done.json, SCHEMAS[command])
    assert done.code == (0 if done.json["ok"] else 1)


@pytest.mark.parametrize("command", [*SCHEMAS, "workflows"])
def test_inspection_is_deterministic_and_display_flags_change_nothing(shop, command):
    usual = shop.run(*with_json(command)).out_bytes
    shown = ("--plain", "--concise"), ("--verbose", "--debug")
    for flags in shown:
        assert shop.run(*flags, *with_json(command)).out_bytes == usual


@pytest.mark.parametrize("command", [*SCHEMAS, "workflows"])
def test_secrets_are_in_no_output(shop, command):
    for words in (with_json(command), command.split()):
        done = shop.run(*words)
        assert "hunter2" not in done.out + done.err


def test_workflows(shop):
    document = shop.run("workflows", "--json").json
    assert (document["ok"], document["path"], document["default"]) == (True, "./ota.yaml", "app")
    assert [each["name"] for each in document["workflows"]] == ["app", "ship"]
    assert [each["default"] for each in document["workflows"]] == [True, False]


@pytest.mark.proves("S000-51", "S000-53", "S000-54")
def test_internal_tasks(shop, assert_schema):
    usual = shop.run("tasks", "--json").json
    every = shop.run("tasks", "--json", "--all").json
    assert "setup" not in [each["name"] for each in usual["tasks"]]
    assert all("internal" not in each for each in usual["tasks"])
    found = {each["name"]: each for each in every["tasks"]}
    assert found["setup"]["internal"] is True
    assert "internal" not in found["build"]
    assert_schema(every, "tasks")
    build = next(each for each in usual["tasks"] if each["name"] == "build")
    assert (build["depends_on"], build["after_always"]) == ([], [])
    assert found["build"]["depends_on"] == ["setup"]


@pytest.mark.proves("S000-105")
def test_mode_branches(shop, assert_schema):
    document = shop.run("tasks", "--json").json
    assert_schema(document, "tasks")
    build = next(each for each in document["tasks"] if each["name"] == "build")
    assert build["modes"] == [
        {"mode": "native", "context": "host", "env": {"FAST": "1"}, "has_runtime": False},
        {
            "mode": "container",
            "context": "app",
            "lifecycle": "ephemeral",
            "kind": "run",
            "run": "npm run build",
            "has_runtime": False,
        },
    ]


def test_env_that_is_not_ready_is_a_report_on_standard_output(shop, assert_schema):
    shop.write({".env": "LEVEL=middling\n"})
    done = shop.run("env", "--json")
    assert (done.code, done.err) == (1, "")
    assert_schema(done.json, "env")
    assert done.json["summary"]["missing_count"] == 1
    assert done.json["summary"]["invalid_count"] == 1
    text = shop.run("env")
    assert (text.code, text.err) == (1, "")
    assert "Ready: no" in text.out
    assert "status=missing" in text.out
    assert "Next:" in text.out


def test_version(project):
    repo = project({})
    document = repo.run("--version", "--json").json
    assert document == repo.run("version", "--json").json
    assert document["ok"] is True
    assert document["semver"] == "0.1.0"
    assert document["contract_level"] == "1.6.26"
    assert set(document) >= {"version", "source_build", "commit", "dirty", "schema_version"}


def test_schema(project, tmp_path):
    repo = project({"schema/.keep": ""})
    document = repo.run("schema").json
    assert document["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    done = repo.run("schema", "--output", "schema/ota.json")
    assert (done.code, done.out) == (0, "")
    assert repo.read("schema/ota.json") == repo.run("schema").out
    missing = repo.run("schema", "--output", "nowhere/ota.json")
    assert (missing.code, missing.out) == (1, "")
    assert "nowhere" in missing.err


SERVICES = """
version: 1
project: {name: x}
execution: {contexts: {host: {backend: native}, app: {backend: container, lifecycle: ephemeral,
  container: {image: a}}}}
services:
  cache:
    manager:
      kind: host
      start: {exe: redis-server, args: [--port, "6400", --daemonize, "yes"]}
      stop: {exe: redis-cli, args: [-p, "6400", shutdown]}
    endpoints: {host: {address: 127.0.0.1, port: 6400}}
    readiness: {from: host, kind: tcp, timeout: 3s, retries: 5}
  db:
    required: true
    manager: {kind: compose, name: local, files: [a.yaml, b.yaml], env_file: .env, profiles: [dev],
              service: db, engine: podman}
    endpoints: {app: {address: db, port: 5432}, host: {address: 127.0.0.1, port: 5432}}
    readiness: {from: app, kind: tcp}
    depends_on: [cache]
  old: {provider: docker-compose, start: ./up.sh, stop: ./down.sh, healthcheck: ./ok.sh, timeout: 30}
  unit: {manager: {kind: host, host: {kind: systemd, unit: nginx}}}
tasks: {go: {run: "true", requires_services: [db]}}
"""


@pytest.mark.proves("S001-168")
def test_services_shows_managers_endpoints_and_where_readiness_is_asked(project, assert_schema):
    repo = project({"ota.yaml": SERVICES})
    document = repo.run("services", "--json").json
    assert_schema(document, "services")
    by_name = {service["name"]: service for service in document["services"]}
    assert by_name["db"]["endpoints"] == {
        "app": {"address": "db", "port": 5432},
        "host": {"address": "127.0.0.1", "port": 5432},
    }
    assert by_name["db"]["readiness"]["from"] == "app"
    compose = "podman compose --env-file .env -f a.yaml -f b.yaml --profile dev -p local"
    assert by_name["db"]["manager"]["start"] == f"{compose} up -d db"
    assert by_name["db"]["manager"]["stop"] == f"{compose} stop db"
    assert by_name["cache"]["manager"]["stop"] == "redis-cli -p 6400 shutdown"
    assert by_name["unit"]["manager"]["host"] == {"kind": "systemd", "unit": "nginx", "scope": "system"}
    text = repo.run("services").out
    for said in (
        "Readiness: tcp from app",
        "- app: db:5432",
        f"Start: `{compose} up -d db`",
        "Stop: `redis-cli -p 6400 shutdown`",
        "Healthcheck: `./ok.sh`",
        "Stop: `./down.sh`",
        "Depends On: cache",
        "Timeout: 30 s",
        "Services are not run directly",
    ):
        assert said in text
    assert not (repo.path / ".ota").exists()
