"""What is planned, what is confirmed, and what is only printed: endpoints of services in containers."""

import json
import signal
import socket
import threading
import urllib.request

import pytest

from container.conftest import HTTPD, READY, listener, on_a_terminal, service
from support.servers import free_port

pytestmark = pytest.mark.engine


def stopped(live, text: str = "External: "):
    live.wait_for(text)
    live.signal(signal.SIGINT)
    return live.finish()


def url_in(text: str) -> str:
    return next(line for line in text.splitlines() if line.startswith("External: ")).split()[1]


def answer(url: str) -> str:
    with urllib.request.urlopen(url, timeout=5) as response:
        return response.read().decode()


@pytest.mark.proves("S002-133")
@pytest.mark.proves("S003-89")
def test_a_line_the_app_prints_is_no_endpoint(contained, assert_schema):
    body = "echo '  - Local: http://localhost:3000'; echo http://127.0.0.1:3000/; sleep 600"
    task = {"run": body, "runtime": {"kind": "service", "listeners": {"http": silent()}}}
    repo = contained({"web": task})
    live = repo.start("run", "web", "--json")
    live.wait_for("Local: http://localhost:3000")
    live.signal(signal.SIGINT)
    document = live.finish().json
    assert_schema(document, "run")
    assert "Local: http://localhost:3000" in document["stdout"]
    runtime = document["receipt"].get("runtime", {})
    assert "exposed_endpoints" not in runtime
    assert "External" not in live.err


def silent() -> dict:
    """A listener nobody publishes."""
    return {"protocol": "http", "bind": {"address": "0.0.0.0", "port": {"mode": "fixed", "value": 3000}}}


@pytest.mark.proves("S003-90")
@pytest.mark.proves("S003-86")
def test_confirmation_comes_once_and_only_after_the_delayed_server_answers(contained):
    repo = contained({"web": service(f"sleep 2; echo up; {HTTPD}", READY)})
    live = repo.start("run", "web", "--stream")
    live.wait_for("up")
    assert "External:" not in live.err
    result = stopped(live)
    assert result.err.split("RUN SUMMARY")[0].count("External: ") == 1
    assert result.err.split("RUN SUMMARY")[0].count("Internal: ") == 1


@pytest.mark.proves("S003-04")
@pytest.mark.proves("S003-85")
@pytest.mark.proves("S003-91")
def test_an_app_on_the_loopback_of_its_container_is_planned_and_never_confirmed(contained, assert_schema):
    repo = contained({"web": service("echo up; exec httpd -f -p 127.0.0.1:8080 -h /bin")})
    live = repo.start("run", "web", "--stream")
    live.wait_for("up")
    threading.Event().wait(1.5)
    live.signal(signal.SIGINT)
    result = live.finish()
    assert "Endpoint (planned) http://127.0.0.1:" in result.err
    assert "(planned, not confirmed)" in result.err
    assert "Internal: http" not in result.err.split("RUN SUMMARY")[0]
    live = repo.start("run", "web", "--json")
    live.wait_for("up")
    live.signal(signal.SIGINT)
    document = live.finish().json
    assert_schema(document, "run")
    endpoint = document["receipt"]["runtime"]["primary_endpoint"]
    assert endpoint["confirmed"] is False
    assert (
        document["receipt"]["runtime"]["listeners"]["http"]["resolved"]["host"]["url"]
        == endpoint["host"]["url"]
    )


@pytest.mark.proves("S003-92")
@pytest.mark.proves("S003-93")
@pytest.mark.proves("S003-94")
@pytest.mark.proves("S003-95")
def test_in_the_colima_vm_the_banner_is_withheld_and_the_way_in_is_shown(contained):
    asked, hidden = free_port(), free_port()
    repo = contained({"web": service(f"echo up; {HTTPD}", http=listener(host=free_port()))})
    if repo.engine.name != "docker":
        pytest.skip("Colima is a home of Docker")
    # as the engine has it the port is published; on this host nothing answers there
    repo.shim(
        'case "$1 $2" in "context show") echo colima; exit 0 ;; esac\n'
        f'case "$1" in inspect|ps) real "$@" | sed s/{hidden}/{asked}/g; exit 0 ;; esac\n'
        'if [ "$1" = create ]; then\n  n=$#; i=0\n'
        "  while [ $i -lt $n ]; do w=$1; shift; i=$((i+1))\n"
        f'    case $w in *:{asked}:*) w=127.0.0.1:{hidden}:8080/tcp ;; esac; set -- "$@" "$w"\n'
        "  done\nfi"
    )
    live = repo.start("run", "web", "--stream", "--host-port", str(asked), env=repo.shimmed)
    live.wait_for("up")
    threading.Event().wait(1.0)
    live.signal(signal.SIGINT)
    result = live.finish()
    assert "External: " not in result.err.split("RUN SUMMARY")[0]
    assert f"colima ssh -- curl http://127.0.0.1:{asked}/" in result.err
    assert "published only inside it" in result.err


