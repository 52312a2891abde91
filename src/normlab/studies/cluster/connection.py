"""Finding a Ray cluster, or saying in one line why there is none."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from normlab.errors import UserError

CONNECT = 30.0  # seconds for a cluster to answer
_START = "start one with `ray start --head`, or leave --address out for this machine alone"


@contextmanager
def connected(ray: Any, address: str | None) -> Iterator[None]:
    """Connect for the length of a study; a program that is connected already stays so."""
    if ray.is_initialized():
        yield
        return
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    on_termination = signal.getsignal(signal.SIGTERM)
    if address is None:
        # 256 MiB of object store: a parcel is some megabytes, and Ray would take a third of the memory
        ray.init(address="local", object_store_memory=2**28, include_dashboard=False, **quiet)
    else:
        _refuse_silence(address)
        try:
            ray.init(address=address, **quiet)
        except (ConnectionError, RuntimeError, SystemExit) as error:  # Ray ends the program if a port is not its own
            reason = (str(error).strip().splitlines() or ["no answer"])[0]
            raise UserError(f"--address {address}: no Ray cluster to work on ({reason}): {_START}") from None
    with suppress(ValueError, TypeError):  # not in the main thread; a handler that is not Python's
        signal.signal(signal.SIGTERM, on_termination)  # Ray's own handler aborts, its cells still running
    try:
        yield
    finally:
        ray.shutdown()


def _refuse_silence(address: str) -> None:
    """Raise `UserError` soon if nothing answers at HOST:PORT, or if that is no address: Ray would try for minutes."""
    if address == "auto":
        return
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not (host and port.isdigit() and 0 < int(port) < 65536):
        raise UserError(f"--address {address}: no address: give auto, HOST:PORT or ray://HOST:PORT, or leave it out")
    try:
        socket.create_connection((host, int(port)), timeout=CONNECT / 3).close()
    except OSError as error:
        raise UserError(f"--address {address}: cannot be reached ({error}): check it, or {_START}") from None
    if not address.startswith("ray://"):
        command = [sys.executable, "-m", "ray.scripts.scripts", "health-check", "--address", f"{host}:{port}"]
        with suppress(subprocess.TimeoutExpired):
            if subprocess.run(command, capture_output=True, timeout=CONNECT, check=False).returncode == 0:
                return
        raise UserError(f"--address {address}: something listens there, but it is no Ray head: {_START}")
