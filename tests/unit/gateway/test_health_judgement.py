from alembic.config import Config
from alembic.script import ScriptDirectory

from services.gateway.health.judgement import judge
from services.gateway.health.revision import newest_revision
from services.gateway.health.wire import Backlog, Check, Checks, Instance, Look


def _look(*, work: float = 0, schedules: float = 0, events: float = 0, **silent_seconds: float) -> Look:
    instances = [Instance(service, "one", "0", silent) for service, silent in silent_seconds.items()]
    return Look("0001", instances, Backlog(work, schedules, events))


def _judged(seen: Look | None, *, is_redis_there: bool = True, expected_revision: str = "0001") -> Checks:
    return judge(seen, is_redis_there=is_redis_there, expected_revision=expected_revision, work_limit_seconds=300)


def test_all_must_be_well_for_the_system_to_be_ready_but_redis() -> None:
    well = _look(scheduler=1, executor=10)
    assert _judged(well).is_ready
    assert _judged(well, is_redis_there=False).is_ready
    assert not _judged(well, expected_revision="0002").is_ready
    assert not _judged(_look(scheduler=1, executor=10.1)).is_ready
    assert not _judged(_look(executor=1)).is_ready
    assert _judged(None).database is Check.FAILED


def test_work_that_waits_beyond_the_limit_is_a_failure() -> None:
    assert _judged(_look(scheduler=1, executor=1, work=300)).is_ready
    late = _judged(_look(scheduler=1, executor=1, work=300.1))
    assert (late.work, late.is_ready) == (Check.FAILED, False)


def test_a_scheduler_that_is_behind_degrades_health_and_does_not_fail_it() -> None:
    behind = _judged(_look(scheduler=1, executor=1, schedules=31, events=31))
    assert (behind.schedules, behind.events, behind.is_ready) == (Check.DEGRADED, Check.DEGRADED, True)


def test_the_newest_revision_is_that_of_alembic() -> None:
    config = Config()
    config.set_main_option("script_location", "shared/migrations")
    assert newest_revision() == ScriptDirectory.from_config(config).get_current_head()
