"""A local Cloud Storage server for google-cloud-storage and for TensorFlow's file system.

TensorFlow has no setting for another address, so the server is also an HTTPS proxy: it answers requests to
googleapis.com itself, with a certificate that the test makes TensorFlow trust. The server runs in another process,
because TensorFlow may hold Python's global lock while it waits for an answer.
"""

import datetime
import functools
import http.server
import io
import re
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from gcp_storage_emulator import server as emulator
from gcp_storage_emulator.exceptions import NotFound
from gcp_storage_emulator.storage import Storage

BUCKET = "a-bucket"
_uploads = threading.Lock()


@contextmanager
def serving(folder: Path) -> Iterator[dict[str, str]]:
    """Serves an empty bucket; yields the environment variables for both clients. `folder` gets the certificate."""
    command = [sys.executable, "-m", __name__, str(folder / "certificate.pem")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        url = server.stdout.readline().strip()
        yield {  # afterwards, the server's standard input is closed, and the server exits
            "STORAGE_EMULATOR_HOST": url,  # google-cloud-storage
            "no_proxy": "127.0.0.1",
            "https_proxy": url,  # TensorFlow: the address, the trusted certificate and no real credentials
            "CURL_CA_BUNDLE": str(folder / "certificate.pem"),
            "GOOGLE_AUTH_TOKEN_FOR_TESTING": "no-token",
            "NO_GCE_CHECK": "true",
        }


class _Handler(emulator.RequestHandler):
    def do_CONNECT(self):  # noqa: N802
        self.send_response(200)
        self.end_headers()
        with self.server.tls.wrap_socket(self.connection, server_side=True) as inner:
            type(self)(self.storage, inner, self.client_address, self.server)

    def do_POST(self):  # noqa: N802
        """Checks `ifGenerationMatch`, which the emulator ignores; one upload at a time."""
        query = parse_qs(urlsplit(self.path).query)
        wanted = query.get("ifGenerationMatch")
        if not wanted or query.get("uploadType") != ["multipart"]:  # TensorFlow's uploads have no other writer
            super().do_POST()
            return
        body = self.rfile.read(int(self.headers["Content-Length"]))
        (name,) = re.findall(rb'"name": "([^"]+)"', body)
        with _uploads:
            if self._generation(name.decode()) == wanted[0]:
                self.rfile = io.BytesIO(body)
                self.close_connection = True
                super().do_POST()
                return
        self.send_response(412)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _generation(self, name: str) -> str:
        try:
            return self.storage.get_file_obj(BUCKET, name)["generation"]
        except NotFound:
            return "0"

    def parse_request(self) -> bool:
        """Lets a client send its file that asks first whether it may; else TensorFlow waits for a second."""
        parsed = super().parse_request()
        if parsed and self.headers.get("Expect") == "100-continue":
            self.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        return parsed

    def send_header(self, keyword: str, value: str) -> None:
        """Makes upload addresses use TLS; the emulator, which has no TLS, returns http://www.googleapis.com."""
        super().send_header(keyword, value.replace("http://www.", "https://www."))


def _serve(certificate: Path) -> None:
    emulator._read_data = functools.partial(_read_data, emulator._read_data)
    storage = Storage(use_memory_fs=True)
    storage.create_bucket(BUCKET, {"name": BUCKET})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Handler, storage)) as server:
        server.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        server.tls.load_cert_chain(_certificate(certificate))
        print(f"http://127.0.0.1:{server.server_address[1]}", flush=True)
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        sys.stdin.read()  # returns when the test closes it or dies
        server.shutdown()


def _read_data(read: Any, handler: Any, query: dict[str, list[str]]) -> Any:
    """Returns the body of an upload; the emulator returns None for an empty body and cannot store it.

    TensorFlow sends chunks and a length; then HTTP ignores the length (RFC 9112), but the emulator does not.
    """
    if handler.headers.get("Transfer-Encoding"):
        del handler.headers["Content-Length"]
    data = read(handler, query)
    return b"" if data is None and query.get("uploadType") == ["media"] else data


def _certificate(path: Path) -> Path:
    """Writes a key and a self-signed certificate for googleapis.com to one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "tests")])
    now, day = datetime.datetime.now(datetime.UTC), datetime.timedelta(days=1)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now - day, now + day)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("*.googleapis.com")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    encoding, no_password = serialization.Encoding.PEM, serialization.NoEncryption()
    private = key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, no_password)
    path.touch(mode=0o600)
    path.write_bytes(certificate.public_bytes(encoding) + private)
    return path


if __name__ == "__main__":
    _serve(Path(sys.argv[1]))
