"""Signs the candidate's RPMs with a key of the run and serves them as a YUM repository over HTTPS, by nginx.

All of this happens on the testbed's ``services`` host; the secret key is made
there and disappears with the host.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from itb.containers.archive import Bounds
from itb.containers.host import FileSpec, Host
from itb.errors import UNDECIDED, BuildError, TestbedError
from itb.model import Build, Repo, Rpm, SigningKey
from itb.process.request import Request
from itb.process.result import Completed
from itb.repository import signing_key
from itb.roles import SERVICES
from itb.util.files import sha256, write_atomically
from itb.util.text import lines_of

REPO_ID = "itb-candidate"
REPO_HOST = "repo.glideinwms.org"
TOKEN_HOST = "tokens.glideinwms.org"
ROOT = "/srv/repo"
ISSUER_ROOT = "/srv/issuer"
SIGNED = "rpms"  # folder of the signed packages in a run directory's repo/
_KEY_NAME = "itb run key"
_LONGEST_KEY = 1 << 20  # bytes that gpg and nginx print
_BOUNDS = Bounds(total=4 << 30, file=2 << 30, members=10_000)  # of the packages of one build, signed

_NGINX = f"""
# Written by itb for one run.
worker_processes 2;
pid /run/nginx.pid;
error_log /var/log/nginx/error.log;
events {{ worker_connections 4096; }}
http {{
    include /etc/nginx/mime.types;
    access_log /var/log/nginx/access.log;
    sendfile on;
    # A stalled client must not hold a worker for long.
    client_header_timeout 10s;
    send_timeout 60s;
    ssl_certificate /etc/grid-security/hostcert.pem;
    ssl_certificate_key /etc/grid-security/hostkey.pem;
    ssl_session_cache shared:tls:4m;
    server {{
        listen 443 ssl;
        server_name {REPO_HOST};
        root {ROOT};
        autoindex on;
    }}
    server {{
        listen 443 ssl;
        server_name {TOKEN_HOST};
        root {ISSUER_ROOT};
        default_type application/json;
        location / {{ limit_except GET {{ deny all; }} }}
    }}
}}
"""

# RSA, because el8's rpm knows no elliptic curves; no passphrase, because the
# key lives as long as the run.  The key is imported here, once: two versions
# are signed at the same time, and rpm's database takes one writer only.
_MAKE_KEY = f"""
export GNUPGHOME=/root/.gnupg-itb
install -d -m 700 "$GNUPGHOME"
gpg --batch --quiet --pinentry-mode loopback --passphrase '' \
    --quick-generate-key {shlex.quote(_KEY_NAME)} rsa2048 sign 7d
