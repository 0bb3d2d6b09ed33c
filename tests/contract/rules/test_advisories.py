"""Advice: each advisory is drawn by one contract and not by its neighbour, and never blocks."""

import pytest

from contract.rules.table import Case, told

ISOLATED = """execution:
  default_context: box
  contexts:
    box:
      backend: container
      lifecycle: ephemeral
      container: {image: n}
      env: {ENV}
      attachments: {isolated_paths: [PATHS]}
"""
TWO = """execution:
  contexts:
    host: {backend: native}
    box: {backend: container, lifecycle: ephemeral, container: {image: n}}
"""


def isolated(paths: str, env: str = "", task: str = "") -> str:
    head = ISOLATED.replace("PATHS", paths).replace("{ENV}", f"{{{env}}}")
    return head + (f"tasks: {{t: {{{task}}}}}\n" if task else "")


def task(text: str, more: str = "") -> str:
    return f"tasks:\n  t: {{{text}}}\n{more}"


def agent(text: str, more: str = "") -> str:
    return f"agent: {{{text}}}\n{more}"


def remote(provider: str, target: str) -> str:
    far = f"backend: remote, remote: {{provider: {provider}, target: {target}}}"
    return f"execution: {{contexts: {{far: {{{far}}}}}}}\n"


def safe(effects: str) -> str:
    return task(f"run: make, safe_for_agent: true, effects: {{{effects}}}")


def shell(text: str) -> str:
    return f"tasks:\n  t:\n    run: |-\n      {text}\n"


def crossing(dependency: str) -> str:
    return task("run: make, context: box, depends_on: [d]", f"  d: {{{dependency}}}\n{TWO}")


SERVICE = "runtime: {kind: service, listeners: {l: {http: 80}}}"
READY = "runtime: {kind: service, listeners: {l: {http: 80}}, readiness: {kind: tcp, listener: l}}"
ATTACHED = "runtime: {kind: service, surfaces: [l], readiness: {kind: tcp, listener: l}}"
SURFACE = "surfaces: {l: {kind: http, port: 80}}\n"
LAUNCH = "launch: {kind: command, exe: a}, "
CHECKOUT = "action: {kind: ensure_git_checkout, path: ../l, source: {git: uREF}}"
DB = "services: {db: {required: true, manager: {kind: compose, name: p, service: db}READY}}\n"
PULL = (
    "prepare: {kind: dependency_hydration, medium: container_images, targets: [db], "
    "source: {kind: docker_compose, cwd: ., file: c.yml}}, requirements: {tools: {docker: '*'}}, "
    "effects: {network: true, network_kind: KIND}"
)
ROOT = """execution:
  lifecycle: LIFE
  backends: {container: {image: n}}
  contexts: {box: {backend: container, lifecycle: ephemeral, container: {image: m}}}
"""
ISO = "execution.contexts.box.attachments.isolated_paths[0]"

