"""What the scheduler reads from its environment."""

from typing import Annotated

import msgspec

from shared.runtime.settings import ServiceSettings
from shared.vocabulary.limits import MATERIALISE_HORIZON_SECONDS

Positive = Annotated[float, msgspec.Meta(gt=0)]


class SchedulerSettings(ServiceSettings, frozen=True, kw_only=True):
    """`horizon_seconds`: how far ahead work is made due. `materialise_batch`: schedules in one transaction."""

    horizon_seconds: Positive = MATERIALISE_HORIZON_SECONDS
    materialise_batch: Annotated[int, msgspec.Meta(ge=1, le=5000)] = 500
    database_pool_size: Annotated[int, msgspec.Meta(ge=2)] = 4
