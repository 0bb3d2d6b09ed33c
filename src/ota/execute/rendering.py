"""Writing what an env profile renders, before anything of its workflow starts.

The content of the dotenv file is the one the environment was resolved with; files appear whole, inside
the repository, and private to the user.

Source: contract specification 9.4.
"""

from ota.contract.model.env import RenderFile
from ota.env.resolution import rendered_dotenv
from ota.env.structured import StructureError, format_of, merged, read_document, written
from ota.errors import OtaError
from ota.execute.context import RunContext
from ota.execute.events import Failure, RunNote
from ota.resolve.render_plan import RenderPlan

_PRIVATE_FILE = 0o600


def render_profile(context: RunContext) -> Failure | None:
    """Make every file of the profile anew; None when all are there, and when there is nothing to make."""
    plan = context.plan.render
    if plan is None:
        return None
    try:
        if plan.dotenv is not None:
            content, findings = rendered_dotenv(plan.dotenv, context.environ, context.read_file)
            if findings:
                return _failed(context, plan, OtaError(*findings))
            _write(context, plan, plan.dotenv.path, content)
        for file in plan.files:
            _write(context, plan, file.path, _structured(context, plan, file))
    except OtaError as error:
        return _failed(context, plan, error)
    names = [plan.dotenv.path] if plan.dotenv is not None else []
    listed = ", ".join(f"`{name}`" for name in (*names, *(file.path for file in plan.files)))
    context.stream.emit(RunNote(text=f"env profile `{plan.profile}` rendered {listed}"))
    return None


def _structured(context: RunContext, plan: RenderPlan, file: RenderFile) -> bytes:
    from ota.execute.actions.failure import failed

    documents = []
    paths = (*((file.path,) if file.merge_into_existing else ()), *file.sources)
    for path in paths:
        content = context.read_file(path)
        if content is None and path == file.path:
            continue  # nothing to merge into yet
        try:
            if content is None:
                raise StructureError("there is no such file")
            documents.append(read_document(content, file.format if path == file.path else format_of(path)))
        except StructureError as error:
            raise failed(
                plan, f"`{path}`: {error}", f"correct `{path}`, a source of `{file.path}`"
            ) from error
    try:
        return written(merged(documents), file.format)
    except StructureError as error:
        raise failed(
            plan, f"`{file.path}`: {error}", f"remove that value from a source of `{file.path}`"
        ) from error


def _write(context: RunContext, plan: RenderPlan, path: str, content: bytes) -> None:
    from ota.execute.actions.places import open_spot

    with open_spot(context.root, path, plan, make_parents=True) as spot:
        assert spot is not None
        like = spot.facts()
        if like is None and spot.create(content, mode=_PRIVATE_FILE):
            return
        like = like or spot.facts()
        if like is not None:
            spot.replace(content, like=like)


def _failed(context: RunContext, plan: RenderPlan, error: OtaError) -> Failure:
    findings = error.findings
    return Failure(
        origin="environment",
        title="Environment is not ready",
        task=context.plan.requested_step.task.name if context.plan.steps else "",
        detail=f"env profile `{plan.profile}` could not be rendered",
        field=f"env.profiles.{plan.profile}.render",
        why=tuple(f"{each.summary}: {each.why}" if each.why else each.summary for each in findings),
        next=tuple(dict.fromkeys(each.next for each in findings if each.next)),
        findings=findings,
    )
