"""Listening: a socket of this machine, and the server that answers on it until it is interrupted."""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable

from normlab.apps.serve.gate import App
from normlab.errors import UserError

_EVERYWHERE = {"0.0.0.0", "::", ""}


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that is bound to an address of this machine; port 0 takes a free one.

    Raises: UserError for a port that is taken or forbidden, and a host that is not of this machine.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM)[0]
    except (socket.gaierror, UnicodeError, OverflowError) as error:
        raise UserError(f"--host {host}: no address of this machine ({error}): leave it out, or give one") from None
    opened = socket.socket(family, kind, protocol)
    try:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        opened.bind(address)
        opened.listen(128)
    except OSError as error:
        opened.close()
        reasons = {
            errno.EADDRINUSE: f"port {port} is in use: give another --port, or --port 0 for a free one",
            errno.EACCES: f"port {port} may not be opened: give a --port of 1024 or more",
            errno.EADDRNOTAVAIL: f"--host {host} is no address of this machine: leave it out, or give one",
        }
        raise UserError(reasons.get(error.errno or 0, f"{host}:{port} cannot be opened ({error.strerror})")) from None
    return opened


def allowed_hosts(host: str) -> tuple[set[str], bool]:
    """Return the names under which a server may be asked, and whether any address will do; see `Gate`."""
    names = {"localhost", "127.0.0.1"}
    if host in _EVERYWHERE:
        return names | {socket.gethostname().lower()}, True
    return names | {f"[{host}]" if ":" in host else host.lower()}, False


def address_of(opened: socket.socket, host: str) -> str:
    """Return the address to be opened in a browser."""
    name = "127.0.0.1" if host in _EVERYWHERE else f"[{host}]" if ":" in host else host
    return f"http://{name}:{opened.getsockname()[1]}"


def serve(app: App, opened: socket.socket, started: Callable[[], None]) -> None:
    """Answer requests until an interrupt; `started` is called once the server is ready."""
    import uvicorn

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets=sockets)
            started()

    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        proxy_headers=False,  # the Host header is checked as it comes
        ws="none",
        timeout_graceful_shutdown=2,  # pages keep a connection open
    )
    Server(config).run(sockets=[opened])