mkdir -p {ROOT}/candidate
gpg --batch --armor --export {shlex.quote(_KEY_NAME)} > {ROOT}/candidate/RPM-GPG-KEY-itb
rpmkeys --import {ROOT}/candidate/RPM-GPG-KEY-itb
base64 --wrap=0 "$GNUPGHOME"/private-keys-v1.d/*.key
echo
gpg --batch --with-colons --list-keys {shlex.quote(_KEY_NAME)} | awk -F: '$1 == "fpr" {{ print $10; exit }}'
"""

# A package may be made so that the tools that read it run out of memory or time, or crash.
_OR_PACKAGES = f"{UNDECIDED}, or {SERVICES} with its packages"
_NOT_INDEXED = 42  # exit status
_SIGN_AND_INDEX = f"""
export GNUPGHOME=/root/.gnupg-itb
mkdir -p -- "$1"
cd -- "$1"
rm -rf -- *.rpm repodata
mv -- "$1.new"/*.rpm .
rmdir -- "$1.new"
rpmsign --addsign --define '_gpg_name {_KEY_NAME}' -- *.rpm
mkdir -p -- "$1-source"
find . -maxdepth 1 -name '*.src.rpm' -exec mv --target-directory="$1-source" -- {{}} +
createrepo_c --quiet --workers "$(nproc)" . || exit {_NOT_INDEXED}
gpg --batch --yes --local-user {shlex.quote(_KEY_NAME)} --armor --detach-sign repodata/repomd.xml
echo "--- signatures"
rpmkeys --checksig -- *.rpm
"""

# The other repositories of the host exclude the product's packages: if the
# candidate lacks one, the installation must fail and not take it from elsewhere.
_EXCLUDE_ELSEWHERE = """
candidate=$1; excluded=$2
for file in /etc/yum.repos.d/*.repo; do
    [ "$file" = "$candidate" ] && continue
    sed -i -e '/^excludepkgs=/d' -e "s/^\\[.*\\]$/&\\nexcludepkgs=$excluded/" "$file"
done
"""


def prepare(services: Host, issuer_files: Mapping[str, bytes], private: Path) -> SigningKey:
    """Start the web server, make the run's signing key and return it.

    ``issuer_files`` maps paths to the files that the run's token issuer publishes.
    The secret key goes to the file ``private``, for processes that go on with the
    run: no output of theirs may have it.  Raises TestbedError if gpg made no key.
    """
    issuer_specs = [FileSpec(f"{ISSUER_ROOT}/{path}", content) for path, content in issuer_files.items()]
    write_atomically(private, b"", mode=0o600)
    completed = services.put(
        FileSpec("/etc/nginx/nginx.conf", _NGINX.encode()),
        *issuer_specs,
        then=f"nginx -t; systemctl restart nginx; systemctl is-active nginx\n{_MAKE_KEY}",
        request=Request(
            stdout_to=private, stdout_limit=_LONGEST_KEY, about="start the web server and make the signing key"
        ),
    )
    fingerprint = signing_key.remember(private)
    if len(fingerprint) != 40:
        raise TestbedError("host services: gpg made no key", evidence=completed.output)
    return SigningKey(fingerprint=fingerprint)


def sign_and_serve(
    services: Host, build: Build, *, log: Path, key: SigningKey, name: str = "candidate"
) -> Repo:
    """Sign, index and serve the RPMs of a build as repository ``name``; return the repository.

    Checks every signature, and that the repository is served.  Raises BuildError
    if a package cannot be indexed, TestbedError if an RPM has changed since the
    build, or a check fails.
    """
    changed = [rpm.file for rpm in build.rpms if sha256(Path(build.directory) / rpm.file) != rpm.sha256]
    if changed:
        raise TestbedError(
            f"{', '.join(changed)} in {build.directory}: not as built any more (checksum)",
            hint="the disk, or somebody, changed it; build again",
        )
    folder = f"{ROOT}/{name}"
    completed = services.put_into(
        f"{folder}.new",
        *(Path(build.directory) / rpm.file for rpm in _files(build)),
        then=_SIGN_AND_INDEX,
        request=Request([folder], log=log, timeout=services.engine.runner.limits("publish"), check=False),
    )
    if not completed.ok:
        raise _not_indexed(completed, build) or completed.error(
            TestbedError, f"{_OR_PACKAGES}: sign and index the RPMs: {completed.reason}"
        )
    results = completed.stdout.partition("--- signatures")[2].strip().split("\n")
    invalid = [line for line in results if "signatures OK" not in line]
    if invalid or len(results) != len(build.rpms):
        problem = f"{len(invalid)} of {len(build.rpms)} RPMs carry no valid signature: {'; '.join(invalid)[:300]}"
        message = f"{_OR_PACKAGES}: {problem}"
        raise completed.error(TestbedError, message, quoted=invalid[0] if invalid else "")
    url = f"https://{REPO_HOST}/{name}/"
    fetch = ["curl", "--silent", "--show-error", "--fail", f"{url}repodata/repomd.xml.asc"]
    answer = services.run(Request(fetch, check=False))
    if not answer.ok:
        raise TestbedError(f"{url} is not served: {answer.reason}", evidence=answer.output)
    return Repo(
        id=f"itb-{name}",
        url=url,
        key_url=f"https://{REPO_HOST}/candidate/RPM-GPG-KEY-itb",
        key_fingerprint=key.fingerprint,
        packages=len(build.rpms),
    )


def _not_indexed(completed: Completed, build: Build) -> BuildError | None:
    """Return the error of a package that createrepo_c refuses by its name; None if something else went wrong."""
    if completed.returncode != _NOT_INDEXED:
        return None
    names = "|".join(re.escape(rpm.name) for rpm in build.rpms)
    for line in map(str.strip, lines_of(completed.stderr)):
        level = re.search(r"\b(Critical|Error|Warning)\b", line)
        if level and re.search(rf"\s({names})\b", line[level.end() :]):
            break
    else:
        return None
    return completed.error(BuildError, f"a package cannot be put into a repository: {line}", quoted=line)


def _files(build: Build) -> list[Rpm]:
    return [*build.rpms, *([build.source_rpm] if build.source_rpm else [])]


def fetch_signed(services: Host, build: Build, destination: Path, *, name: str = "candidate") -> None:
    """Copy the signed packages, source package included, and the public key to a folder; skip missing files."""
    folder = f"{ROOT}/{name}"
    paths = [f"{folder}/{rpm.file}" for rpm in build.rpms] + [f"{ROOT}/candidate/RPM-GPG-KEY-itb"]
    paths += [f"{folder}-source/{build.source_rpm.file}"] if build.source_rpm else []
    destination.mkdir(parents=True, exist_ok=True)
    services.get_files({path: destination / Path(path).name for path in paths}, _BOUNDS, destination)


def enable(host: Host, repo: Repo, globs: Sequence[str]) -> None:
    """Configure a host to use the candidate's repository, and no other one for packages that match ``globs``."""
    text = _section(repo, "Release candidate under test", "enabled=1\npriority=1")
    if repo.include:
        rest = repo.model_copy(update={"id": f"{repo.id}-rest", "include": ()})
        more = f"enabled=1\npriority={repo.priority}\nexcludepkgs={' '.join(globs)}"
        text += _section(rest, "What is published with the candidate", more)
    file = _repo_file(repo, text)
    about = "exclude the candidate elsewhere"
    host.put(file, then=_EXCLUDE_ELSEWHERE, request=Request([file.path, " ".join(globs)], about=about))


def add_disabled(host: Host, repo: Repo) -> None:
    """Configure a disabled repository on a host, which ``dnf --enablerepo`` uses."""
    host.put(_repo_file(repo, _section(repo, "Previous version", "enabled=0")))


def _repo_file(repo: Repo, text: str) -> FileSpec:
    return FileSpec(f"/etc/yum.repos.d/{repo.id}.repo", text.encode())


def _section(repo: Repo, title: str, more: str) -> str:
    lines = [
        f"[{repo.id}]",
        f"name={title}",
        f"baseurl={repo.url}",
        more,
        f"gpgcheck={repo.gpgcheck:d}",
        f"repo_gpgcheck={repo.repo_gpgcheck:d}",
        "metadata_expire=1",
    ]
    lines += [f"gpgkey={repo.key_url}"] if repo.key_url else []
    lines += [f"includepkgs={' '.join(repo.include)}"] if repo.include else []
    return "\n".join(lines) + "\n\n"
