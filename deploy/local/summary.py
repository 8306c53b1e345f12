"""The last words of the set-up: what is where, and one line to try."""

import json
import shlex
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from deploy.local.settings import Settings

EVERY_TEN_SECONDS = "*/10 * * * * *"


def summary(settings: Settings, database_url: str, redis_url: str) -> str:
    token = shlex.quote(str(_short(settings.admin_token_file)))
    header = f'-H "Authorization: Bearer $(cat {token})"'
    task = shlex.quote(json.dumps(_example_task(settings.url)))
    return f"""
The orchestrator is ready:

  URL          {settings.url}
  admin token  {_short(settings.admin_token_file)}
  logs         {_short(settings.log_dir)}
  PostgreSQL   {_without_password(database_url)}
  Redis        {_without_password(redis_url)}

Try it: a task every 10 s for a minute, then its runs:

  curl -sS {settings.url}/v1/tasks {header} -H "Content-Type: application/json" -d {task}
  curl -sS {settings.url}/v1/runs {header}

Ctrl-C stops everything; the data stays.
"""


def _example_task(url: str) -> dict[str, object]:
    call = {"method": "GET", "url": f"{url}/health/live"}
    return {
        "title": "Hello",
        "schedule_kind": "cron",
        "schedule_expr": EVERY_TEN_SECONDS,
        "max_runs": 6,
        "payload": {"pipeline": [{"id": "call", "uses": "http.request", "with": call}]},
    }


def _short(path: Path) -> Path:
    """Relative where the reader stands above it."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


def _without_password(url: str) -> str:
    parts = urlsplit(url)
    if parts.password is None:
        return url
    return urlunsplit(parts._replace(netloc=parts.netloc.replace(f":{parts.password}@", ":***@")))
