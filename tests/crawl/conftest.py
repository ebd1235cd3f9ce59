"""A stand-in for Docker Hub, and the command that crawls it."""

import csv
import json

import pytest
from support.hub import Hub
from support.runs import Runs


@pytest.fixture
def start_hub():
    """Return a function that starts a stand-in over repositories."""
    hubs = []

    def start(repositories, **options) -> Hub:
        hubs.append(Hub(repositories, **options))
        return hubs[-1]

    yield start
    for hub in hubs:
        hub.close()


class Crawl:
    """Crawls into `output`, and reads what comes of it."""

    def __init__(self, runs: Runs) -> None:
        self.runs, self.output = runs, runs.directory / "repos.csv"

    def command(self, target, *options, ranks=0, hub=None, output=None):
        api = ["--api", hub.host] if hub else []
        return self.runs.command(
            "crawl", target, "-o", output or self.output, "--rate", 0, *api, *options, ranks=ranks
        )

    def __call__(self, target, *options, ranks=0, code=0, hub=None, output=None):
        return self.runs.run(
            self.command(target, *options, ranks=ranks, hub=hub, output=output), code
        )

    def rows(self, output=None):
        with open(output or self.output, newline="") as file:
            return list(csv.DictReader(file))

    def names(self):
        return [row["name"] for row in self.rows()]

    def about(self):
        return json.loads(self.output.with_name("repos.csv.about.json").read_text())


@pytest.fixture
def crawl(runs):
    return Crawl(runs)
