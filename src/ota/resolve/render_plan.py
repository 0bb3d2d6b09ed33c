"""The files an env profile makes before its workflow runs, as a record.

Source: contract specification 9.4.
"""

from msgspec import Struct

from ota.contract.model.env import RenderFile
from ota.env.layers import RenderedDotenv


class RenderPlan(Struct, frozen=True, kw_only=True, tag="render"):
    """Everything one profile renders."""

    profile: str
    dotenv: RenderedDotenv | None = None
    files: tuple[RenderFile, ...] = ()
