"""A token server as registries with `auth: token` want it: JSON web tokens, signed with a key made
on the spot."""

import base64
import http.server
import json
import subprocess
import threading
import time
import urllib.parse
from pathlib import Path

from support.certificates import self_signed
from support.registry import PASSWORD, USER
from support.tools import need

ISSUER, SERVICE = "tests", "the registry of the tests"


class TokenServer:
    """Gives tokens for pulls to everybody, for pushes to `USER`, and for `secret/…` repositories to
    `USER` alone.

    :ivar asked: the query of each request, and whether it had the right login.
    :ivar seconds: how long its tokens hold; 0: it doesn't say it.
    """

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.key, self.certificate = directory / "key.pem", directory / "certificate.pem"
        self_signed(self.key, self.certificate, "tests")
        self.asked: list[tuple[dict, bool]] = []
        self.seconds = 300
        server = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                query = urllib.parse.parse_qs(urllib.parse.urlsplit(self.path).query)
                server.answer(self, query, self.headers.get("Authorization") == _basic())

            def do_POST(self):
                form = urllib.parse.parse_qs(
                    self.rfile.read(int(self.headers["Content-Length"])).decode()
                )
                server.answer(self, form, form.get("refresh_token") == [PASSWORD])

            def log_message(self, *arguments):
                pass

        self._http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self.host = f"127.0.0.1:{self._http.server_address[1]}"
        threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self) -> None:
        self._http.shutdown()
        self._http.server_close()

    def auth(self) -> dict:
        """Return the configuration of a registry that takes these tokens."""
        return {
            "token": {
                "realm": f"http://{self.host}/token",
                "service": SERVICE,
                "issuer": ISSUER,
                "rootcertbundle": str(self.certificate),
            }
        }

    def answer(self, handler, query: dict, known: bool) -> None:
        self.asked.append((query, known))
        access = [self._grant(scope, known) for scope in query.get("scope", [])]
        body = {
            "token": self.token([one for one in access if one["actions"]], USER if known else "")
        }
        if self.seconds:
            body["expires_in"] = self.seconds
        data = json.dumps(body).encode()
        handler.send_response(200)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Content-Length", str(len(data)))
        handler.end_headers()
        handler.wfile.write(data)

    def _grant(self, scope: str, known: bool) -> dict:
        kind, name, actions = scope.split(":")
        allowed = (
            {"pull", "push", "*"}
            if known
            else {"pull"} - ({"pull"} if name.startswith("secret/") else set())
        )
        return {"type": kind, "name": name, "actions": sorted(allowed & set(actions.split(",")))}

    def token(self, access: list, subject: str) -> str:
        now = int(time.time())
        lines = self.certificate.read_text().splitlines()
        header = {"typ": "JWT", "alg": "RS256", "x5c": ["".join(lines[1:-1])]}
        claims = {
            "iss": ISSUER,
            "sub": subject,
            "aud": SERVICE,
            "exp": now + 300,
            "nbf": now - 10,
            "iat": now,
            "jti": "1",
            "access": access,
        }
        signed = b".".join(_base64url(json.dumps(part).encode()) for part in (header, claims))
        command = [need("openssl"), "dgst", "-sha256", "-sign", str(self.key)]
        signature = subprocess.run(command, input=signed, check=True, capture_output=True).stdout
        return (signed + b"." + _base64url(signature)).decode()


def _base64url(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def _basic() -> str:
    return "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
