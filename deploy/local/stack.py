"""The whole system on one machine: servers, migrations, first token, three services, in this order."""

import sys
import time

from deploy.local.console import say, timed
from deploy.local.data_directory import make_secrets_key, make_token_key
from deploy.local.faults import CannotStart
from deploy.local.gateway import readiness
from deploy.local.postgres import MAJOR_VERSION, EmbeddedPostgres
from deploy.local.process import Command, Process, describe_exit
from deploy.local.settings import Settings
from deploy.local.supervisor import POLL_SECONDS, Stage, Supervisor
from deploy.local.valkey import EmbeddedValkey
from deploy.local.waiting import last_line

SERVICES = ("gateway", "scheduler", "executor")
ONE_OFF_SECONDS = 600.0  # migrating a large database takes its time
READY_SECONDS = 60.0


class Stack:
    def __init__(self, settings: Settings, supervisor: Supervisor) -> None:
        self._settings = settings
        self._supervisor = supervisor
        self._postgres = EmbeddedPostgres(settings.data_dir, report=say)
        self._valkey = EmbeddedValkey(settings.data_dir)
        self.database_url = settings.database_url or ""
        self.redis_url = settings.redis_url or ""

    def start(self) -> None:
        self._start_servers()
        make_token_key(self._settings.token_key_file)
        make_secrets_key(self._settings.secrets_key_file)
        with timed("Database migrated"):
            self._run_to_end("migrations", "shared.migrations")
            self._run_to_end("bootstrap", "services.gateway.bootstrap")
        with timed("Services ready"):
            for name in SERVICES:
                self._supervisor.start(Process(self._command(name, f"services.{name}")), Stage.SERVICE)
            self._wait_until_ready()

    def stop(self) -> None:
        """The supervisor's children in order, then what was interrupted before it had them."""
        self._supervisor.stop()
        self._valkey.stop()
        self._postgres.stop()

    def _start_servers(self) -> None:
        if not self.database_url:
            with timed(f"PostgreSQL {MAJOR_VERSION} ready"):
                self._postgres.start()
            self._supervisor.watch(self._postgres.process, Stage.SERVER)
            self.database_url = self._postgres.url()
        if not self.redis_url:
            with timed("Valkey ready"):
                self._valkey.start()
            self._supervisor.watch(self._valkey.process, Stage.SERVER)
            self.redis_url = self._valkey.url()

    def _command(self, name: str, module: str) -> Command:
        return Command(
            name=name,
            arguments=(sys.executable, "-m", module),
            environment=self._settings.for_services(self.database_url, self.redis_url) | self._settings.keys_for(name),
            log_file=self._settings.log_dir / f"{name}.log",
            pid_file=self._settings.run_dir / f"{name}.pid",
        )

    def _run_to_end(self, name: str, module: str) -> None:
        process = Process(self._command(name, module))
        try:
            process.start()
            if not process.wait(ONE_OFF_SECONDS):
                raise CannotStart(f"{name} did not end within {ONE_OFF_SECONDS:g} s")
        finally:
            process.finish()
        code = process.exit_code()
        if code:
            raise CannotStart(f"{name} {describe_exit(code)}: {last_line(process.command.log_file)}")

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + READY_SECONDS
        host, port = self._settings.local_host, self._settings.http_port
        while reason := readiness(host, port):
            if time.monotonic() > deadline:
                logs = self._settings.log_dir
                raise CannotStart(f"not ready after {READY_SECONDS:g} s: {reason} (logs: {logs})")
            self._supervisor.run_once()
            time.sleep(POLL_SECONDS)
