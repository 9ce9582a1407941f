"""Downloads from a server on this machine: resume, checksum, and errors that say what to do."""

import hashlib
import http.server
import socket
import threading

import pytest

from hat.data import download as download_module
from hat.data.download import download
from hat.errors import DataError

CONTENT = bytes(range(256)) * 40_000  # 10 MB
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Server(http.server.ThreadingHTTPServer):
    """Serves CONTENT at /file.gz; remembers the ranges asked for; can ignore ranges or hang up early."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.ranges, self.ignores_ranges, self.hangs_up_after = [], False, None
        self.url = f"http://127.0.0.1:{self.server_port}/file.gz"


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path != "/file.gz":
            self.send_error(404)
            return
        wanted = self.headers.get("Range")
        self.server.ranges.append(wanted)
        start = 0 if self.server.ignores_ranges or not wanted else int(wanted.split("=")[1].rstrip("-"))
        if start >= len(CONTENT):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(CONTENT)}")
            self.end_headers()
            return
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(CONTENT) - start))
        self.end_headers()
        self.wfile.write(CONTENT[start : self.server.hangs_up_after])

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    server = Server()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_download_and_no_second_one(server, tmp_path):
    path = download(server.url, tmp_path / "new", SHA256)
    assert path == tmp_path / "new" / "file.gz"
    assert path.read_bytes() == CONTENT
    download(server.url, tmp_path / "new", SHA256)
    assert server.ranges == [None]


def test_broken_connection_leaves_a_part_and_the_next_call_goes_on(server, tmp_path):
    server.hangs_up_after = 3_000_001
    with pytest.raises(DataError, match="connection closed after 3000001 of 10240000 bytes.*--from DIR"):
        download(server.url, tmp_path, SHA256)
    assert (tmp_path / "file.gz.part").stat().st_size == 3_000_001
    assert not (tmp_path / "file.gz").exists()
    server.hangs_up_after = None
    assert download(server.url, tmp_path, SHA256).read_bytes() == CONTENT
    assert server.ranges == [None, "bytes=3000001-"]
    assert not (tmp_path / "file.gz.part").exists()


def test_server_without_ranges_starts_over(server, tmp_path):
    server.ignores_ranges = True
    (tmp_path / "file.gz.part").write_bytes(b"something else")
    assert download(server.url, tmp_path, SHA256).read_bytes() == CONTENT


def test_part_that_was_complete_is_taken(server, tmp_path):
    (tmp_path / "file.gz.part").write_bytes(CONTENT)
    assert download(server.url, tmp_path, SHA256).read_bytes() == CONTENT
    assert server.ranges == [f"bytes={len(CONTENT)}-"]


def test_part_longer_than_the_file_is_fetched_anew(server, tmp_path):
    (tmp_path / "file.gz.part").write_bytes(CONTENT + b"more")
    assert download(server.url, tmp_path).read_bytes() == CONTENT


def test_wrong_checksum_removes_the_download(server, tmp_path):
    with pytest.raises(DataError, match=f"SHA-256 is {SHA256} instead of {'0' * 64}.*--from DIR"):
        download(server.url, tmp_path, "0" * 64)
    assert list(tmp_path.iterdir()) == []


def test_file_that_the_server_lacks(server, tmp_path):
    with pytest.raises(DataError, match="404"):
        download(server.url.replace("file", "other"), tmp_path)


def test_offline_names_the_way_around(tmp_path):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        with pytest.raises(DataError, match="Connection refused.*--from DIR"):
            download(f"http://127.0.0.1:{port}/file.gz", tmp_path)


def test_connection_that_dies_while_reading(server, tmp_path, monkeypatch):
    def broken(_response, _size):
        raise ConnectionResetError("reset by peer")

    monkeypatch.setattr(download_module.http.client.HTTPResponse, "read", broken)
    with pytest.raises(DataError, match="reset by peer"):
        download(server.url, tmp_path)
