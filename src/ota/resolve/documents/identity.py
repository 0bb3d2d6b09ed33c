"""What a contract is and what it declares about execution: facts of the file, not of a run.

Source: json-and-receipts specification 2.3, 2.7 (`declaredExecution`).
"""

from collections.abc import Mapping

from ota.contract.model import Contract
from ota.contract.model.execution import Attachments, ContainerSettings, Context, RemoteSettings
from ota.contract.model.requirements import ScopedRequirements, TaskRequirements
from ota.contract.model.tasks import Task
from ota.contract.planes import Planes
from ota.resolve.documents.shape import Document, by_key, compact, masked, plain
from ota.resolve.injection import CONTAINER_WORKSPACE


def contract_identity(contract: Contract) -> Document:
    """`contractIdentity`."""
    runtimes, tools = _distinct_names(contract)
    project: Document = {"name": contract.project.name}
    if contract.project.type:
        project["type"] = contract.project.type
    document: Document = {
        "version": contract.version,
        "project": project,
        "counts": {
            "runtimes": len(runtimes),
            "tools": len(tools),
            "env": len(contract.env.vars),
            "services": len(contract.services),
            "checks": len(contract.checks),
            "tasks": len(contract.tasks),
        },
    }
    metadata = {
        key: value
        for key in ("owner", "team", "repo_class")
        if isinstance(value := contract.metadata.get(key), str) and value
    }
    if metadata:
        document["metadata"] = metadata
    execution = contract.execution
    if execution is not None:
        container = execution.backends.container if execution.backends is not None else None
        shown = compact(
            preferred=execution.preferred,
            lifecycle=execution.lifecycle,
            supported=execution.supported,
            image=container.image if container is not None else None,
        )
        if shown:
            document["execution"] = shown
    return document


def _distinct_names(contract: Contract) -> tuple[set[str], set[str]]:
    """Names over the top level, every context and every task."""
    runtimes, tools = set(contract.runtimes), set(contract.tools)
    scopes: list[ScopedRequirements | TaskRequirements | None] = []
    if contract.execution is not None:
        scopes += [context.requirements for context in contract.execution.contexts.values()]
    for task in contract.tasks.values():
        scopes += _task_scopes(task)
    for scope in scopes:
        if scope is None:
            continue
        runtimes |= scope.runtimes.keys()
        tools |= scope.tools.keys()
        for alternative in scope.any_of if isinstance(scope, TaskRequirements) else ():
            runtimes |= alternative.runtimes.keys()
            tools |= alternative.tools.keys()
    return runtimes, tools


def _task_scopes(task: Task) -> list[TaskRequirements | None]:
    return [task.requirements, *(variant.requirements for variant in task.variants)]


def declared_execution(contract: Contract, planes: Planes | None = None) -> Document | None:
    """`declaredExecution`: contexts after inheritance; None when nothing is declared."""
    execution = contract.execution
    secrets = [name for name, var in contract.env.vars.items() if var.secret]
    env = [
        compact(
            name=name,
            required=var.required,
            source="repo contract",
            default=var.default,
            allowed=var.allowed,
        )
        for name, var in sorted(contract.env.vars.items())
    ]
    if execution is None:
        return {"env": env} if env else None
    merged = (planes or Planes(contract)).contexts
    backends = execution.backends
    document = compact(
        default_context=execution.default_context,
        preferred=execution.preferred,
        supported=execution.supported,
        lifecycle=execution.lifecycle,
        backends=compact(
            container=_container(backends.container) if backends is not None else None,
            remote=_remote(backends.remote) if backends is not None else None,
        ),
        contexts=[_context(name, context, secrets) for name, context in merged.items()],
        env=env,
    )
    return document or None


def _context(name: str, context: Context, secrets: list[str]) -> Document:
    return compact(
        name=name,
        backend=context.backend,
        lifecycle=context.lifecycle if context.backend != "native" else None,
        container=_container(context.container) if context.backend == "container" else None,
        remote=_remote(context.remote) if context.backend == "remote" else None,
        attachments=_attachments(context.attachments),
        fulfillment=context.fulfillment,
        only_on=context.only_on,
        only_arch=context.only_arch,
        env=masked(context.env, secrets),
        requirements=_requirements(context.requirements),
    )


def _container(settings: ContainerSettings | None) -> Document | None:
    if settings is None or settings.image is None:
        return None
    memory = settings.resources.memory if settings.resources is not None else None
    limits = compact(minimum=memory.minimum, default=memory.default) if memory is not None else {}
    return compact(
        image=settings.image,
        engines=settings.engines,
        platform=settings.platform,
        user=settings.user,
        resources={"memory": limits} if limits else None,
    )


def _remote(settings: RemoteSettings | None) -> Document | None:
    if settings is None or settings.provider is None:
        return None
    ssh = settings.ssh
    files = compact(config_file=ssh.config_file, identity_file=ssh.identity_file) if ssh is not None else None
    return compact(
        provider=settings.provider,
        target=settings.target,
        cwd=settings.cwd,
        ssh=files,
    )


def _attachments(attachments: Attachments | None) -> Document | None:
    if attachments is None:
        return None
    isolated = attachments.isolated_paths or ()
    return compact(
        compose=attachments.compose,
        isolated_paths=isolated,
        isolated_effective_paths=[f"{CONTAINER_WORKSPACE}/{mounted_path(path)}" for path in isolated],
    )


def mounted_path(path: str) -> str:
    """An isolated path below the workspace, in its normal form."""
    return "/".join(part for part in path.replace("\\", "/").split("/") if part not in ("", "."))


def _requirements(scoped: ScopedRequirements | None) -> Document | None:
    if scoped is None:
        return None
    return compact(
        runtimes=by_key({name: str(each.version) for name, each in scoped.runtimes.items()}),
        tools=by_key({name: str(each.version) for name, each in scoped.tools.items()}),
        toolchains=scoped.toolchains,
    )


def versions(requirements: Mapping[str, str]) -> Document:
    """Names with versions, sorted."""
    return {name: plain(version) for name, version in by_key(requirements).items()}