ADVICE = (
    Case(
        "W01",
        "tasks.t.depends_on[0]",
        crossing("run: make, context: host"),
        crossing("run: make, context: box"),
    ),
    Case(
        "W01",
        "tasks.t.depends_on[0]",
        crossing("run: make, context: host"),
        crossing("context: host, action: {kind: ensure_directory, path: a}"),
    ),
    Case(
        "W02",
        ISO,
        isolated(".npm", "NPM_CONFIG_CACHE: /tmp/npm"),
        isolated(".npm", "NPM_CONFIG_CACHE: /workspace/.npm"),
    ),
    Case("W03", ISO, isolated(".yarn"), isolated(".yarn/cache")),
    Case(
        "W04",
        "tasks.t.run",
        isolated("node_modules", task="run: rm -rf ./node_modules && npm ci"),
        isolated("node_modules", task="run: rm -rf node_modules_old"),
    ),
    Case(
        "W05",
        "tools.pnpm",
        'runtimes: {node: "22"}\ntools: {pnpm: "9"}\n',
        'toolchains: {node: {version: "22", package_managers: {pnpm: "9"}}}\n',
    ),
    Case(
        "W06",
        "agent.writable_paths[0]",
        agent("writable_paths: [ota.yaml]"),
        agent("writable_paths: [ota.yaml], posture: contract_authoring"),
    ),
    Case(
        "W06",
        "agent.writable_paths[0]",
        agent("writable_paths: [.github/workflows/ci.yml]"),
        agent("writable_paths: [src]"),
    ),
    Case(
        "W06",
        "agent.writable_paths[0]",
        agent("writable_paths: [Dockerfile]"),
        agent("writable_paths: [Dockerfile], exceptions: {sensitive_writes: [Dockerfile]}"),
    ),
    Case(
        "W07",
        "agent.exceptions.sensitive_writes[0]",
        agent("writable_paths: [src], exceptions: {sensitive_writes: [src]}"),
        agent("writable_paths: [uv.lock], exceptions: {sensitive_writes: [uv.lock]}"),
    ),
    Case(
        "W08",
        "agent.bootstrap.ota.source.kind",
        agent("bootstrap: {ota: {source: {kind: branch, branch: main}}}"),
        agent("bootstrap: {ota: {source: {kind: version, version: v1.2.3}}}"),
    ),
    Case(
        "W08",
        "agent.bootstrap.ota.sh",
        agent("bootstrap: {ota: {sh: get ota}}"),
        agent("bootstrap: {ota: {sh: get ota v1.2.3}}"),
    ),
    Case("W09", "tasks.t.effects.network", safe("network: true"), safe("writes: [a]")),
    Case(
        "W09",
        "tasks.t.effects.external_state",
        safe("external_state: [queue]"),
        safe("adapter_state: ['a:b']"),
    ),
    Case("W10", "tasks.t.run", task("run: ./serve, " + SERVICE), task(LAUNCH + SERVICE)),
    *(
        Case("W11", "tasks.t.run", shell(text), shell("make all"))
        for text in (
            "docker compose -f a.yml up -d",
            "docker-compose -p demo up",
            "helm upgrade a b -f values.yaml",
            "sudo systemctl start postgresql",
            "echo A=b >> .env",
            "cp .env.example .env",
            "test -f dist/app && make",
            '[ -n "$TOKEN" ] && make',
        )
    ),
    Case(
        "W12",
        "tasks.t.action.source",
        task(CHECKOUT.replace("REF", "")),
        task(CHECKOUT.replace("REF", ", ref: v1")),
    ),
    Case(
        "W13",
        "tasks.t.effects.network_kind",
        task(PULL.replace("KIND", "dependency_hydration")),
        task(PULL.replace("KIND", "container_image_hydration")),
    ),
    Case(
        "W14",
        "toolchains.rust.provider",
        'toolchains: {rust: {version: "1.80", provider: rustup}}\n',
        'toolchains: {rust: {version: "1.80"}}\n',
    ),
    Case(
        "W15",
        "services.db",
        DB.replace("READY", ""),
        DB.replace("READY", ", readiness: {kind: compose_health}"),
    ),
    Case("W16", "execution.contexts.far.remote.target", remote("ssh", "ssh://a@b"), remote("ssh", "a@b")),
    Case(
        "W16", "execution.contexts.far.remote.target", remote("kubectl", "app"), remote("kubectl", "pod/app")
    ),
    Case("W16", "execution.contexts.far.remote.target", remote("tsh", "app"), remote("tsh", "a@app")),
    Case(
        "W17",
        "execution.contexts.box.lifecycle",
        ROOT.replace("LIFE", "ephemeral"),
        ROOT.replace("LIFE", "persistent"),
    ),
    Case(
        "W17",
        "execution.contexts.box.container.image",
        ROOT.replace("image: m", "image: n").replace("LIFE", "persistent"),
        ROOT.replace("LIFE", "persistent"),
    ),
    Case(
        "W18",
        "tools.poetry",
        'tools: {poetry: "1.8"}\n',
        'toolchains: {python: {version: "3.12", package_managers: {poetry: "1.8"}}}\n',
    ),
    Case("W19", "tasks.t.runtime.readiness", task(LAUNCH + READY, SURFACE), task(LAUNCH + ATTACHED, SURFACE)),
    Case(
        "W20",
        "tasks.t.adapter_inputs.bake",
        task("run: make, adapter_inputs: {bake: {}}"),
        task("run: make, adapter_inputs: {bake: {cwd: .}}"),
    ),
)


def drawn(fragment: str) -> list[tuple[str, str]]:
    """Codes and fields of all advice; nothing may block."""
    found = told(fragment)
    assert not [each for each in found if each.severity == "error"], found
    return [
        (each.code.removeprefix("OTA_"), each.place.field if each.place else "")
        for each in found
        if each.code.startswith("OTA_W")
    ]


@pytest.mark.parametrize("case", ADVICE, ids=str)
def test_advice_is_drawn_alone_and_never_blocks(case: Case) -> None:
    assert drawn(case.broken) == [(case.rule, case.field)]
    assert case.rule not in {rule for rule, _ in drawn(case.valid)}


def test_every_piece_of_advice_says_what_to_do() -> None:
    for case in ADVICE:
        assert all(
            each.next and each.why and each.severity == "warn"
            for each in told(case.broken)
            if "_W" in each.code
        )
