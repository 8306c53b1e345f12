"""Takes out of what is told of a run the values of secrets that it was given: whoever was sent one may echo it."""

from uuid import UUID

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from services.gateway.secrets.references import ANY_NAME, reference_pattern
from services.gateway.secrets.repository import find_secrets_of_run
from shared.secrets.redaction import Redactor
from shared.secrets.ring import CannotOpen, KeyRing, Place, Sealed
from shared.vocabulary.limits import SECRETS_BYTES_PER_RUN, SECRETS_PER_PIPELINE

logger = structlog.get_logger(__name__)

REFERENCE = reference_pattern(ANY_NAME)
# A task's pipeline and the two that can follow it, each with as much as one run may be given.
PIPELINES = 3


class Echoes:
    """`ring` None: this gateway opens no secret, and takes none out."""

    def __init__(self, ring: KeyRing | None) -> None:
        self._ring = ring

    async def redactor_of(self, connection: AsyncConnection, run_id: UUID) -> Redactor:
        """For the secrets that the task of this run refers to now; most refer to none. Costs one look-up."""
        ring = self._ring
        if ring is None:
            return Redactor.NOTHING
        found = await find_secrets_of_run(
            connection, run_id, REFERENCE, PIPELINES * SECRETS_PER_PIPELINE, PIPELINES * SECRETS_BYTES_PER_RUN
        )
        values = [value for place, sealed in found if (value := _opened(ring, place, sealed)) is not None]
        return Redactor(values) if values else Redactor.NOTHING


def _opened(ring: KeyRing, place: Place, sealed: Sealed) -> str | None:
    """None for what no executor with these keys could have opened either."""
    try:
        return ring.open(place, sealed)
    except CannotOpen as fault:
        logger.warning("secret_not_opened", agent_id=str(place.agent_id), name=place.name, error=str(fault))
        return None
