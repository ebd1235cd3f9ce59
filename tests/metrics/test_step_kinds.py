"""Kinds of steps: lines of real configs, the rules themselves, and texts that cost time."""

from __future__ import annotations

import random

import pytest

from hpc_remetrics.metrics.step_kinds import RULES, TEXT_BYTES, step_kind
from hpc_remetrics.records import STEP_KINDS

HASH = "4f9cd5a3a2d1b9c9a04a8ddfb1b3d5a3f3fd2ab9a92a9b2ea0ed7dc0f7bd6d0e"

REAL = [
    # Root file systems: docker's classic builder, BuildKit, and programs of distributions
    ("base", f"/bin/sh -c #(nop) ADD file:{HASH} in / "),
    ("base", "ADD alpine-minirootfs-3.20.3-x86_64.tar.gz / # buildkit"),
    ("base", "ADD rootfs.tar.xz / # buildkit"),
    ("base", "COPY /rootfs/ / # buildkit"),
    ("base", "# debian.sh --arch 'amd64' out/ 'bookworm' '@1727136000'"),
    ("base", "KIWI 10.0.11"),
    ("base", "BusyBox 1.36.1 (glibc), Debian 12"),
    ("base", "Apply image 10.0.20348.5622"),
    ("base", "Install update 10.0.14393.2485"),
    # What follows them
    ("COPY", f"/bin/sh -c #(nop) COPY file:{HASH} in /usr/local/bin/docker-entrypoint.sh "),
    ("COPY", f"/bin/sh -c #(nop) COPY dir:{HASH} in /app "),
    ("COPY", "COPY . /app # buildkit"),
    ("COPY", "COPY --chown=node:node package.json yarn.lock ./ # buildkit"),
    ("COPY", "COPY manager ."),
    ("COPY", "COPY multi:6d3e in /srv/"),
    ("COPY", "cmd /S /C #(nop) COPY file:ac9f104fd739943f22886335a779468d in C: "),
    ("COPY_from", "COPY /go/bin/server /usr/bin/server # buildkit"),
    ("COPY_from", "COPY --chown=1000 /src/dist /srv # buildkit"),
    ("COPY_from", "COPY --from=builder /out/app /usr/local/bin/app"),
    ("COPY_from", "/bin/sh -c #(nop) COPY --chown=0:0 --from=build target/app.jar /app.jar"),
    ("ADD", f"/bin/sh -c #(nop) ADD file:{HASH} in /calico.conf.tmp "),
    ("ADD", "ADD https://example.org/a.tar.gz /opt/ # buildkit"),
    ("ADD", "/bin/sh -c #(nop) ADD 73235ba7e61323f3ed8b78663a44b17e in /tmp/ "),
    ("WORKDIR", "WORKDIR /usr/src/app"),
    ("WORKDIR", "/bin/sh -c #(nop) WORKDIR /usr/src/app"),
    ("WORKDIR", "cmd /S /C #(nop) WORKDIR C:\\nats-streaming-server"),
    ("metadata", '/bin/sh -c #(nop)  CMD ["/bin/bash"]'),
    ("metadata", "/bin/sh -c #(nop)  ARG GIT_VERSION=unknown"),
    ("metadata", "ENV PATH=/usr/local/go/bin:/usr/bin"),
    ("metadata", "LABEL maintainer=NGINX Docker Maintainers <docker-maint@nginx.com>"),
    ("metadata", "EXPOSE map[80/tcp:{}]"),
    # Shells: classic builder with and without arguments, BuildKit, kaniko, other shells
    (
        "RUN_apt",
        "RUN /bin/sh -c apt-get update && apt-get install -y make cmake git curl # buildkit",
    ),
    (
        "RUN_apt",
        "RUN |1 DEBIAN_FRONTEND=noninteractive /bin/sh -c apt update -y && apt upgrade -y && apt "
        "install -y     aptly     bubblewrap     ca-certificates     cpio     curl # buildkit",
    ),
    (
        "RUN_apt",
        "RUN |1 TARGETARCH=amd64 /bin/sh -c apt-get update && apt-get install -y "
        "--no-install-recommends     gnupg2 curl ca-certificates &&     curl -fsSL "
        "https://developer.download.nvidia.com/compute/cuda/repos/3bf863cc.pub | apt-key add",
    ),
    (
        "RUN_apt",
        "RUN /bin/bash -o errexit -o nounset -o pipefail -c apt-get update && apt-get install -y "
        "unzip wget && rm -rf /var/lib/apt/lists/* # buildkit",
    ),
    ("RUN_apt", "/bin/sh -c DEBIAN_FRONTEND=noninteractive apt-get -qq install locales"),
    ("RUN_apt", "RUN apt-get install -y nginx"),
    ("RUN_apt", "/bin/bash -lc 'sudo -E apt-get update'"),
    ("RUN_apt", "RUN /bin/bash -eux -c if true; then apt-get update; fi # buildkit"),
    ("RUN_apt", "RUN /bin/sh -c set -ex\napt-get update\napt-get install -y gcc\n # buildkit"),
    ("RUN_apt", "RUN --mount=type=cache,target=/var/cache/apt apt-get install -y gcc"),
    ("RUN_apt", "/bin/sh -c dpkg -i /tmp/erlang.deb"),
    ("RUN_apt", "|1 WHO=Jane Doe /bin/sh -c apt-get update"),
    ("RUN_apt", "RUN /bin/bash -exuc apt-get update # buildkit"),
    ("RUN_apt", "/bin/sh -c for n in 1 2; do 'apt-get' install x; done"),
    ("RUN_apk", "/bin/sh -c apk add --no-cache \t\tca-certificates"),
    (
        "RUN_apk",
        "|6 BUILD_DATE=2020-04-29T06:34:01Z NODEJS_VERSION=12.15.0-r1 VERSION=2.0.5 /bin/sh -c set "
        "-x &&     apk add --no-cache nodejs=${NODEJS_VERSION} nodejs-npm",
    ),
    ("RUN_dnf", "|1 GIT_VERSION=v3.11.3 /bin/sh -c microdnf install hostname && mkdir /licenses"),
    ("RUN_dnf", "RUN /bin/sh -c dnf install -y --nogpgcheck foo # buildkit"),
    ("RUN_dnf", "/bin/sh -c yum -y update; yum clean all"),
    ("RUN_dnf", "/bin/sh -c zypper -n in gcc"),
    ("RUN_pip", "RUN /bin/sh -c pip install --no-cache-dir -r requirements.txt # buildkit"),
    ("RUN_pip", "RUN /bin/sh -c apt-get install -y gcc && pip3.11 install flask # buildkit"),
    ("RUN_pip", "/bin/sh -c python3 -m pip install numpy"),
    ("RUN_pip", "RUN /bin/sh -c python -u -m pip install numpy # buildkit"),
    ("RUN_pip", "RUN /bin/sh -c /opt/venv/bin/pip install torch # buildkit"),
    ("RUN_pip", "RUN /bin/sh -c uv sync --frozen # buildkit"),
    ("RUN_conda", "/bin/sh -c conda install -y numpy && conda clean -ya && pip install x"),
    ("RUN_conda", "RUN /bin/bash -c micromamba install -y -f env.yml # buildkit"),
    ("RUN_npm", "/bin/sh -c npm ci --only=production"),
    ("RUN_npm", "RUN /bin/sh -c yarn install --frozen-lockfile # buildkit"),
    ("RUN_gem", "/bin/sh -c bundle install --jobs 4"),
    ("RUN_php", "RUN /bin/sh -c docker-php-ext-install pdo_mysql # buildkit"),
    ("RUN_php", "RUN /bin/sh -c apk add git && composer install --no-dev # buildkit"),
    ("RUN_R", "RUN /bin/sh -c R -e \"install.packages('sf')\" # buildkit"),
    ("RUN_go", "/bin/sh -c CGO_ENABLED=0 go build -o /out/app ./cmd/app"),
    ("RUN_cargo", "RUN /bin/sh -c cargo build --release # buildkit"),
    ("RUN_maven", "RUN /bin/sh -c ./mvnw -B package # buildkit"),
    ("RUN_maven", "/bin/sh -c gradle --no-daemon bootJar"),
    ("RUN_dotnet", "RUN /bin/sh -c dotnet publish -c Release -o /app # buildkit"),
    ("RUN_spack", "RUN /bin/bash -c . /opt/spack/share/setup-env.sh && spack install # buildkit"),
    (
        "RUN_make",
        "/bin/sh -c set -eux; \t\twget -O python.tar.xz https://www.python.org/x.tar.xz; "
        "\t./configure --enable-shared; \tmake -j 8; \tmake install; \tpip3 --version; "
        "\tapt-get purge -y gcc",
    ),
    ("RUN_make", "RUN /bin/sh -c cd /src && cmake -B build && cmake --build build # buildkit"),
    (
        "RUN_curl",
        "/bin/sh -c ARCH= && curl -fsSLO https://nodejs.org/dist/v18/node-v18.tar.xz     && tar "
        "-xJf node-v18.tar.xz -C /usr/local   && node --version     && npm --version",
    ),
    ("RUN_curl", "/bin/sh -c wget -O /bin/tini https://example.org/tini && chmod +x /bin/tini"),
    (
        "RUN_curl",
        "powershell -Command $ErrorActionPreference = 'Stop'; Invoke-WebRequest $url -OutFile x",
    ),
    ("RUN_git", "/bin/sh -c git clone --depth 1 https://example.org/x.git /opt/x"),
    ("RUN_chown", "RUN /bin/sh -c chown -R app:app /app # buildkit"),
    ("RUN_other", "/bin/sh -c mkdir -p /run/systemd && echo 'docker' > /run/systemd/container"),
    ("RUN_other", '|0 /bin/sh -c echo "Hello wrold" > /tmp/newfile'),
    ("RUN_other", "RUN addgroup -S nonroot && adduser -S nonroot"),
    ("RUN_other", "cmd /S /C mkdir C:\\data"),
    ("RUN_other", "/bin/sh -c npm cache clean --force"),
    # Tools that don't follow a Dockerfile
    ("bazel", "bazel build ..."),
    ("bazel", "bazel build //common:rootfs"),
    ("jib", "jib-gradle-plugin:3.3.1"),
    ("jib", "jib"),
    ("ko", "ko build ko://github.com/kyverno/kyverno/cmd/kyverno"),
    ("apko", "apko"),
    ("buildpacks", "Layer: 'jre', Created by buildpack: bellsoft/buildpacks/liberica@1.1.0"),
    ("buildpacks", "Buildpacks Application Launcher"),
    ("buildpacks", "Application Layer"),
    ("buildpacks", "Software Bill-of-Materials"),
    ("commit", "/bin/bash"),
    ("commit", "sh"),
    ("commit", "powershell.exe"),
    ("other", "nginx -g daemon off;"),
    ("other", "buildkit.exporter.image.v0"),
    ("other", "COPYING"),
]


