"""Which requests get in: an ASGI layer before everything else.

A page of the internet can make a browser send requests to a program on its own machine. Two things give it away: the
name under which it asks (the Host header, also where that name was made to point here: DNS rebinding) and where it
comes from (Origin). Both must name this server. Paths that the playground does not use are closed, whatever the web
framework offers there, and each answer forbids the browser to fetch anything from elsewhere.
"""

from __future__ import annotations

import ipaddress
import re
import traceback
from collections.abc import Awaitable, Callable, Collection, MutableMapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from normlab.apps.serve.limits import MEGABYTE, Limits

Scope = MutableMapping[str, Any]
App = Callable[[Scope, Any, Any], Awaitable[None]]

POLICY = "; ".join(
    (
        "default-src 'self'",
        "script-src 'self' 'unsafe-inline' 'unsafe-eval'",  # Gradio's page has scripts of its own, and templates
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data: blob:",
        "font-src 'self' data:",
        "frame-ancestors 'self'",
        "form-action 'self'",
        "base-uri 'self'",
        "object-src 'none'",
    )
)
_HEADERS = (
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
)
_UPLOAD = "/gradio_api/upload"
_LONGEST_NAME, _LONGEST_PATH = 255, 4000  # bytes; a file system takes no more, and says so by an error
_PART_HEADERS = 10_000  # bytes of an upload that are not the file
# What the page asks for. Closed with all else: proxying, runs kept elsewhere, editing by chat, monitoring, logins.
_OPEN = re.compile(
    r"/|/(config|theme\.css|favicon\.ico|manifest\.json|robots\.txt)"
    r"|/(assets|static|svelte|reports)/.+"
    r"|/gradio_api/(info|app_id|theme\.css|startup-events|upload|upload_progress|reset|cancel)/?"
    r"|/gradio_api/(queue/(join|data|status)|heartbeat/[^/]+)"
    r"|/gradio_api/file=(?!https?:).+"
)


def _names_a_file(path: str) -> bool:
    """Say whether a file may have this path: Gradio asks the file system without looking."""
    parts = [len(part.encode(errors="replace")) for part in path.split("/")]
    return "\0" not in path and max(parts) <= _LONGEST_NAME and sum(parts) + len(parts) <= _LONGEST_PATH


@dataclass(frozen=True)
class Gate:
    """Wraps an ASGI application.

    Attributes:
        app: what answers the requests that get in.
        hosts: names by which the server may be asked, lower case, without port.
        addresses: whether any IP address will do as well: a server that listens on all of them. A name cannot be
            rebound to look like an address.
    """

    app: App
    hosts: Collection[str]
    addresses: bool = False
    limits: Limits = field(default_factory=Limits)

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        """Answer a request, or refuse it in one line."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":  # nothing here uses web sockets; ASGI: closing before accepting refuses
            await send({"type": "websocket.close", "code": 1008})
            return
        status, reason = self.refusal(scope)
        if status:
            await _refuse(send, status, reason)
            return

        last: MutableMapping[str, Any] = {}

        async def send_with_headers(message: MutableMapping[str, Any]) -> None:
            nonlocal last
            last = message
            if message["type"] == "http.response.start":
                given = list(message.get("headers", ()))
                names = {name.lower() for name, _ in given}
                message["headers"] = [*given, *(header for header in _HEADERS if header[0] not in names)]
            await send(message)

        try:
            await self.app(scope, receive, send_with_headers)
        except Exception as error:
            if last and _is_refusal(error):  # Gradio finds out within a stream that it has nothing to send
                if last["type"] == "http.response.start" or last.get("more_body"):
                    await send({"type": "http.response.body", "body": b""})
                return
            if not _has_gone(error):
                raise
            _remove_parts(error)

    def refusal(self, scope: Scope) -> tuple[int, str]:
        """Return the status and the reason for which a request is refused; 0 if it gets in."""
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        host = headers.get("host", "").lower()
        if not self._is_ours(host):
            return 403, f"this server does not answer for the host {host!r}: open it as {', '.join(sorted(self.hosts))}"
        origin = headers.get("origin")
        if origin is not None and origin.lower().partition("://")[2] != host:
            return 403, f"requests from the page {origin!r} are refused: open the playground itself"
        if not _OPEN.fullmatch(scope["path"]) or not _names_a_file(scope["path"]):
            return 404, "there is nothing here: the playground is at /"
        return self._too_large(scope, headers)

    def _is_ours(self, host: str) -> bool:
        name = re.sub(r":\d*\Z", "", host)
        if name in self.hosts:
            return True
        return self.addresses and _is_address(name.removeprefix("[").removesuffix("]"))

    def _too_large(self, scope: Scope, headers: dict[str, str]) -> tuple[int, str]:
        if scope["method"] in ("GET", "HEAD"):
            return 0, ""
        length = headers.get("content-length", "")
        if not length.isdecimal():
            return 411, "the request does not say how long it is: give its Content-Length"
        upload = scope["path"].rstrip("/") == _UPLOAD
        most = self.limits.upload + _PART_HEADERS if upload else self.limits.request
        if int(length) > most:
            return (
                413,
                f"too large: {int(length) / MEGABYTE:.1f} MB, at most {most / MEGABYTE:.1f} MB: give a smaller one",
            )
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        if int(length) and not upload and kind != "application/json":  # FastAPI fails at citing other bytes
            return 415, "the request is no JSON: the playground's page sends nothing else, but files"
        return 0, ""


def _is_refusal(error: BaseException | None) -> bool:
    """Return whether the web framework refuses a request, perhaps with the complaint that an answer had begun."""
    from starlette.exceptions import HTTPException

    return isinstance(error, HTTPException) or (error is not None and _is_refusal(error.__cause__))


def _has_gone(error: Exception) -> bool:
    """Return whether the visitor broke off while sending: nobody is left to be told, and nothing is wrong here."""
    from starlette.requests import ClientDisconnect

    return isinstance(error, ClientDisconnect)


def _remove_parts(error: Exception) -> None:
    """Remove the files of an upload that was broken off.

    Gradio's parser keeps their list and removes them after other errors only; it is found where the error was raised.
    """
    for frame, _ in traceback.walk_tb(error.__traceback__):
        for file in getattr(frame.f_locals.get("self"), "_files_to_close_on_error", ()):
            file.close()
            Path(file.name).unlink(missing_ok=True)


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


async def _refuse(send: Any, status: int, reason: str) -> None:
    body = f"normlab: {reason}\n".encode()
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(body)).encode()), *_HEADERS]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
