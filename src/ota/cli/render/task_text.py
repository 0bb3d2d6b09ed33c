"""Tasks, their bodies, branches and listeners as text. The document decides what there is to say.

Source: commands specification 6, 7.
"""

from collections.abc import Iterator, Mapping

from ota.cli.render.listing import NONE, Document, Report, code, listed, pairs

_FACTS = {
    "description": "Description",
    "notes": "Notes",
    "kind": "Kind",
    "selected_variant_os": "OS",
    "only_on": "Only On",
    "category": "Category",
    "context": "Context",
    "lifecycle": "Lifecycle",
    "default_mode": "Default Mode",
}
_RELATIONS = {
    "depends_on": "Depends On",
    "requires_services": "Requires Services",
    "after_success": "After Success",
    "after_failure": "After Failure",
    "after_always": "After Always",
}
_AGENT = {
    "posture": "Posture",
    "entrypoint": "Entrypoint",
    "default_task": "Default Task",
    "safe_tasks": "Safe Tasks",
    "verify_after_changes": "Verify After Changes",
    "writable_paths": "Writable Paths",
    "protected_paths": "Protected Paths",
    "inferred_boundary_reviewed": "Boundary Reviewed",
    "notes": "Notes",
}


def task_item(report: Report, task: Document, runs_on: str = "") -> None:
    """Everything declared about one task."""
    report.item(str(task["name"]))
    if task.get("internal"):
        report.row("Visibility", "internal")
    report.rows(task, _FACTS)
    for label, text in body_rows(task):
        report.row(label, text)
    report.row("When", listed(task["when_checks"]) if "when_checks" in task else None)
    for key, label in _RELATIONS.items():
        report.row(label, listed(task[key]))
    report.row("Safe For Agent", task["safe_for_agent"])
    report.row("Env", pairs(task.get("env", {})) or NONE)
    report.row("Env Files", task.get("env_files"))
    report.bullets(input_lines(task.get("inputs", {})), label="Inputs")
    if "effects" in task:
        report.row("Effects", "; ".join(f"{key}={_word(value)}" for key, value in task["effects"].items()))
    report.bullets(_variant_lines(task), label="Variants")
    _branches(report, task)
    runtime_rows(report, task.get("runtime"))
    report.bullets((target_line(each) for each in task.get("targets", [])), label="Targets")
    report.row("Runs", runs_on)


def body_rows(holder: Document) -> Iterator[tuple[str, str]]:
    """The body of a task, branch or variant: at most one row."""
    for key in ("run", "script"):
        if holder.get(key):
            yield key.capitalize(), code(holder[key])
    if "command" in holder:
        yield "Command", code(_argv(holder["command"]))
    if "launch" in holder:
        yield "Launch", launch_line(holder["launch"])
    for key in ("action", "prepare"):
        if key in holder:
            yield key.capitalize(), _structure(holder[key])
    if "compose" in holder:
        yield "Compose", _structure(holder["compose"])
    if "aggregate" in holder:
        yield "Aggregate", listed(holder["aggregate"]["tasks"])


def launch_line(launch: Document) -> str:
    """`command \\`uvicorn app:main\\``, `container node:24`."""
    match launch["kind"]:
        case "command":
            return f"command {code(_argv(launch))}"
        case "container":
            args = f" {code(' '.join(launch['args']))}" if launch.get("args") else ""
            return f"container {launch['image']}{args}"
        case _:
            return _structure(launch)


def input_lines(inputs: Mapping[str, Document]) -> Iterator[str]:
    """`--version (required; allowed: patch, minor): which part`."""
    for name, declared in inputs.items():
        facts = ["required"] if declared.get("required") else []
        if "default" in declared:
            facts.append(f"default: {declared['default']}")
        if declared.get("allowed"):
            facts.append(f"allowed: {', '.join(map(str, declared['allowed']))}")
        described = f": {declared['description']}" if declared.get("description") else ""
        yield f"--{name.replace('_', '-')}" + (f" ({'; '.join(facts)})" if facts else "") + described


def runtime_rows(report: Report, runtime: Document | None, *, indent: int = 2) -> None:
    """The declared workload: listeners, readiness, binding."""
    if runtime is None:
        return
    report.row("Runtime", runtime["kind"], indent=indent)
    report.row("Backend Binding", runtime.get("backend_binding"), indent=indent)
    report.row("Surfaces", runtime.get("attached_surfaces"), indent=indent)
    lines = (listener_line(name, each) for name, each in runtime.get("listeners", {}).items())
    report.bullets(lines, label="Listeners", indent=indent)
    if "readiness" in runtime:
        report.row("Readiness", readiness_line(runtime["readiness"]), indent=indent)


def listener_line(name: str, listener: Document) -> str:
    """`http (http, bind=0.0.0.0 fixed:3000, host=127.0.0.1 auto, primary)`."""
    bind = _port(listener["bind_address"], listener["bind_port_mode"], listener.get("bind_port_value"))
    facts = [str(listener["protocol"]), f"bind={bind}"]
    host = listener.get("host_projection")
    if host is not None:
        facts.append(f"host={_port(host['address'], host['port_mode'], host.get('port_value'))}")
        if host.get("path") not in (None, "/"):
            facts.append(f"path={host['path']}")
        if host["primary"]:
            facts.append("primary")
    return f"{name} ({', '.join(facts)})"