def word(created_by: str | bytes, comment: str = "", *, is_first: bool = False) -> str:
    """Return the word of the kind of a step."""
    text = created_by.encode() if isinstance(created_by, str) else created_by
    return list(STEP_KINDS)[step_kind(text, comment.encode(), is_first)]


@pytest.mark.parametrize(("kind", "line"), REAL)
def test_lines_of_real_configs_have_their_kind(kind: str, line: str) -> None:
    assert word(line, "buildkit.dockerfile.v0", is_first=kind == "base") == kind


def test_only_the_lowest_layer_is_a_base_by_its_destination() -> None:
    assert word("ADD app.tar / # buildkit", is_first=True) == "base"
    assert word("ADD app.tar / # buildkit") == "ADD"
    assert word("COPY hello /", is_first=True) == "COPY"
    assert word("ADD app.tar /opt/ # buildkit", is_first=True) == "ADD"


def test_comments_tell_the_kind_where_nothing_else_does() -> None:
    assert word("", "Imported from -") == "base"
    assert word("", "store paths: ['/nix/store/0c-hello-2.12']") == "nix"
    assert word("", f"merge sha256:{HASH} to sha256:{HASH}") == "squash"
    assert word("", "a remark") == "other"


def test_a_step_that_says_nothing_counts_as_no_history() -> None:
    assert word("") == word(" \n", "\t") == "no_history"


