"""`python -m services.scheduler`."""

import uvloop

from services.scheduler.app import SERVICE, Scheduler
from services.scheduler.settings import SchedulerSettings
from shared.runtime.process import begin, serve

if __name__ == "__main__":
    settings, instance = begin(SERVICE, SchedulerSettings)
    uvloop.run(serve(Scheduler(settings, instance)))
