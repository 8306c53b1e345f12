"""The newest revision that this code knows."""

import importlib.resources
import re

REVISION = re.compile(r"(?P<revision>\d{4})_\w+\.py")


def newest_revision() -> str:
    """By the names of the files, which begin with it: loading Alembic for this would cost every gateway its memory."""
    files = importlib.resources.files("shared.migrations.versions").iterdir()
    return max(found["revision"] for file in files if (found := REVISION.fullmatch(file.name)))
