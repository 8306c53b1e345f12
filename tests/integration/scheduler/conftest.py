import pytest
from redis.asyncio import Redis

from services.scheduler.bell import Ringer
from services.scheduler.settings import SchedulerSettings


@pytest.fixture
def settings(database_url: str, redis_url: str) -> SchedulerSettings:
    return SchedulerSettings(database_url=database_url, redis_url=redis_url)


@pytest.fixture
def ringer(redis: Redis) -> Ringer:
    return Ringer(redis)
