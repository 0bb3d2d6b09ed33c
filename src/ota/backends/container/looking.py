"""A question answered inside a container context by who only looks: nothing is made that stays.

A diagnosis changes nothing. So it asks in the context's own container when that runs as it should, and
otherwise in one that is for this question alone and gone with the answer. That one has image, variables,
checkout, volumes and networks as a body would, as far as they exist: no volume, no network, no state of ota
is made for it, and no image is fetched.

Source: runtime specification 11.2, 13.3; doctor specification 1 (never mutates).
"""

import os

from msgspec.structs import replace

from ota.backends.container.arguments import cli_environment, creation_words, environment_words
from ota.backends.container.asking import Said, unmarked
from ota.backends.container.body import Marks, body_script
from ota.backends.container.engine import Engine, EngineAnswer, ask, never, refusal
from ota.backends.container.ephemeral import release_ephemeral
from ota.backends.container.identity import (
    LABEL_SHAPE,
    ContainerIdentity,
    ephemeral_labels,
    is_persistent,
    stable_digest,
)
from ota.backends.container.images import is_image_missing, not_here
from ota.backends.container.networks import compose_networks, existing_networks, join_networks
from ota.backends.container.orphans import list_owned
from ota.backends.container.ownership import owner_start, read_token
from ota.backends.container.persistent import standing_identity
from ota.backends.container.signalling import end_body
from ota.backends.container.start_mark import StartMark
from ota.backends.container.starting import start_refusal
from ota.backends.container.user import choose_user
from ota.backends.container.volumes import existing_volumes
from ota.backends.container.work import BodyEnvironment, Work
from ota.errors import HostError

_KILLED = 137


class Looked(Said, frozen=True, kw_only=True):
    """What a look came to."""

    absent: tuple[str, ...] = ()
    """Networks a body of the context would join, and that nobody has made yet."""


def look_inside(engine: Engine, work: Work, environment: BodyEnvironment, *, limit_s: float) -> Looked:
    """Run `work.body` to its end inside `work.context`, and leave no trace of it.

    Raises:
        HostError: nobody can be asked there: no engine, no image, no shell.
    """
    return _Look(engine, work, environment, limit_s).asked()


class _Look:
    """One question."""

    def __init__(self, engine: Engine, work: Work, environment: BodyEnvironment, limit_s: float) -> None:
        self._engine = engine
        self._work = work
        self._environment = environment
        self._limit_s = limit_s
        self._token = read_token(work.root) or ""
        self._user = choose_user(engine, work.container.image, work.container.user)
        self._identity: ContainerIdentity = standing_identity(engine, work, self._user)
        self._networks = compose_networks((*work.container.compose_projects, *work.networks))
        self._mark = stable_digest("look", work.step, os.urandom(8).hex())
        self._cli_environ = cli_environment(engine, environment)

    def asked(self) -> Looked:
        standing = self._standing() if self._work.context.lifecycle == "persistent" else None
        if standing is not None:
            answer = self._in_standing(standing)
            if answer is not None:
                return answer
        return self._in_fresh()

    # -- the container that stays ----------------------------------------------------------------------

    def _standing(self) -> str | None:
        """Its name, while it runs in the shape and the networks that a body would have."""
        if not self._token:
            return None
        for each in list_owned(self._engine, self._token):
            is_it = each.name == self._identity.persistent_name and is_persistent(each.labels)
            if is_it and each.is_running and each.labels.get(LABEL_SHAPE) == self._identity.shape:
                return each.name if set(self._networks) <= set(each.networks) else None
        return None

    def _in_standing(self, name: str) -> Looked | None:
        """None when it went away meanwhile: a look holds nobody up who has to replace it."""
        words = ("exec", *self._environment_words(), name, "sh", "-c", self._script())
        answer, mark = self._ask(*words)
        if answer is None:
            end_body(replace(self._engine, should_stop=never), name, self._mark, grace_s=0.5)
            return Looked(exit_code=None)
        stdout, stderr = unmarked(answer, mark)
        if not mark.is_started or answer.exit_code == _KILLED:
            return None
        return Looked(exit_code=answer.exit_code, stdout=stdout, stderr=stderr)

    # -- a container for this question -----------------------------------------------------------------

    def _in_fresh(self) -> Looked:
        engine, image = self._engine, self._work.container.image
        there = existing_networks(engine) if self._networks else ()
        joined = [network for network in self._networks if network in there]
        absent = tuple(network for network in self._networks if network not in there)
        name = self._fresh_name()
        try:
            self._create(name, joined)
            join_networks(engine, name, joined[1:])
            answer, mark = self._ask("start", "-a", name)
        finally:
            release_ephemeral(replace(engine, should_stop=never), name)
        if answer is None:
            return Looked(exit_code=None, absent=absent)
        stdout, stderr = unmarked(answer, mark)
        if not mark.is_started:
            raise HostError(start_refusal(engine, name, image, mark.said))
        return Looked(exit_code=answer.exit_code, stdout=stdout, stderr=stderr, absent=absent)

    def _fresh_name(self) -> str:
        """Reclaimed should this process die: by a run here, or without a token by `ota clean --stale`."""
        if not self._token:
            return f"ota-doctor-{self._mark}"
        return self._identity.ephemeral_name(os.getpid(), self._mark)

    def _create(self, name: str, networks: list[str]) -> None:
        engine, work = self._engine, self._work
        labels = ephemeral_labels(
            self._token, owner_pid=os.getpid(), owner_start=owner_start(), run_id=work.run_id
        )
        words = creation_words(
            engine,
            work,
            name=name,
            labels=labels,
            ports=(),
            volumes=existing_volumes(engine, self._identity.volumes, work.root, self._token),
            networks=networks,
            user=self._user,
        )
        answer = ask(
            engine,
            # should the client die, the engine takes it away when the question ends
            *("create", "--rm", *words, *self._environment_words()),
            *(work.container.image, "-c", self._script()),
            environ=self._cli_environ,
        )
        if is_image_missing(answer):
            raise HostError(not_here(engine.name, work.container.image))
        if not answer.is_ok:
            raise HostError(refusal(engine, answer, f"create a container of {work.container.image}"))

    # -- the question ----------------------------------------------------------------------------------

    def _ask(self, *words: str) -> tuple[EngineAnswer | None, StartMark]:
        """None when the time was up."""
        mark = StartMark(Marks(nonce=self._mark))
        clock = self._engine.clock
        began_s = clock.monotonic_s()
        try:
            answer = ask(self._engine, *words, limit_s=self._limit_s, environ=self._cli_environ)
        except HostError:
            if clock.monotonic_s() - began_s < self._limit_s:
                raise
            return None, mark
        return answer, mark

    @property
    def _home(self) -> str | None:
        return self._user.home if "HOME" not in self._environment.values else None

    def _environment_words(self) -> tuple[str, ...]:
        return environment_words(self._environment, body_mark=self._mark, home=self._home)

    def _script(self) -> str:
        return body_script(
            self._work.body,
            marks=Marks(nonce=self._mark),
            path=self._environment.values.get("PATH"),
            makes_home=self._home is not None,
        )
