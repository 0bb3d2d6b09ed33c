"""The declared env layers of a task, lowest precedence first. Nothing is looked up here.

Source: contract specification 9.3, 9.4, 15.8, 16 (instances), B.2; runtime specification 3.3;
decision D18.
"""

from collections.abc import Mapping

from ota.contract.model.env import EnvProfile, EnvSource
from ota.contract.model.tasks import AdapterInputs, AdapterOverlay, EnvBinding, FromService
from ota.env.layers import (
    PASSWORD_MARK,
    EnvLayer,
    EnvLayers,
    LayerName,
    RenderedDotenv,
    before_files_are_made,
)
from ota.resolve.bodies import is_compose_body
from ota.resolve.file_makers import leading_file_steps, writes_files_only
from ota.resolve.plan import ActionBody, BodyPlan, PrepareBody, TaskPlan
from ota.resolve.render_plan import RenderPlan
from ota.resolve.scope import Scope, TaskScope
from ota.system.addresses import address_text

_CACHES = {
    ".m2": ("MAVEN_OPTS", "-Dmaven.repo.local={path}/repository"),
    ".nuget/packages": ("NUGET_PACKAGES", "{path}"),
    ".npm": ("NPM_CONFIG_CACHE", "{path}"),
    ".pnpm-store": ("PNPM_STORE_DIR", "{path}"),
    ".gradle": ("GRADLE_USER_HOME", "{path}"),
    ".pip-cache": ("PIP_CACHE_DIR", "{path}"),
    ".pypoetry-cache": ("POETRY_CACHE_DIR", "{path}"),
}


def contract_layers(scope: Scope) -> EnvLayers:
    """The contract's own variables and sources, with the profile of the workflow in effect."""
    return _layers(scope, tuple(_profile_layers(scope)), required=())


def task_layers(ts: TaskScope, required: tuple[str, ...], body: BodyPlan | None) -> EnvLayers:
    """Everything one task's environment is made of."""
    scope, task = ts.scope, ts.task
    layers: list[EnvLayer] = [
        EnvLayer(name="cache_fallback", values=_cache_fallbacks(ts), field=("execution",)),
        EnvLayer(name="adapter", values=_adapter_values(ts), field=(*ts.field, "adapter_inputs")),
        *_profile_layers(scope, is_compose=is_compose_body(ts)),
        *_files("env_file", task.env_files, (*ts.field, "env_files")),
    ]
    if ts.variant is not None:
        index, variant = ts.variant
        layers += _files("env_file", variant.env_files, (*ts.field, "variants", index, "env_files"))
    if ts.branch is not None:
        layers += _files("branch_env_file", ts.branch.env_files, (*ts.branch_field, "env_files"))
    context_field = ("execution", "contexts", ts.choice.name or "", "env")
    layers.append(EnvLayer(name="context", values=ts.choice.context.env, field=context_field))
    layers.append(_values(ts, "task", ts.field, task.env, task.env_bindings))
    if ts.variant is not None:
        index, variant = ts.variant
        field = (*ts.field, "variants", index)
        layers.append(_values(ts, "variant", field, variant.env, variant.env_bindings))
    if ts.branch is not None:
        layers.append(_values(ts, "branch", ts.branch_field, ts.branch.env, ts.branch.env_bindings))
    layers += _instance_layers(ts)
    kept = tuple(layer for layer in layers if layer.values or layer.file is not None)
    layers_of_task = _layers(scope, kept, required=required)
    is_maker = isinstance(body, ActionBody) and writes_files_only(body.action) and ts.choice.plane != "remote"
    return before_files_are_made(layers_of_task) if is_maker else layers_of_task


def layers_at_start(task: TaskPlan) -> EnvLayers:
    """What the body needs before its first part: less, where that part may make what the others need."""
    body = task.body
    step = (
        body.action
        if isinstance(body, ActionBody)
        else body.prepare
        if isinstance(body, PrepareBody)
        else None
    )
    makes_files = step is not None and leading_file_steps(step) > 0 and task.context.plane != "remote"
    return before_files_are_made(task.env) if makes_files else task.env


