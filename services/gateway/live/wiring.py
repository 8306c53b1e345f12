"""All that the streams are made of, started and stopped with the gateway."""

from redis.asyncio import Redis

from services.gateway.auth.service import Authenticator
from services.gateway.database import Database
from services.gateway.live.audience import Places
from services.gateway.live.event_watch import EventWatch
from services.gateway.live.parts import EventEar, EventLook, RunEar, RunLook
from services.gateway.live.run_watch import RunWatch
from services.gateway.live.service import LiveService
from services.gateway.live.stream import LiveStreams
from shared.runtime.loop import Part

# Looks and pages alone: neither waits for requests, nor they for it.
CONNECTIONS = 2


class Live:
    def __init__(self, database_url: str, redis: Redis) -> None:
        self._database = Database(database_url, application_name="gateway-live", size=CONNECTIONS, overflow=0)
        self.places = Places()
        self.runs = RunWatch(self._database)
        self.events = EventWatch(self._database)
        self.parts: list[Part] = [
            RunEar(redis, self.runs),
            RunLook(self.runs),
            EventEar(redis, self.events),
            EventLook(self.events),
        ]

    def service(self, authenticator: Authenticator) -> LiveService:
        return LiveService(self._database, self.runs, self.events, LiveStreams(self.places, authenticator))

    def close(self) -> None:
        """Every stream ends, now and later."""
        self.runs.close()
        self.events.close()

    async def end(self) -> None:
        """After its parts."""
        await self._database.close()
