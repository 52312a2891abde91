"""Many users at the playground at once: does each get his own answer, how long does it take, does memory grow?

    python tests/reliability/playground_load.py --users 50 --minutes 10

The program starts `normlab serve` on this machine and talks to it as the page does. Most users send a text that nobody
else sends and look for it, and for nobody else's, in the marked answer. Of ten users, one reads the answer slowly, one
goes away while he waits, one breaks off an upload, and one sends requests that no page would send. Where too many wait,
the server says so and the user comes back.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import math
import os
import random
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import httpx

KINDS = ("plain", "slow", "gone", "broken upload", "strange", *("plain",) * 5)
_OWN = re.compile(r"Visitor\d+x\d+")
_PATIENCE = 600.0  # seconds that a user waits for an answer; a busy machine is slow
_PAUSE = 1.0
_STRANGE_SECONDS = 3.0
_TRIES = 60


class WrongAnswerError(AssertionError):
    """An answer that is not this user's, or none where there must be one."""


class Playground:
    """A running `normlab serve`."""

    def __init__(self, folder: Path) -> None:
        command = [sys.executable, "-m", "normlab.cli", "serve", "--port", "0"]
        self._errors = (folder / "errors").open("w")
        self._folder = folder
        self.process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            cwd=folder,
            env={**os.environ, "TMPDIR": str(folder)},
        )
        assert self.process.stdout is not None
        self.address = self.process.stdout.readline().split()[0]
        config = httpx.get(f"{self.address}/config", timeout=_PATIENCE).json()
        self.function, self.rest = _text_function(config)

    def memory(self) -> float:
        """Return the resident memory of the server and its children in MiB."""
        pids = [self.process.pid]
        for pid in pids:
            children = Path(f"/proc/{pid}/task/{pid}/children")
            if children.exists():
                pids += [int(child) for child in children.read_text().split()]
        return sum(_resident(pid) for pid in pids)

    def uploads(self) -> int:
        """Return how many files of uploads are left on the disk, soon after the last one was broken off."""
        for _ in range(_TRIES):
            left = sum(path.is_file() for path in self._folder.glob("normlab-serve-*/uploads/**/*"))
            if not left:
                break
            time.sleep(0.5)
        return left

    def close(self) -> str:
        """End it; return what it wrote to its errors."""
        self.process.terminate()
        self.process.wait(60)
        self._errors.close()
        return Path(self._errors.name).read_text(encoding="utf-8")


def _resident(pid: int) -> float:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0.0
    found = re.search(r"VmRSS:\s+(\d+)", status)
    return int(found[1]) / 1024 if found else 0.0


def _text_function(config: dict[str, Any]) -> tuple[int, list[Any]]:
    """Return the number of the function behind "Find names", and what the page sends with the text."""
    by_id = {component["id"]: component["props"] for component in config["components"]}
    names = {number: props.get("elem_id") for number, props in by_id.items()}
    for function in config["dependencies"]:
        inputs = [names.get(number) for number in function["inputs"]]
        if (
            inputs
            and inputs[0] == "text-input"
            and ["text-button", "click"] in [[names.get(target[0]), target[1]] for target in function["targets"]]
        ):
            return int(function["id"]), [by_id[number].get("value") for number in function["inputs"][1:]]
    raise WrongAnswerError("the page has no function that tags a text")


