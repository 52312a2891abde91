from __future__ import annotations

import dataclasses
import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from normlab.data.image.download import download, list_known
from normlab.data.image.known import KNOWN, PUBLISHED_MD5, Known
from normlab.errors import UserError

CONTENT = np.random.default_rng(0).bytes(3_000_000)


class Site:
    """A web server on this machine; `ranges`, `break_after` and `content` say how it behaves."""

    def __init__(self) -> None:
        self.content = CONTENT
        self.ranges = True
        self.break_after: int | None = None
        self.asked: list[str | None] = []
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                site.answer(self)

            def log_message(self, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/data.tar.gz"

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        asked = request.headers.get("Range")
        self.asked.append(asked)
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked and self.ranges else 0
        if start and start >= len(self.content):
            request.send_error(416)
            return
        body = self.content[start:]
        request.send_response(206 if start else 200)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body[: self.break_after])


@pytest.fixture
def site() -> Iterator[Site]:
    site = Site()
    thread = threading.Thread(target=site.server.serve_forever, args=(0.01,))
    thread.start()
    yield site
    site.server.shutdown()
    site.server.server_close()
    thread.join()


@pytest.fixture
def known(site: Site) -> Known:
    return Known("tiny", site.url, hashlib.md5(CONTENT).hexdigest(), 3, "for tests")


def test_download_has_the_content_and_leaves_no_part(site, known, tmp_path):
    path = download("tiny", tmp_path / "in", source=known)
    assert path == tmp_path / "in" / "data.tar.gz"
    assert path.read_bytes() == CONTENT
    assert list(path.parent.iterdir()) == [path]


def test_progress_grows_to_the_whole(site, known, tmp_path):
    seen: list[tuple[int, int | None]] = []
    download("tiny", tmp_path, source=known, progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert len(seen) >= 3


def test_what_is_there_already_is_not_fetched_again(site, known, tmp_path):
    download("tiny", tmp_path, source=known)
    download("tiny", tmp_path, source=known)
    assert len(site.asked) == 1


def test_interrupted_download_goes_on_where_it_broke_off(site, known, tmp_path):
    site.break_after = 1_200_000
    with pytest.raises(UserError, match=r"broke off after 1200000 of 3000000 bytes.*run the command again"):
        download("tiny", tmp_path, source=known)
    assert not (tmp_path / "data.tar.gz").exists()
    site.break_after = None
    assert download("tiny", tmp_path, source=known).read_bytes() == CONTENT
    assert site.asked == [None, "bytes=1200000-"]


def test_server_without_ranges_is_asked_from_the_start(site, known, tmp_path):
    (tmp_path / "data.tar.gz.part").write_bytes(CONTENT[:1000])
    site.ranges = False
    assert download("tiny", tmp_path, source=known).read_bytes() == CONTENT


def test_part_that_is_whole_already_is_taken(site, known, tmp_path):
    (tmp_path / "data.tar.gz.part").write_bytes(CONTENT)
    assert download("tiny", tmp_path, source=known).read_bytes() == CONTENT


def test_wrong_sum_is_refused_and_the_next_try_starts_anew(site, known, tmp_path):
    site.content = b"x" + CONTENT[1:]
    with pytest.raises(UserError, match=rf"has not the published MD5 {known.md5}"):
        download("tiny", tmp_path, source=known)
    assert list(tmp_path.iterdir()) == []
    site.content = CONTENT
    assert download("tiny", tmp_path, source=known).read_bytes() == CONTENT


def test_foreign_part_is_found_by_the_sum(site, known, tmp_path):
    (tmp_path / "data.tar.gz.part").write_bytes(b"something else")
    with pytest.raises(UserError, match="published MD5"):
        download("tiny", tmp_path, source=known)
    assert download("tiny", tmp_path, source=known).read_bytes() == CONTENT


def test_damaged_file_of_that_name_is_fetched_again(site, known, tmp_path):
    (tmp_path / "data.tar.gz").write_bytes(CONTENT[:10])
    assert download("tiny", tmp_path, source=known).read_bytes() == CONTENT


def test_offline_names_the_url_and_how_to_do_it_by_hand(site, known, tmp_path):
    offline = dataclasses.replace(known, url="http://127.0.0.1:1/data.tar.gz")
    with pytest.raises(UserError) as caught:
        download("tiny", tmp_path, source=offline)
    message = str(caught.value)
    assert "cannot download http://127.0.0.1:1/data.tar.gz" in message
    assert "curl -LO http://127.0.0.1:1/data.tar.gz" in message
    assert f"put it into {tmp_path}" in message
    assert "\n" not in message


def test_refusing_server_is_named_with_its_answer(site, known, tmp_path):
    site.answer = lambda request: request.send_error(404)
    with pytest.raises(UserError, match="Not Found"):
        download("tiny", tmp_path, source=known)


def test_unknown_and_built_in_names_say_what_to_do():
    with pytest.raises(UserError, match="did you mean 'cifar10'"):
        download("cifr10")
    with pytest.raises(UserError, match="digits is built in"):
        download("digits")


def test_known_sets_are_listed_and_their_sums_are_the_published_ones():
    lines = list_known()
    assert [line.split()[0] for line in lines] == ["digits", "cifar10", "cifar100"]
    for known in KNOWN.values():
        assert PUBLISHED_MD5[known.file] == known.md5


def test_web_page_in_place_of_the_archive_is_called_that(site, known, tmp_path):
    site.content = b"<!DOCTYPE html>\n<html><body>We have moved</body></html>"
    with pytest.raises(UserError, match=r"has not the published MD5 \w+ and holds a web page \(HTML\);"):
        download("tiny", tmp_path, source=known)
