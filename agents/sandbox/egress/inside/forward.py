"""Carries bytes between 127.0.0.1:PORT and a unix socket. Runs inside the sandbox, on any Python 3."""

import contextlib
import os
import socket
import sys
import threading


def carry(source: socket.socket, target: socket.socket) -> None:
    try:
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


def serve(near: socket.socket, path: str) -> None:
    with near, socket.socket(socket.AF_UNIX) as far:
        try:
            far.connect(path)
        except OSError:
            return
        back = threading.Thread(target=carry, args=(far, near), daemon=True)
        back.start()
        carry(near, far)
        back.join()


def main(path: str, port: str) -> None:
    door = socket.create_server(("127.0.0.1", int(port)), backlog=64)
    os.write(1, b"listening")
    os.dup2(2, 1)
    while True:
        near, _ = door.accept()
        threading.Thread(target=serve, args=(near, path), daemon=True).start()


main(*sys.argv[1:])
