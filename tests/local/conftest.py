"""Children that are not services, and a folder whose path has spaces."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import pytest

from deploy.local.process import Command, Process


class MakeChild(Protocol):
    def __call__(self, name: str, *arguments: str) -> Process: ...


@pytest.fixture
def folder() -> Iterator[Path]:
    """Outside pytest's own, which closes its folders to the account that PostgreSQL runs under."""
    path = Path(tempfile.mkdtemp(prefix="pao tests "))
    yield path
    shutil.rmtree(path)


@pytest.fixture
def child(folder: Path) -> Iterator[MakeChild]:
    """`child("name", "sh", "-c", ...)`: a process not yet started, gone after the test."""
    made: list[Process] = []

    def make(name: str, *arguments: str) -> Process:
        process = Process(
            Command(
                name=name,
                arguments=arguments,
                environment={"PATH": "/usr/bin:/bin"},
                log_file=folder / "log" / f"{name}.log",
                pid_file=folder / "run" / f"{name}.pid",
            )
        )
        made.append(process)
        return process

    yield make
    for process in made:
        process.finish()
