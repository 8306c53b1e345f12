"""`python -m services.executor`."""

import uvloop

from services.executor.app import SERVICE, Executor
from services.executor.settings import ExecutorSettings
from shared.runtime.process import begin

if __name__ == "__main__":
    settings, instance = begin(SERVICE, ExecutorSettings)
    uvloop.run(Executor(settings, instance).run())
