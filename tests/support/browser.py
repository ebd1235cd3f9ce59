"""Headless Chromium, driven over WebDriver's HTTP interface."""

import json
import re
import subprocess
import threading
from pathlib import Path
from typing import Any

import requests

from support.tools import need

# Without them Chromium asks for hosts of its maker.
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
)


class Browser:
    """One browser with a window of a size; `open` a page, then ask what it says."""

    def __init__(self, directory: Path, width: int, height: int, phone: bool = False) -> None:
        self._driver = subprocess.Popen(
            [need("chromedriver"), "--port=0"], stdout=subprocess.PIPE, text=True
        )
        lines = iter(self._driver.stdout.readline, "")
        port = next(
            found[1]
            for line in lines
            if (found := re.search(r"started successfully on port (\d+)", line))
        )
        threading.Thread(target=self._driver.stdout.read, daemon=True).start()
        self._url = f"http://127.0.0.1:{port}/session"
        options = {"binary": need("chromium"), "args": [*FLAGS, f"--user-data-dir={directory}"]}
        if phone:
            options["mobileEmulation"] = {
                "deviceMetrics": {"width": width, "height": height, "pixelRatio": 2.0}
            }
        else:
            options["args"].append(f"--window-size={width},{height}")
        capabilities = {
            "browserName": "chrome",
            "goog:chromeOptions": options,
            "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"},
        }
        created = self._post("", {"capabilities": {"alwaysMatch": capabilities}})
        self._url += f"/{created['sessionId']}"

    def close(self) -> None:
        try:
            requests.delete(self._url, timeout=30)
        finally:
            # The browser has ended with its session; nothing of the driver is needed any more.
            self._driver.kill()
            self._driver.wait()

    def __enter__(self) -> "Browser":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def open(self, page: Path) -> None:
        self._post("/url", {"url": page.as_uri()})

    def run(self, script: str) -> Any:
        return self._post("/execute/sync", {"script": script, "args": []})

    def command(self, name: str, parameters: dict[str, Any]) -> Any:
        """Give a command of Chromium's DevTools."""
        return self._post("/goog/cdp/execute", {"cmd": name, "params": parameters})

    def console(self) -> list[str]:
        """What the page said, or the browser of it."""
        return [one["message"] for one in self._post("/se/log", {"type": "browser"})]

    def requested(self) -> list[str]:
        """The addresses that pages in files asked for (the browser's own first page asks for
        much)."""
        events = [
            json.loads(one["message"])["message"]
            for one in self._post("/se/log", {"type": "performance"})
        ]
        asked = [one["params"] for one in events if one["method"] == "Network.requestWillBeSent"]
        return [one["request"]["url"] for one in asked if one["documentURL"].startswith("file:")]

    def _post(self, path: str, value: Any) -> Any:
        answer = requests.post(self._url + path, json=value, timeout=120)
        found = answer.json()["value"]
        assert answer.ok, found
        return found
