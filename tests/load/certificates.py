"""Self-made certificates for tests, by the openssl command, and a TLS server that uses one."""

import contextlib
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path


def make_certificate(folder: Path, name: str = "127.0.0.1") -> Path:
    """A self-signed certificate with its key in one PEM file, for an IP address or a host name."""
    kind = "IP" if name[0].isdigit() else "DNS"
    path = folder / f"{name}.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
         "-subj", f"/CN={name}", "-addext", f"subjectAltName={kind}:{name}",
         "-keyout", folder / "key.pem", "-out", folder / "cert.pem"],
        check=True, capture_output=True,
    )  # fmt: skip
    path.write_text((folder / "cert.pem").read_text() + (folder / "key.pem").read_text())
    return path


@contextlib.contextmanager
def tls_server(certificate: Path, answer: bytes, *, pieces: int = 1 << 16, close_after: int = 0) -> Iterator[int]:
    """Answer every request over TLS, in records of at most `pieces` bytes; close after so many answers."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    listener = socket.create_server(("127.0.0.1", 0))

    def serve(raw: socket.socket) -> None:
        with contextlib.suppress(OSError), context.wrap_socket(raw, server_side=True) as connection:
            served = 0
            while not close_after or served < close_after:
                pending = b""
                while b"\r\n\r\n" not in pending:
                    if not (read := connection.recv(65536)):
                        return
                    pending += read
                for at in range(0, len(answer), pieces):
                    connection.sendall(answer[at : at + pieces])
                served += 1
            connection.unwrap()

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.close()
