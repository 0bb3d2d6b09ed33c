"""Taking back a container whose making failed half-way, where its labels prove that it was made here.

Making also fails because somebody else has a container of that name: a name is no proof.

Source: lessons, "Nothing left behind"; runtime specification 5.
"""

from collections.abc import Mapping

from ota.backends.container.engine import Engine, ask, is_absent
from ota.backends.container.facts import ContainerFacts, inspect_containers
from ota.errors import HostError


def carries(facts: ContainerFacts, labels: Mapping[str, str]) -> bool:
    """Whether a container has every one of these labels. Without labels nothing is proven at all."""
    return bool(labels) and all(facts.labels.get(name) == value for name, value in labels.items())


def take_back(engine: Engine, name: str, labels: Mapping[str, str]) -> bool:
    """Remove the container of that name and these labels; whether none of it is left.

    Never raises for what the engine does: it is called on the way out of another failure.
    """
    try:
        found = inspect_containers(engine, (name,)).get(name)
        if found is None or not carries(found, labels):
            return True
        answer = ask(engine, "rm", "-f", "-v", found.id)
    except HostError:
        return False
    return answer.is_ok or is_absent(answer)
