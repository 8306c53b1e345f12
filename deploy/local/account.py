"""The account that PostgreSQL runs under: ourselves, or for root (which PostgreSQL refuses) a lesser one."""

import os
import pwd
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from deploy.local.faults import CannotStart

CANDIDATES = ("postgres", "nobody")


@dataclass(frozen=True, slots=True)
class Account:
    name: str
    uid: int
    gid: int


def server_account() -> Account | None:
    """The account to change to, or None when we can stay who we are."""
    if os.geteuid() != 0:
        return None
    for name in CANDIDATES:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(name, entry.pw_uid, entry.pw_gid)
    raise CannotStart(f"PostgreSQL does not run as root, and no user {' or '.join(CANDIDATES)} exists")


def private_directory(path: Path, account: Account | None) -> None:
    """Make `path` a directory of mode 700 that belongs to `account`, and refuse one that a stranger made."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    status = path.lstat()
    owners = {os.geteuid()} | ({account.uid} if account else set())
    if not stat.S_ISDIR(status.st_mode) or status.st_uid not in owners:
        raise CannotStart(f"{path} is not a directory of ours")
    if account:
        os.chown(path, account.uid, account.gid)
    path.chmod(0o700)


def make_reachable(path: Path, account: Account | None, report: Callable[[str], None]) -> None:
    """Let `account` pass through every folder above `path`: o+x, which opens no listing and no file."""
    if account is None:
        return
    for folder in reversed(path.resolve().parents):
        if not _may_pass(folder, account):
            _open_for_passing(folder, account, report)


def _may_pass(folder: Path, account: Account) -> bool:
    status = folder.stat()
    if status.st_uid == account.uid:
        return bool(status.st_mode & stat.S_IXUSR)
    if status.st_gid == account.gid:
        return bool(status.st_mode & stat.S_IXGRP)
    return bool(status.st_mode & stat.S_IXOTH)


def _open_for_passing(folder: Path, account: Account, report: Callable[[str], None]) -> None:
    try:
        folder.chmod(stat.S_IMODE(folder.stat().st_mode) | stat.S_IXOTH)
    except OSError as error:
        reason = f"user {account.name}, as whom PostgreSQL runs, cannot pass {folder}: {error.strerror}"
        raise CannotStart(reason) from error
    report(f"PostgreSQL runs as user {account.name}: let it pass through {folder} (chmod o+x)")
