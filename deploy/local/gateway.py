"""What the supervisor needs to know of the gateway: is its port free, is it ready."""

import errno
import http.client
import os
import socket

from deploy.local.faults import CannotStart

READY_PATH = "/health/ready"


def check_port_is_free(host: str, port: int) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        # As servers do: a connection that lingers from the last run does not make the port taken.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise CannotStart(_why_not(host, port, error)) from error


def _why_not(host: str, port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"port {port} is taken; choose another one: PAO_HTTP_PORT={port + 1} make run"
    return f"cannot listen on {host} port {port}: {os.strerror(error.errno) if error.errno else error}"


def readiness(host: str, port: int) -> str:
    """Empty when ready, otherwise why not."""
    connection = http.client.HTTPConnection(host, port, timeout=2)
    try:
        connection.request("GET", READY_PATH)
        answer = connection.getresponse()
        body = answer.read(500).decode(errors="replace")
    except (OSError, http.client.HTTPException) as error:
        return f"gateway: {error}"
    finally:
        connection.close()
    return "" if answer.status == http.HTTPStatus.OK else f"{answer.status} {body}"
