"""Where the wheels put the servers' programs; found without importing packages whose Python we do not use."""

from importlib.util import find_spec
from pathlib import Path

from deploy.local.faults import CannotStart


def find_program(package: str, pattern: str) -> Path:
    """The program matching `pattern` within an installed package."""
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise CannotStart(f"the package {package} is not installed; `make run` installs it")
    programs = sorted(Path(spec.origin).parent.glob(pattern))
    if not programs:
        raise CannotStart(f"the package {package} brings no program for this machine")
    return programs[0]
