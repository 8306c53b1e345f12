"""`python -m services.gateway`."""

import sys

import uvloop

from services.gateway.server import CannotListen
from services.gateway.service import SERVICE, Gateway
from services.gateway.settings import GatewaySettings
from shared.runtime.process import begin, serve


async def main(settings: GatewaySettings, instance: str) -> None:
    await serve(Gateway(settings, instance))


if __name__ == "__main__":
    given, name = begin(SERVICE, GatewaySettings)
    try:
        uvloop.run(main(given, name))
    except CannotListen as fault:
        sys.stderr.write(f"{SERVICE}: {fault}\n")
        sys.exit(1)
