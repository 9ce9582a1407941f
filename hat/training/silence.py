"""Machines that fall silent. Each process keeps a connection to the first one, which the kernels at both ends watch.

Of a process that ends, torch's groups tell at once; a machine that is cut off ends nothing, and would be waited for.
The kernels' probes need no attention of the processes: these may prepare data, compute or write as long as they like.
"""

import contextlib
import errno
import os
import secrets
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

from hat.errors import ProcessError

# Of a connection on which nothing is sent: the kernel asks after 15 s, and again, and gives it up after 60 s.
PROBES = {"TCP_KEEPIDLE": 15, "TCP_KEEPINTVL": 15, "TCP_KEEPCNT": 3}
SILENT = (errno.ETIMEDOUT, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN, errno.ENETDOWN)
TOLD = (
    "another machine of this command no longer answers; see to it or to the network, end what it still runs, and run "
    "the same command again to go on"
)


@contextlib.contextmanager
def told(first_host: str, from_first: Callable[[Callable[[], Any]], Any], is_first: bool) -> Iterator[None]:
    """For the time of the block, end this process with a message when the machine at the other end falls silent.

    `from_first` and `is_first` are those of `processes`; `first_host` is where the first process runs. Raises
    ProcessError where that can't be reached.
    """
    server = _server() if is_first else None
    port, token = from_first(lambda: (server.getsockname()[1], secrets.token_bytes(16)))
    watched = server or _connection(first_host, port)
    if is_first:
        _in_thread(_welcome, server, token)
    else:
        watched.sendall(token)
        _in_thread(_watch, watched)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):  # the other end may have ended it
            watched.shutdown(socket.SHUT_RDWR)  # which wakes the thread, as closing alone does not
        watched.close()


def _server() -> socket.socket:
    if socket.has_dualstack_ipv6():
        return socket.create_server(("", 0), family=socket.AF_INET6, dualstack_ipv6=True)
    return socket.create_server(("", 0))


def _connection(host: str, port: int) -> socket.socket:
    try:
        connection = socket.create_connection((host, port), timeout=sum(PROBES.values()))
    except OSError as error:
        raise ProcessError(
            f"{socket.gethostname()} can't reach port {port} of rank 0's machine, {host} ({error}); processes of a "
            "training need all ports between their machines"
        ) from None
    connection.settimeout(None)
    return connection


def _in_thread(function: Callable[..., None], *arguments: Any) -> None:
    threading.Thread(target=function, args=arguments, daemon=True).start()


def _welcome(server: socket.socket, token: bytes) -> None:
    """Watch the connections of all who know the token."""
    while True:
        try:
            connection, _ = server.accept()
        except OSError:  # the block has ended
            return
        _in_thread(_watch, connection, token)


def _watch(connection: socket.socket, token: bytes = b"") -> None:
    """Wait until the other process, which says `token` first, ends the connection, which is no news, or is silent."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in PROBES.items():
        if hasattr(socket, name):
            connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
    try:
        if connection.recv(len(token)) == token:
            connection.recv(1)
    except OSError as error:
        if error.errno in SILENT:
            print(f"error: {TOLD}", file=sys.stderr, flush=True)
            os._exit(ProcessError.exit_status)