def test_what_lies_beyond_the_bytes_that_are_looked_at_does_not_count() -> None:
    begin = "RUN /bin/sh -c "
    room = TEXT_BYTES - len(begin) - len("make")
    assert word(begin + " " * room + "make") == "RUN_make"
    assert word(begin + ";" * room + " make") == "RUN_other"


def test_every_kind_but_the_last_ones_has_a_rule_and_no_rule_another_kind() -> None:
    kinds = [rule.kind for rule in RULES]
    assert [*dict.fromkeys(kinds), "other", "no_history"] == list(STEP_KINDS)
    assert {rule.looks_at for rule in RULES} == {"text", "first", "comment", "command"}
    assert all(rule.pattern and len(kind) <= 32 for rule, kind in zip(RULES, kinds, strict=True))


HOSTILE = ("a", " ", "\n", "/", ";", "--a ", "-c ", "rootfs", "a=b ", "'", "sh ", "/ ", "\xff")
STARTS = ("", "ADD", "COPY ", "RUN ", "python3 ")


@pytest.mark.parametrize("piece", HOSTILE)
def test_long_texts_of_one_piece_are_no_trouble(piece: str) -> None:
    for start in STARTS:
        text = (start + piece * TEXT_BYTES)[: 2 * TEXT_BYTES]
        assert word(text, text, is_first=True) in STEP_KINDS


def test_random_bytes_have_some_kind() -> None:
    numbers = random.Random(7)
    for _ in range(200):
        assert word(numbers.randbytes(numbers.randrange(300)), is_first=True) in STEP_KINDS
