"""How a service's process begins and ends."""

import sys
from typing import Protocol, TypeVar

from shared.runtime.heartbeat import instance_name
from shared.runtime.loop import until_stopped
from shared.runtime.settings import ServiceSettings, SettingsFault, read_environment
from shared.telemetry.logs import set_up_logs

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
    return settings, instance


async def serve(service: Service) -> None:
    """Run until SIGTERM or SIGINT."""
    try:
        await service.start()
        await until_stopped()
    finally:
        await service.stop()