def readiness_line(readiness: Document) -> str:
    """`http GET /health via http, interval=1s, retries=30`."""
    words = [str(readiness.get("kind", "run"))]
    words += [str(readiness[key]) for key in ("method", "path", "run") if key in readiness]
    if "listener" in readiness:
        words.append(f"via {readiness['listener']}")
    if "probe" in readiness:
        words.append(str(readiness["probe"]))
    where = [
        f"{key.rstrip('_')} {readiness[key]}" for key in ("from", "from_", "endpoint") if key in readiness
    ]
    details = [f"{key}={readiness[key]}" for key in _TIMINGS if key in readiness]
    if "success" in readiness:
        details.insert(0, f"status={'/'.join(map(str, readiness['success']['status']))}")
    if "body" in readiness:
        details.insert(0, f"body contains `{readiness['body']['contains']}`")
    if "signal_probes" in readiness:
        details.append(f"signals={'+'.join(readiness['signal_probes'])}")
    return ", ".join([" ".join([*words, *where]), *details])


_TIMINGS = ("interval", "timeout", "retries", "start_period")


def target_line(target: Document) -> str:
    """`api (api.http, activation=ensure_ready, view=host)`."""
    service = target.get("service")
    if service is None:
        where = str(target["url"])
    else:
        owner = service.get("member") or service.get("repo")
        where = f"{owner}:" if owner else ""
        where += str(service["task"]) + (f".{service['listener']}" if "listener" in service else "")
    facts = [where, f"activation={target['activation_mode']}"]
    if service is not None:
        facts.append(f"view={service['address_view']}")
    if "override_input" in target:
        facts.append(f"override=--{target['override_input'].replace('_', '-')}")
    return f"{target['name']} ({', '.join(facts)})"


def agent_block(report: Report, agent: Document) -> None:
    """What the contract tells agents."""
    report.section("Agent")
    report.rows(agent, _AGENT)


WORKFLOW_ROWS = {
    "intent": "Intent",
    "description": "Description",
    "notes": "Notes",
    "prepare_task": "Prepare",
    "setup_task": "Setup",
    "run_task": "Run",
    "attach_task": "Attach",
    "required_services": "Services",
    "readiness_checks": "Readiness Checks",
    "readiness_probes": "Readiness Probes",
    "readiness_surfaces": "Readiness Surfaces",
    "signal_readiness_checks": "Signal Checks",
    "signal_readiness_probes": "Signal Probes",
    "signal_readiness_surfaces": "Signal Surfaces",
    "exposes": "Exposes",
    "expose_surfaces": "Exposed Surfaces",
}
"""What a workflow is made of."""


def workflow_line(workflow: Document) -> str:
    """The workflow in effect, with its summary."""
    told = workflow.get("description") or workflow.get("intent")
    return f"{workflow['name']} - {told}" if told else str(workflow["name"])


def _branches(report: Report, task: Document) -> None:
    modes = task.get("modes", [])
    report.bullets((_branch_line(branch) for branch in modes), label="Execution")
    for branch in modes:
        if "runtime" in branch:
            report.row("Branch", branch["mode"], indent=4)
            runtime_rows(report, branch["runtime"], indent=6)


def _branch_line(branch: Document) -> str:
    facts = [f"{key}={branch[key]}" for key in ("context", "lifecycle") if key in branch]
    facts += [f"{label.lower()} {text}" for label, text in body_rows(branch)]
    if branch.get("env"):
        facts.append(f"env {pairs(branch['env'])}")
    if branch.get("env_files"):
        facts.append(f"env_files {listed(branch['env_files'])}")
    if "depends_on" in branch:
        facts.append(f"depends_on {listed(branch['depends_on'])}")
    if branch["has_runtime"]:
        facts.append("own runtime")
    return f"{branch['mode']}: {'; '.join(facts) or 'the task body'}"


def _variant_lines(task: Document) -> Iterator[str]:
    for variant in task.get("variants", []):
        told = "; ".join(f"{label.lower()} {text}" for label, text in body_rows(variant))
        yield f"{variant.get('os') or 'any'}: {told or 'the task body'}"


def _argv(command: Document) -> str:
    from shlex import join

    return join([str(command["exe"]), *map(str, command.get("args", []))])


def _structure(document: Document) -> str:
    """`dependency_hydration (source_kind=npm, cwd=web)`; nested steps by their kinds."""
    kind = str(document.get("kind", ""))
    facts = [f"{key}={_word(value)}" for key, value in document.items() if key not in ("kind", "steps")]
    if "steps" in document:
        facts.append(f"steps: {', '.join(_structure(step) for step in document['steps'])}")
    joined = ", ".join(facts)
    return f"{kind} ({joined})" if kind and joined else kind or joined


def _word(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return "+".join(map(str, value))
    return str(value)


def _port(address: str, mode: str, value: int | None) -> str:
    return f"{address} {mode}" + (f":{value}" if value is not None else "")
