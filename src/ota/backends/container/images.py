"""Seeing that an image is there: asked for by the call that needs it, fetched only when that call misses it.

Containers are created with `--pull never`, so that a missing image is a quick answer and fetching it is
something the user is told about.

Source: doctor specification 6 (`OTA_CONTAINER_IMAGE_UNAVAILABLE`); lessons, "Engine talk".
"""

from collections.abc import Sequence

from ota.backends.container.engine import Engine, EngineAnswer, ask
from ota.backends.container.work import Scene
from ota.errors import Finding, HostError

PULL_LIMIT_S = 3600.0
_MISSING = ("no such image", "image not known", "unable to find image", "image not found")


def is_image_missing(answer: EngineAnswer) -> bool:
    """Whether a call failed because the engine does not have the image."""
    said = answer.stderr.lower()
    return not answer.is_ok and any(text in said for text in _MISSING)


def fetch_image(engine: Engine, image: str, scene: Scene, *, platform: str | None = None) -> None:
    """Pull the image, with what the engine says about it on the way.

    Raises:
        HostError: `OTA_CONTAINER_IMAGE_UNAVAILABLE`, or the engine does not answer.
    """
    scene.on_progress(f"fetching image {image} with {engine.name}")
    wanted = ("--platform", platform) if platform else ()
    answer = ask(
        engine,
        "pull",
        *wanted,
        image,
        limit_s=PULL_LIMIT_S,
        on_output=lambda _stream, data: scene.on_output(data),
    )
    if not answer.is_ok:
        raise HostError(_not_fetched(engine, image, answer, platform))


def missing_images(engine: Engine, images: Sequence[str]) -> tuple[str, ...]:
    """Those that the engine does not have; one call when it has all of them, or for one.

    Raises:
        HostError: the engine gives no answer.
    """
    words = ("image", "inspect", "--format", "{{.Id}}")
    if not is_image_missing(ask(engine, *words, *images)):
        return ()
    if len(images) == 1:
        return tuple(images)
    return tuple(image for image in images if is_image_missing(ask(engine, *words, image)))


def not_here(engine: str, image: str) -> Finding:
    """The image is missing, and who asks fetches nothing."""
    return _unavailable(
        f"Container image is not on {engine}: {image}",
        "a diagnosis fetches nothing",
        f"`{engine} pull {image}`, or build it under that name",
    )


def _not_fetched(engine: Engine, image: str, answer: EngineAnswer, platform: str | None) -> Finding:
    from ota.backends.container.engine import refusal

    general = refusal(engine, answer, f"fetch image {image}")
    # the registry's refusals read like those of an engine that is down: ask which of the two it is
    if general.code == "OTA_CONTAINER_BACKEND_UNAVAILABLE" and "registry" not in answer.stderr.lower():
        return general
    pull = " ".join((engine.name, "pull", *(("--platform", platform) if platform else ()), image))
    return _unavailable(
        f"image `{image}` is not on {engine.name} and cannot be fetched",
        answer.detail,
        f"correct the image in `container.image`, build it under that name "
        f"(`{engine.name} build -t {image} .`), or mend what `{pull}` says",
    )


def _unavailable(summary: str, why: str, next_: str) -> Finding:
    return Finding(
        code="OTA_CONTAINER_IMAGE_UNAVAILABLE",
        title="Container image is not available",
        summary=summary,
        why=why,
        next=next_,
        category="execution",
        owner="container_target",
    )
