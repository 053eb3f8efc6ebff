"""Addresses of what this package serves: who can reach them, and a socket that listens there."""

from __future__ import annotations

import ipaddress
import socket

from sparring.config import UserError


def loopback(host: str) -> bool:
    """Whether only this machine can reach a service there."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def listening(host: str, port: int) -> socket.socket:
    """A socket that listens there; port 0 is any that is free. `UserError` where there can be none."""
    if not 0 <= port < 65536:
        raise UserError(f"port={port} must be from 0 to 65535; try --port 0 for a free one")
    made: socket.socket | None = None
    try:
        family, kind, protocol, _, where = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        made = socket.socket(family, kind, protocol)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind(where)
        made.listen(128)  # before the address is told, so that nobody comes too early
    except OSError as error:
        if made is not None:
            made.close()
        reason = error.strerror or error
        raise UserError(f"host={host}, port={port}: {reason}; try --port 0 for a free one") from None
    return made