def _layers(scope: Scope, overlay: tuple[EnvLayer, ...], *, required: tuple[str, ...]) -> EnvLayers:
    env = scope.contract.env
    profile = scope.profile
    path = env.vars.get("PATH")
    sources: tuple[EnvSource, ...] = (*(profile.sources if profile is not None else ()), *env.sources)
    return EnvLayers(
        variables=env.vars,
        sources=sources,
        overlay=overlay,
        required=required,
        prepend_path=path.prepend if path is not None else (),
        append_path=path.append if path is not None else (),
        makers=scope.file_makers,
    )


def _files(name: LayerName, files: tuple[str, ...], field: tuple[str | int, ...]) -> list[EnvLayer]:
    return [EnvLayer(name=name, file=file, field=(*field, index)) for index, file in enumerate(files)]


def _profile_layers(scope: Scope, *, is_compose: bool = False) -> list[EnvLayer]:
    """Files and values of the profile, a rendered file first; where Compose runs, that file is Compose's."""
    profile = scope.profile
    if profile is None:
        return []
    field = ("env", "profiles", scope.selection.profile_name or "")
    rendered = rendered_of(scope) if not is_compose else None
    first = (
        [EnvLayer(name="profile_env_file", file=rendered.path, rendered=rendered, field=(*field, "render"))]
        if rendered is not None
        else []
    )
    return [*first, *_own_profile_layers(profile, field)]


def _own_profile_layers(profile: EnvProfile, field: tuple[str, ...]) -> list[EnvLayer]:
    return [
        *_files("profile_env_file", profile.env_files, (*field, "env_files")),
        EnvLayer(name="profile", values=profile.env, field=(*field, "env")),
    ]


def plan_rendering(scope: Scope) -> RenderPlan | None:
    """What the profile in effect renders; None for nothing."""
    profile = scope.profile
    if profile is None or profile.render is None:
        return None
    return RenderPlan(
        profile=scope.selection.profile_name or "", dotenv=rendered_of(scope), files=profile.render.files
    )


def rendered_of(scope: Scope) -> RenderedDotenv | None:
    """The dotenv file the profile in effect makes of its own values, those of an instance above them."""
    profile = scope.profile
    if profile is None or profile.render is None or profile.render.dotenv is None:
        return None
    declared = profile.render.dotenv
    field = ("env", "profiles", scope.selection.profile_name or "")
    own = _own_profile_layers(profile, field)
    selected = scope.selection.instance
    if selected is not None:
        own.append(EnvLayer(name="instance", values=selected.instance.env, field=(*field, "env")))
    return RenderedDotenv(
        path=declared.path,
        template=declared.template,
        names=declared.include or tuple(dict.fromkeys(name for layer in own for name in layer.values)),
        basis=_layers(scope, tuple(own), required=()),
    )


def _values(
    ts: TaskScope,
    name: LayerName,
    field: tuple[str | int, ...],
    env: Mapping[str, str],
    bindings: Mapping[str, EnvBinding],
) -> EnvLayer:
    """Literal values and bindings declared at the same level."""
    values = dict(env)
    passwords: dict[str, str] = {}
    for variable, binding in bindings.items():
        bound = bound_value(ts, binding.from_service)
        if bound is None:
            continue
        values[variable] = bound
        if binding.from_service.password_env is not None:
            passwords[variable] = binding.from_service.password_env
    return EnvLayer(name=name, values=values, field=(*field, "env"), passwords=passwords)


# --- bindings ------------------------------------------------------------------------------------


def bound_value(ts: TaskScope, binding: FromService) -> str | None:
    """The declared endpoint of a service as the binding wants it spelled; None when there is none."""
    service = ts.scope.contract.services.get(binding.service)
    if service is None:
        return None
    views = (binding.view,) if binding.view is not None else (ts.choice.name, "host")
    for view in views:
        for name, endpoint in service.endpoints.items():
            if binding.endpoint not in (None, name) or (endpoint.context or name) != view:
                continue
            return _spelled(binding, endpoint.address, endpoint.port)
    return None


def _spelled(binding: FromService, address: str, port: int) -> str:
    match binding.format:
        case "host":
            return address
        case "port":
            return str(port)
        case "host_port":
            return address_text(address, port)
        case "url":
            from urllib.parse import quote

            user = quote(binding.username, safe="") if binding.username is not None else ""
            if binding.password is not None:
                user += f":{quote(binding.password, safe='')}"
            elif binding.password_env is not None:
                user += f":{PASSWORD_MARK}"
            at = "@" if user else ""
            tail = f"/{quote(binding.database, safe='')}" if binding.database is not None else ""
            return f"{binding.scheme or 'http'}://{user}{at}{address_text(address, port)}{tail}"


