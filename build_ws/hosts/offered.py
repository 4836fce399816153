"""Look at a repository with the platform's own dnf.

usage: offered.py list URL GLOB...
       offered.py fetch URL KEYFILE|- NEVRA...

"list" prints the packages whose name matches a glob, one JSON object a line,
newest version first.  "fetch" downloads packages, which dnf compares with the
repository's checksums, and prints for each the SHA-256 of its header and what
rpm says of its signatures when it knows only the key of KEYFILE ("-": none).
What goes wrong with the repository is said in the last line of standard
error, exit status 3.  That may be anything that a server sends: whatever is
done has bounds of memory and of each file's size.  From a server by https nothing is
taken by http, whatever it leads to.  Runs on any host with dnf 4 (Python 3.6 or later).
"""

import fnmatch
import functools
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import urllib.parse
import urllib.request

import dnf
import dnf.exceptions

ID = "itb-published"
CACHE = "/var/cache/itb-published"
MEMORY = 2 << 30  # bytes of address space; metadata of some MB may unpack to any size
FILE = 2 << 30  # bytes of a file that is downloaded
BOUNDS = ((resource.RLIMIT_AS, MEMORY), (resource.RLIMIT_FSIZE, FILE), (resource.RLIMIT_CORE, 0))
NOWHERE = "http://127.0.0.1:9"
TOO_MUCH = f"its metadata does not fit into {MEMORY >> 20} MiB of memory"


def forbid_http(url):
    """Let this process download nothing by http if the URL has https: dnf goes wherever a server leads it.

    libcurl has no other switch that dnf reaches than the proxy, which is not there.
    """
    if not is_https(url):
        return
    bypass = urllib.request.proxy_bypass_environment(urllib.parse.urlsplit(url).hostname)
    names = ["no_proxy", *(["https_proxy", "all_proxy"] if bypass else [])]
    for name in names:
        os.environ.pop(name, None)
        os.environ.pop(name.upper(), None)
    os.environ["http_proxy"] = NOWHERE


def is_https(url):
    """Whether what comes from a URL can be changed by its server only."""
    return url.lower().startswith("https://")


def open_repository(url):
    """Return dnf with this repository and nothing else."""
    base = dnf.Base()
    base.conf.substitutions.update_from_etc("/")
    base.conf.cachedir = CACHE
    base.conf.timeout, base.conf.retries = 15, 2
    repository = base.repos.add_new_repo(ID, base.conf, baseurl=[url])
    repository.skip_if_unavailable = False
    return base


def offered(base, globs):
    """The packages of these names, newest first, as dnf orders them."""
    found = [
        package
        for package in base.sack.query().available().filter(arch__neq=["src", "nosrc"])
        if any(fnmatch.fnmatch(package.name, glob) for glob in globs)
    ]
    found.sort(key=lambda package: package.name)
    return sorted(found, key=functools.cmp_to_key(lambda one, other: other.evr_cmp(one)))


def describe(package):
    """What the metadata says of a package."""
    _, digest = package.chksum or (0, b"")
    return {
        "name": package.name,
        "epoch": int(package.epoch),
        "version": package.version,
        "release": package.release,
        "arch": package.arch,
        "file": package.location.rpartition("/")[2],
        "sha256": digest.hex() if len(digest) == 32 else "",
        "size": package.downloadsize,
        "built": package.buildtime,
    }


def fetch(base, key, nevras):
    """Download packages and look at each with rpm and a keyring of its own."""
    known = {str(package): package for package in base.sack.query().available()}
    base.download_packages([known[nevra] for nevra in nevras])
    with tempfile.TemporaryDirectory() as keyring:
        if key != "-":
            subprocess.run(["rpmkeys", "--dbpath", keyring, "--import", key], check=True)
        for nevra in nevras:
            path = known[nevra].localPkg()
            query = ["rpm", "--dbpath", keyring, "--query", "--package", path, "--queryformat"]
            digest, signer = output([*query, "%{SHA256HEADER}\t%|RSAHEADER?{%{RSAHEADER:pgpsig}}:"
                                     "{%|DSAHEADER?{%{DSAHEADER:pgpsig}}:{}|}|"]).split("\t")  # fmt: skip
            said = output(["rpmkeys", "--dbpath", keyring, "--checksig", path]).strip()
            print(json.dumps({"nevra": nevra, "header": digest, "signer": signer,
                              "said": said.rpartition(": ")[2]}))  # fmt: skip


def output(argv):
    """Standard output of a command whose exit status does not matter."""
    done = subprocess.run(argv, check=False, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    return done.stdout.decode("utf-8", "replace")


def unreachable(url, paths):
    """Why the first file that cannot be had is not there, which dnf hides behind its mirrors; else empty."""
    only = ["--proto-redir", "=https"] if is_https(url) else []
    for path in paths:
        address = url.rstrip("/") + "/" + path
        argv = ["curl", "--silent", "--show-error", "--fail", "--location", "--max-time", "20", "--range", "0-0"]
        done = subprocess.run([*argv, *only, "--", address], check=False, stdout=subprocess.DEVNULL,
                              stderr=subprocess.PIPE)  # fmt: skip
        if done.returncode == 1:  # unsupported protocol
            return f"{address}: the server leads to an address without https, where anybody could change it"
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()
        if said:
            return f"{address}: {said[-1]}"
    return ""


def bounded(work):
    """Do some work in a process of its own, with bounds, and return its exit status: libraries end it at these."""
    pid = os.fork()
    if pid == 0:
        for limit, value in BOUNDS:
            hard = resource.getrlimit(limit)[1]
            lower = value if hard == resource.RLIM_INFINITY else min(value, hard)
            resource.setrlimit(limit, (lower, lower))
        sys.exit(work())
    status = os.waitpid(pid, 0)[1]
    if not os.WIFSIGNALED(status):
        return os.WEXITSTATUS(status)
    print(f"{TOO_MUCH} (signal {os.WTERMSIG(status)})", file=sys.stderr)
    return 3


def main():
    """Do one of the two; exit status 3 with the reason when the repository is at fault."""
    what, url = sys.argv[1:3]
    forbid_http(url)
    base = open_repository(url)
    paths = ["repodata/repomd.xml"]
    try:
        base.fill_sack(load_system_repo=False)
        if what == "list":
            for package in offered(base, sys.argv[3:]):
                print(json.dumps(describe(package)))
        else:
            paths += [package.location for package in base.sack.query() if str(package) in sys.argv[4:]]
            fetch(base, sys.argv[3], sys.argv[4:])
    except (dnf.exceptions.Error, OSError) as error:
        print(unreachable(base.repos[ID].baseurl[0], paths) or " ".join(str(error).split()), file=sys.stderr)
        return 3
    except MemoryError:
        print(TOO_MUCH, file=sys.stderr)
        return 3
    finally:
        if what == "fetch":
            shutil.rmtree(CACHE, ignore_errors=True)
    return 0


sys.exit(bounded(main))