_METHODS = ("GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "TRACE", "BREW")
_PATHS = (
    *("/", "/config", "/gradio_api/info", "/gradio_api/queue/join", "/gradio_api/queue/data?session_hash=x"),
    *("/gradio_api/file=/etc/passwd", "/gradio_api/file=../../etc/passwd", "/gradio_api/file=%2fetc%2fpasswd"),
    *("/assets/../../../etc/passwd", "/static/%2e%2e/%2e%2e/etc/passwd", "/reports/../../etc/passwd", "/reports/x"),
    *("/gradio_api/upload", "/gradio_api/upload_progress?upload_id=x", "/gradio_api/reset", "/gradio_api/cancel"),
    *(
        "/gradio_api/call/tag",
        "/gradio_api/run/predict",
        "/docs",
        "/openapi.json",
        "/login",
        "/monitoring",
        "//",
        "/%00",
    ),
    *(
        "/gradio_api/heartbeat/x",
        "/gradio_api/queue/status",
        "/svelte/" + "a" * 5000,
        "/static/%00",
        "/assets/" + "%C3%A4" * 200,
        "/assets/" + "a/" * 3000,
        "/gradio_api/proxy=http://x/",
    ),
)
_VALUES = (
    None,
    True,
    -1,
    10**30,
    1e308,
    "",
    "x" * 10_000,
    "\0",
    "../../etc/passwd",
    [],
    {},
    [[[[[]]]]],
    {"path": "/etc/passwd"},
)


def strange_request(draw: random.Random, function: int) -> tuple[str, str, dict[str, str], bytes]:
    """Return method, path, headers and body of a request that no page would send."""

    def value(depth: int = 3) -> Any:
        if depth == 0 or draw.random() < 0.5:
            return draw.choice(_VALUES)
        if draw.random() < 0.5:
            return [value(depth - 1) for _ in range(draw.randrange(4))]
        keys = ("data", "fn_index", "session_hash", "event_id", "path", "url", "meta", "batched", "trigger_id", "x")
        return {draw.choice(keys): value(depth - 1) for _ in range(draw.randrange(4))}

    headers = {}
    for name, values in {
        "Origin": ("null", "http://evil.example", "http://localhost"),
        "Host": ("evil.example", "localhost:1", "127.0.0.1\t", "[::1]", ""),
        "Content-Type": ("application/json", "text/plain", "multipart/form-data; boundary=x", "multipart/form-data"),
        "Content-Length": ("0", "-1", "5", "99999999999", "x"),
        "Range": ("bytes=-1", "bytes=0-99999999999", "x"),
        "Cookie": ("a" * 4000, "session=../../x"),
        "X-Forwarded-Host": ("evil.example",),
        "X-Forwarded-Prefix": ("//evil.example",),
    }.items():
        if draw.random() < 0.15:
            headers[name] = draw.choice(values)
    body: Any = {
        "data": [value()],
        "fn_index": draw.choice((function, 0, 10**6, -1, None, "x")),
        "session_hash": value(1),
    }
    text = json.dumps(draw.choice((body, body, value()))).encode()
    if draw.random() < 0.2:
        text = draw.choice(
            (b"", b"{", b"\xff\xfe", b"[" * 5000, b'{"a":1,"a":2}', b"--x\r\n\r\n--x--", text[: len(text) // 2])
        )
    return draw.choice(_METHODS), draw.choice(_PATHS), headers, text


class Users:
    """What the users have seen."""

    def __init__(self, playground: Playground, seed: int) -> None:
        self.playground = playground
        self.draw = random.Random(seed)
        self.seconds: list[float] = []
        self.seen: Counter[str] = Counter()
        self.wrong: list[str] = []

    async def visit(self, number: int, until: float) -> None:
        """Be one user until then."""
        kind = KINDS[number % len(KINDS)]
        limits = httpx.Timeout(_PATIENCE)
        async with httpx.AsyncClient(base_url=self.playground.address, timeout=limits) as client:
            for turn in itertools.count():
                if time.monotonic() >= until:
                    return
                try:
                    await self._once(client, kind, f"Visitor{number}x{turn}")
                except WrongAnswerError as error:
                    self.wrong.append(str(error))
                except httpx.HTTPError as error:
                    self.seen[f"{kind}: {type(error).__name__}"] += 1
                await asyncio.sleep(self.draw.uniform(0, _PAUSE))

    async def _once(self, client: httpx.AsyncClient, kind: str, name: str) -> None:
        if kind == "broken upload":
            await self._break_upload()
            self.seen["uploads broken off"] += 1
            return
        if kind == "strange":
            await self._send_strange()
            return
        begun = time.monotonic()
        session = f"{name}{self.draw.getrandbits(40):x}"
        text = f"{name} met Angela Merkel in Berlin."
        joined = await client.post(
            "/gradio_api/queue/join",
            json={"data": [text, *self.playground.rest], "fn_index": self.playground.function, "session_hash": session},
        )
        if joined.status_code == 503:
            self.seen["told that too many wait"] += 1
            return
        joined.raise_for_status()
        answer = await self._answer(client, session, kind)
        if answer is None:
            self.seen["gone before the answer"] += 1
            return
        names = set(_OWN.findall(answer))
        if names != {name}:
            raise WrongAnswerError(f"{name} got an answer about {sorted(names) or answer[:300]}")
        self.seen[f"{kind}: answered"] += 1
        self.seconds.append(time.monotonic() - begun)

    async def _answer(self, client: httpx.AsyncClient, session: str, kind: str) -> str | None:
        events = client.stream("GET", "/gradio_api/queue/data", params={"session_hash": session})
        async with events as stream:
            async for line in stream.aiter_lines():
                if kind == "gone":
                    return None
                if kind == "slow":
                    await asyncio.sleep(0.2)
                if line.startswith("data:"):
                    event = json.loads(line[5:])
                    if event["msg"] == "process_completed":
                        return json.dumps(event["output"])
        raise WrongAnswerError(f"{session}: the server closed the stream without an answer")

    async def _send_strange(self) -> None:
        url = httpx.URL(self.playground.address)
        method, path, headers, content = strange_request(self.draw, self.playground.function)
        lines = {"Host": f"{url.host}:{url.port}", "Content-Length": str(len(content)), "Connection": "close"} | headers
        head = f"{method} {path} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        reader, writer = await asyncio.open_connection(url.host, url.port)
        answer = b""
        try:
            writer.write(head.encode() + b"\r\n" + content)
            async with asyncio.timeout(_STRANGE_SECONDS):  # streams of events end when their reader goes
                while len(answer) < 1_000_000 and (part := await reader.read(65_536)):
                    answer += part
        except (TimeoutError, ConnectionError):
            pass
        finally:
            writer.close()
        status = answer[9:12].decode(errors="replace")
        self.seen[f"strange requests answered {status[:1]}xx" if status else "strange requests left waiting"] += 1
        for secret in (b"root:x:", b"Traceback"):
            if secret in answer:
                raise WrongAnswerError(f"{method} {path} {headers} {content[:200]!r} shows {secret!r}")

    async def _break_upload(self) -> None:
        url = httpx.URL(self.playground.address)
        _, writer = await asyncio.open_connection(url.host, url.port)
        head = (
            f"POST /gradio_api/upload HTTP/1.1\r\nHost: {url.host}:{url.port}\r\nContent-Length: 5000000\r\n"
            "Content-Type: multipart/form-data; boundary=x\r\n\r\n--x\r\n"
            'Content-Disposition: form-data; name="files"; filename="a.png"\r\n\r\n'
        )
        writer.write(head.encode() + os.urandom(200_000))
        await writer.drain()
        await asyncio.sleep(0.1)
        writer.close()


async def press(playground: Playground, users: int, seconds: float, seed: int) -> tuple[Users, list[float]]:
    """Let users visit for so long; return what they saw, and the server's memory once a second."""
    seen = Users(playground, seed)
    until = time.monotonic() + seconds
    memory: list[float] = []

    async def watch() -> None:
        while time.monotonic() < until:
            memory.append(playground.memory())
            await asyncio.sleep(1)

    await asyncio.gather(watch(), *(seen.visit(number, until) for number in range(users)))
    memory.append(playground.memory())
    return seen, memory


def percentile(values: list[float], share: float) -> float:
    """Return the value that so large a share of the values does not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def main(arguments: list[str] | None = None) -> int:
    """Press the playground; exit code 1 for a wrong answer, a traceback, files left, or memory that grows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, default=50)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--growth", type=float, default=64, help="MiB by which memory may grow after the first third")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="normlab-load-") as folder:
        playground = Playground(Path(folder))
        try:
            seen, memory = asyncio.run(press(playground, options.users, 60 * options.minutes, options.seed))
            uploads = playground.uploads()
        finally:
            errors = playground.close()
    third = max(memory[: max(1, len(memory) // 3)])
    growth = max(memory) - third
    print(", ".join(f"{count} {what}" for what, count in sorted(seen.seen.items())))
    print(f"{len(seen.seconds)} answers, {len(seen.wrong)} wrong ones")
    if seen.seconds:
        waits = (percentile(seen.seconds, share) for share in (0.5, 0.99, 1))
        print("seconds to an answer: median {:.1f}, 99th percentile {:.1f}, longest {:.1f}".format(*waits))
    curve = " ".join(f"{memory[len(memory) * tenth // 10]:.0f}" for tenth in range(10))
    print(f"memory in MiB, at each tenth of the time: {curve}; {growth:.0f} more than in the first third")
    print(f"files that broken uploads have left: {uploads}")
    for line in [*seen.wrong[:5], *errors.splitlines()[-20:]]:
        print(f"FAILED: {line[:300]}" if line in seen.wrong else f"server: {line[:300]}")
    bad = seen.wrong or not seen.seconds or "Traceback" in errors or uploads or growth > options.growth
    return int(bool(bad))


if __name__ == "__main__":
    sys.exit(main())
