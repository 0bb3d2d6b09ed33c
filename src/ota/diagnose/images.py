"""Images of container work that are not on their engine: a run fetches them, so they are told first.

Whether fetching works is known to nobody who does not fetch; nothing here does.

Source: doctor specification 6 (`OTA_CONTAINER_IMAGE_UNAVAILABLE`), 8; commands specification 2.12, 3.3.
"""

from collections.abc import Iterator, Mapping

from msgspec.structs import replace

from ota.backends.container.engine import engine_of
from ota.backends.container.images import missing_images, not_here
from ota.diagnose.scene import Scene
from ota.errors import Evidence, Finding, HostError

_UNTOLD = "a run fetches it first; whether that works{} cannot be told before"


def image_findings(scene: Scene, engine: str, images: Mapping[str, tuple[str, ...]]) -> Iterator[Finding]:
    """Those that an engine, which answers, does not have; each with the field that names it."""
    asked = engine_of(engine, scene.environ, should_stop=scene.should_stop, clock=scene.clock)
    if asked is None:
        return
    try:
        missing = missing_images(asked, tuple(images))
    except HostError:
        return  # that an engine does not answer is a finding of its own
    for image in missing:
        yield absent_image(scene, asked.name, image, images[image])


def absent_image(
    scene: Scene, engine: str, image: str, field: tuple[str, ...], *, has_questions: bool = False
) -> Finding:
    """In the same words wherever it is told; `has_questions`: something has to be found inside."""
    known = not_here(engine, image)
    return replace(
        known,
        severity="error" if has_questions else "warn",
        why=_UNTOLD.format(", and what is in it," if has_questions else ""),
        next=f"{known.next}, then rerun `{scene.rerun}`" if has_questions else known.next,
        place=scene.loaded.place(field),
        evidence=Evidence(observed="missing", expected=image, source="container_target"),
    )
