"""How a service's process begins and ends."""

import gc
import sys
from typing import Protocol, TypeVar

import structlog

from shared.runtime.heartbeat import VERSION, instance_name
from shared.runtime.loop import until_stopped
from shared.runtime.settings import ServiceSettings, SettingsFault, read_environment
from shared.telemetry.logs import set_up_logs

logger = structlog.get_logger(__name__)

S = TypeVar("S", bound=ServiceSettings)


class Service(Protocol):
    async def start(self) -> None: ...

    async def stop(self) -> None: ...


def begin(service: str, settings_type: type[S]) -> tuple[S, str]:
    """Read the settings, set up the logs, and give the process its name. Ends the process with one line when a setting
    is missing or wrong."""
    try:
        settings = settings_type.read(read_environment())
    except SettingsFault as fault:
        sys.stderr.write(f"{service}: {fault}\n")
        raise SystemExit(1) from fault
    instance = settings.instance or instance_name()
    set_up_logs(service, instance, settings.log_level)
    logger.info("starting", version=VERSION)
    return settings, instance


async def serve(service: Service) -> None:
    """Run until SIGTERM or SIGINT."""
    try:
        await service.start()
        keep_what_was_loaded()
        await until_stopped()
    finally:
        await service.stop()


# New objects until the youngest are looked through, and how often that happens until the older ones are.
COLLECT_EVERY_OBJECTS = (20_000, 20, 50)


def keep_what_was_loaded() -> None:
    """Take what was imported and built so far out of garbage collection: to walk it took each full collection some
    100 ms, in the midst of a statement. And look for cycles more seldom than Python does by itself (every 700 new
    objects): an executor brought 1,780 calls a second to their outcome so, and 1,480 before."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECT_EVERY_OBJECTS)
