"""A real registry on loopback: Debian's docker-registry, open, with htpasswd or with token auth,
filled by skopeo."""

import json
import socket
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

from support.tools import need

USER, PASSWORD = "reader", "canary-5f1e9c"
"""Of registries with a login; the password must turn up nowhere."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Registry:
    """A running registry; `host` is its `127.0.0.1:PORT`.

    :param auth: lines of its configuration, such as `htpasswd_auth` returns.
    """

    def __init__(self, directory: Path, auth: dict | None = None) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.directory, port = directory, free_port()
        self.host = f"127.0.0.1:{port}"
        config = {
            "version": "0.1",
            "log": {"level": "warn", "accesslog": {"disabled": True}},
            "storage": {
                "filesystem": {"rootdirectory": str(directory / "data")},
                "delete": {"enabled": True},
            },
            "http": {"addr": self.host, "secret": "not one"},
            **({"auth": auth} if auth else {}),
        }
        path = directory / "config.yml"
        path.write_text(json.dumps(config))  # JSON is YAML
        with open(directory / "log", "w") as log:
            command = [need("docker-registry"), "serve", str(path)]
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        self._wait()

    def _wait(self) -> None:
        until = time.monotonic() + 30
        while time.monotonic() < until and self._process.poll() is None:
            try:
                urllib.request.urlopen(f"http://{self.host}/v2/", timeout=5)
                return
            except urllib.error.HTTPError:
                return  # it wants a login
            except OSError:
                time.sleep(0.05)
        raise AssertionError(f"the registry did not start:\n{(self.directory / 'log').read_text()}")

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait()

    def copy(self, source: str, name: str, *options: str, login: bool = False) -> None:
        """Copy an image to the registry by skopeo."""
        creds = ["--dest-creds", f"{USER}:{PASSWORD}"] if login else []
        target = f"docker://{self.host}/{name}"
        skopeo("copy", "-q", "--dest-tls-verify=false", *creds, *options, source, target)

    def put_manifest(self, name: str, tag: str, document: dict) -> None:
        """Put a manifest or an index just as it is, since skopeo changes what it copies."""
        request = urllib.request.Request(
            f"http://{self.host}/v2/{name}/manifests/{tag}",
            json.dumps(document).encode(),
            {"Content-Type": document["mediaType"]},
            method="PUT",
        )
        urllib.request.urlopen(request, timeout=30).close()


def skopeo(*arguments: object) -> str:
    command = [need("skopeo"), "--insecure-policy", *map(str, arguments)]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, f"{command}\n{result.stderr}"
    return result.stdout


def htpasswd_auth(directory: Path) -> dict:
    """Return the configuration of a registry with one user in an htpasswd file."""
    directory.mkdir(parents=True, exist_ok=True)
    command = [need("htpasswd"), "-nbB", USER, PASSWORD]
    (directory / "htpasswd").write_text(
        subprocess.run(command, check=True, capture_output=True, text=True).stdout
    )
    return {"htpasswd": {"realm": "tests", "path": str(directory / "htpasswd")}}