@pytest.mark.proves("S000-123")
def test_a_container_that_ended_by_itself_keeps_its_endpoint(contained, assert_schema):
    repo = contained({"web": service("(httpd -f -p 8080 -h /bin & sleep 3)", {**READY, "path": "/busybox"})})
    document = repo.run("run", "web", "--json").json
    assert_schema(document, "run")
    endpoint = document["receipt"]["runtime"]["primary_endpoint"]
    assert endpoint["confirmed"] is True
    assert endpoint["host"]["url"].startswith("http://127.0.0.1:")
    assert repo.containers() == []


@pytest.mark.proves("S000-111")
@pytest.mark.proves("S000-109")
def test_a_lost_publication_is_told_on_a_terminal_too_and_in_the_summary(contained):
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        repo = contained({"web": service(HTTPD, READY, http=listener(host=port))})
        shown = on_a_terminal(repo, "run", "web")
    assert "Host publication failed" in shown
    assert "tasks.web.runtime.listeners.http.project.host.port" in shown.replace("\r\n", "\n")
    assert f"ingress: could not publish host port {port}" in " ".join(shown.split())


@pytest.mark.proves("S001-53")
@pytest.mark.proves("S001-86")
@pytest.mark.proves("S002-150")
@pytest.mark.proves("S003-88")
def test_inside_the_port_is_one_and_the_same_whatever_the_host_has(contained):
    fixed = free_port()
    repo = contained({"web": service(HTTPD, READY, http=listener(host=fixed))})

    def inside() -> tuple[str, str]:
        live = repo.start("run", "web", "--stream")
        live.wait_for("External: ")
        (name,) = repo.containers()
        table = repo.engine.run("exec", name, "cat", "/proc/net/tcp", "/proc/net/tcp6").stdout
        listening = {line.split()[1].rsplit(":", 1)[1] for line in table.splitlines() if " 0A " in line}
        url = url_in(live.err)
        assert answer(url) == "ok\n"
        live.signal(signal.SIGINT)
        live.finish()
        return url, str(sorted(listening))

    first, second = inside(), inside()
    assert first == second == (f"http://127.0.0.1:{fixed}/", "['1F90']")
    repo.write({"web": service(HTTPD, READY)})
    url, listening = inside()
    assert listening == "['1F90']"
    assert url != first[0]


@pytest.mark.proves("S001-97")
@pytest.mark.proves("S001-105")
def test_a_fresh_clone_serves_with_one_command(contained, tmp_path):
    repo = contained({"dev": service(HTTPD, READY)})
    repo.project.git("init", "-q")
    repo.project.git("add", "ota.yaml")
    repo.project.git("commit", "-q", "-m", "first")
    clone = tmp_path / "clone"
    repo.project.git("clone", "-q", str(repo.path), str(clone))
    live = repo.start("run", "dev", "--stream", cwd=clone)
    try:
        live.wait_for("External: ")
        assert answer(url_in(live.err)) == "ok\n"
        live.signal(signal.SIGINT)
        assert live.finish().code == 130
    finally:
        token = (clone / ".ota/state/ownership-id").read_text().strip()
        repo.engine.remove(repo.engine.found(f"dev.ota.repo={token}"))


@pytest.mark.proves("S002-56")
@pytest.mark.proves("S002-149")
def test_bound_inside_published_outside_and_the_container_kept(contained):
    web = service(HTTPD.replace("8080", "3000") + "", {**READY}, http=listener(3000))
    web["run"] = "echo $OTA_PUBLIC_URL; " + web["run"]
    repo = contained({"web": web}, lifecycle="persistent")
    result = stopped(repo.start("run", "web", "--stream"))
    url = url_in(result.err)
    assert url in result.out.splitlines()
    assert "Internal: http://0.0.0.0:3000" in result.err
    assert len(repo.containers("persistent")) == 1


@pytest.mark.proves("S002-40")
@pytest.mark.proves("S002-13")
def test_contexts_have_their_own_image_memory_mounts_and_environment(contained):
    repo = contained({"wait": {"run": "env; sleep 600"}})
    text = json.loads(repo.project.read("ota.yaml"))
    base = text["execution"]["contexts"].pop("app")
    text["execution"] = {
        "default_context": "development",
        "contexts": {
            "development": {
                **base,
                "lifecycle": "persistent",
                "container": {**base["container"], "resources": {"memory": {"default": "3GiB"}}},
                "attachments": {"isolated_paths": ["node_modules"]},
                "env": {"WHERE": "development"},
            },
            "verify": {**base, "lifecycle": "ephemeral"},
        },
    }
    text["tasks"]["check"] = {"run": "env; sleep 600", "context": "verify"}
    repo.project.write({"ota.yaml": json.dumps(text)})
    found = {}
    for task, lifecycle in (("wait", "persistent"), ("check", "ephemeral")):
        live = repo.start("run", task, "--stream")
        live.wait_for("OTA_WORKSPACE=")
        (name,) = repo.containers(lifecycle)
        facts = repo.inspect(name)
        found[task] = (
            facts["HostConfig"]["Memory"],
            "/workspace/node_modules" in {mount["Destination"] for mount in facts["Mounts"]},
            "WHERE=development" in live.out,
        )
        live.signal(signal.SIGINT)
        live.finish()
    assert found == {"wait": (3221225472, True, True), "check": (0, False, False)}