# --- caches, adapters, instances -----------------------------------------------------------------


def _cache_fallbacks(ts: TaskScope) -> dict[str, str]:
    attachments = ts.choice.context.attachments
    if ts.choice.plane != "container" or attachments is None:
        return {}
    found: dict[str, str] = {}
    for isolated in attachments.isolated_paths or ():
        path = "/".join(part for part in isolated.replace("\\", "/").split("/") if part not in ("", "."))
        if path in _CACHES:
            name, shape = _CACHES[path]
            found[name] = shape.format(path=f"/workspace/{path}")
    return found


def _adapter_values(ts: TaskScope) -> dict[str, str]:
    """`COMPOSE_*` and `BUILDX_BAKE_FILE` as the adapters' own tools read them."""
    compose = _family(ts, "compose")
    bake = _family(ts, "bake")
    separator = ";" if ts.target_os == "windows" else ":"
    projected = {
        "COMPOSE_ENV_FILES": ",".join(compose.env_files or ()),
        "COMPOSE_FILE": separator.join(compose.files or ()),
        "COMPOSE_PROFILES": ",".join(compose.profiles or ()),
        "COMPOSE_PROJECT_NAME": compose.project_name or "",
        "BUILDX_BAKE_FILE": separator.join(bake.files or ()),
    }
    return {name: value for name, value in projected.items() if value}


def _family(ts: TaskScope, family: str) -> AdapterOverlay:
    """Workflow lists, then the task's, the variant's, the mode's, the instance's; a later scalar wins."""
    workflow = ts.scope.selection.workflow
    stated: list[AdapterInputs | None] = []
    if workflow is not None:
        stated.append(workflow.env.adapter_inputs if workflow.env is not None else None)
        stated.append(workflow.adapter_inputs)
    stated.append(ts.task.adapter_inputs)
    stated.append(ts.variant[1].adapter_inputs if ts.variant is not None else None)
    stated.append(ts.branch.adapter_inputs if ts.branch is not None else None)
    selected = ts.scope.selection.instance
    own = selected.instance.tasks.get(ts.name) if selected is not None else None
    stated.append(own.adapter_inputs if own is not None else None)
    rendered = rendered_of(ts.scope) if family == "compose" and is_compose_body(ts) else None
    overlays = [overlay for each in stated if each is not None for overlay in _overlays(each, family)]
    if family == "compose" and workflow is not None and workflow.env is not None:
        legacy = AdapterOverlay(
            files=workflow.env.compose_files, project_name=workflow.env.compose_project_name
        )
        overlays.insert(0, legacy)
    if rendered is not None:
        overlays.insert(0, AdapterOverlay(env_files=(rendered.path,)))
    return AdapterOverlay(
        env_files=tuple(file for each in overlays for file in each.env_files or ()),
        files=tuple(file for each in overlays for file in each.files or ()),
        profiles=tuple(profile for each in overlays for profile in each.profiles or ()),
        project_name=next((each.project_name for each in reversed(overlays) if each.project_name), None),
    )


def _overlays(inputs: AdapterInputs, family: str) -> list[AdapterOverlay]:
    alias: AdapterOverlay | None = getattr(inputs, family)
    stated = [inputs.overlays[family]] if family in inputs.overlays else []
    return [*([alias] if alias is not None else []), *stated]


def _instance_layers(ts: TaskScope) -> list[EnvLayer]:
    """Env of the selected workflow instance, and what it states for this task."""
    selection = ts.scope.selection
    selected = selection.instance
    if selected is None:
        return []
    field = ("workflows", selection.name or "", "instances", selected.name)
    layers = [EnvLayer(name="instance", values=selected.instance.env, field=(*field, "env"))]
    own = selected.instance.tasks.get(ts.name)
    if own is not None:
        task_field = (*field, "tasks", ts.name, "env")
        layers.append(EnvLayer(name="instance_task", values=own.env, field=task_field))
    return layers
