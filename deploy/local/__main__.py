"""`make run`: the whole system in the foreground until Ctrl-C, SIGTERM or SIGHUP."""

import signal
import subprocess
import sys
import time
from types import FrameType

from deploy.local.console import say
from deploy.local.data_directory import claimed, end_leftovers
from deploy.local.faults import CannotStart
from deploy.local.gateway import check_port_is_free
from deploy.local.parent import Parent
from deploy.local.settings import Settings, read_settings
from deploy.local.stack import Stack
from deploy.local.summary import summary
from deploy.local.supervisor import POLL_SECONDS, Supervisor

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def main() -> int:
    for number in STOP_SIGNALS:
        signal.signal(number, signal.default_int_handler)
    try:
        settings = read_settings()
        with claimed(settings.data_dir):
            end_leftovers(settings.data_dir)
            check_surroundings(settings)
            run(settings)
    except (CannotStart, OSError) as fault:  # OSError: a full disk, a directory that vanished
        print(f"cannot start: {fault}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 0
    return 0


def check_surroundings(settings: Settings) -> None:
    """Whatever is wrong outside is said before anything is started."""
    check_port_is_free(settings.http_host, settings.http_port)
    if settings.database_url or settings.redis_url:
        check_given_servers()


def check_given_servers() -> None:
    check = [sys.executable, "-m", "deploy.local.given"]
    done = subprocess.run(check, stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        raise CannotStart(done.stderr.strip().splitlines()[-1])


def run(settings: Settings) -> None:
    parent = Parent()
    supervisor = Supervisor(say)
    stack = Stack(settings, supervisor)
    try:
        say(f"Starting on port {settings.http_port} with data directory {settings.data_dir} ...")
        stack.start()
        say(summary(settings, stack.database_url, stack.redis_url))
        while not parent.has_given_up():
            supervisor.run_once()
            time.sleep(POLL_SECONDS)
    finally:
        _hurry_when_asked_again(supervisor)
        say("Stopping ...")
        stack.stop()
        say("Stopped.")


def _hurry_when_asked_again(supervisor: Supervisor) -> None:
    def hurry(_number: int, _frame: FrameType | None) -> None:
        supervisor.hurry()

    for number in STOP_SIGNALS:
        signal.signal(number, hurry)


if __name__ == "__main__":
    sys.exit(main())
