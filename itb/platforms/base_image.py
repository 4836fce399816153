"""Getting the base image of a platform: it is pulled from a registry, or made from a mirror if that fails."""

from __future__ import annotations

import hashlib
import json
import shutil

from itb.containers import naming
from itb.containers.image_store import ImageStore
from itb.errors import TestbedError, UsageError
from itb.platforms.mirror import download_error
from itb.platforms.stages import REFRESH_HOURS, ImageBuild
from itb.process.request import Request
from itb.process.result import CommandError, Completed
from itb.util import files


def obtain(build: ImageBuild) -> str:
    """Return the id of the base image, from the engine's store, a registry or a mirror."""
    platform, store = build.platform, ImageStore(build.engine)
    method = build.settings.get("base", "auto")
    if method not in ("auto", "registry", "mmdebstrap"):
        message = f"platform {platform.name}: option base: {method!r} is none of auto, registry, mmdebstrap"
        raise UsageError(message)
    name = name_of(build)
    existing = store.find_id(name)
    if existing and platform.base.debian:
        return existing  # the stages update its packages
    if method != "mmdebstrap":
        # An older image of itb's, or an image of this name that a user loaded.
        existing = existing or store.find_id(platform.base.image)
        can_make = method == "auto" and platform.base.debian and shutil.which("mmdebstrap") is not None
        pulled = _pull_image(build, has_alternative=bool(existing or can_make))
        if pulled.ok:
            store.add_name(platform.base.image, name)
            return store.find_id(name)
        if existing:
            return existing
        if method == "registry" or not platform.base.debian:
            raise TestbedError(
                f"platform {platform.name}: image {platform.base.image} cannot be downloaded: {pulled.reason}",
                hint="check the network and the registry's name, or choose a platform that needs none (deb13)",
                evidence=pulled.output,
            )
    return _make_with_mmdebstrap(build, name)


def name_of(build: ImageBuild) -> str:
    """Return the name of the base image in the engine's store."""
    settings = {name: value for name, value in build.settings.items() if name != REFRESH_HOURS}
    text = json.dumps([build.platform.base.model_dump(), settings], sort_keys=True)
    return naming.image_name(build.platform.name, "base", hashlib.sha256(text.encode()).hexdigest()[:16])


def _pull_image(build: ImageBuild, *, has_alternative: bool) -> Completed:
    """Pull the base image.

    ``has_alternative`` says that there is another way to get the image: the
    time limit is short then, and nothing is repeated, because a firewall may
    drop all packets to the registry.
    """
    store, image = ImageStore(build.engine), build.platform.base.image
    build.note(f"base: {image}")
    limit = build.engine.runner.limits("pull-patience" if has_alternative else "pull")

    def pull() -> Completed:
        return store.pull(image, timeout=limit)

    return pull() if has_alternative else build.retry_while_transient("base", pull)


def _make_with_mmdebstrap(build: ImageBuild, name: str) -> str:
    """Make a minimal Debian image from a mirror with mmdebstrap, which needs apt; return its id."""
    if shutil.which("mmdebstrap") is None:
        raise TestbedError(
            f"platform {build.platform.name}: no registry answers and mmdebstrap is not installed",
            hint="install it (apt-get install mmdebstrap) or make a registry reachable",
        )
    settings = build.settings
    mirror, security = settings["mirror"], settings["security"]
    valid = ""
    if settings["date"]:
        mirror = f"http://snapshot.debian.org/archive/debian/{settings['date']}"
        security = f"http://snapshot.debian.org/archive/debian-security/{settings['date']}"
        valid = "[check-valid-until=no] "
    suite = settings["suite"]
    sources = (f"{mirror} {suite}", f"{mirror} {suite}-updates", f"{security} {suite}-security")
    build.note(f"base: mmdebstrap {suite} from {mirror}")
    log = build.logs / "base.log"
    log.unlink(missing_ok=True)
    with files.temporary_folder() as folder:
        folder.chmod(0o711)  # apt's own user, or mmdebstrap's in a namespace, must have access
        tar = folder / "base.tar"

        def make() -> Completed:
            return build.engine.runner.run(Request(
                [
                    *_mount_namespace(build),
                    "mmdebstrap",
                    "--variant=apt",
                    '--aptopt=Acquire::Languages "none"',
                    suite,
                    str(tar),
                    "-",  # the mirrors are read from standard input: a URL may hold a password
                ],
                input="".join(f"deb {valid}{source} main\n" for source in sources).encode(),
                env={"TMPDIR": str(folder)},
                timeout=build.engine.runner.limits("bootstrap"),
                log=log,
                on_line=lambda line: build.note(f"base: {line}"),
                check=False,
            ))

        completed = build.retry_while_transient("base", make)
        if not completed.ok:
            problem = download_error(build.platform.name, settings, completed.output, log=log)
            raise problem or CommandError(completed, about="mmdebstrap")
        limit = build.engine.runner.limits("image-save")
        return ImageStore(build.engine).load_archive(tar, name, platform=build.platform.name, timeout=limit)


def _mount_namespace(build: ImageBuild) -> list[str]:
    """Return the command that runs mmdebstrap in a mount namespace of its own, so that its mounts end with it."""
    unshare = ["unshare", "--mount"]
    return unshare if build.engine.runner.run(Request([*unshare, "true"], check=False)).ok else []
