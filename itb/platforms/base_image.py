"""The image a platform's first stage starts from: pulled, or made from a mirror where nothing can be pulled."""

from __future__ import annotations

import hashlib
import json
import shutil

from itb.containers import naming
from itb.errors import TestbedError, UsageError
from itb.platforms.stages import REFRESH_HOURS, Workshop, reference
from itb.process.request import Request
from itb.process.result import CommandError, Completed
from itb.util import files


def obtain(shop: Workshop) -> str:
    """Return the id of the base image, from the engine's store, a registry or a mirror."""
    platform, engine = shop.platform, shop.engine
    way = shop.settings.get("base", "auto")
    if way not in ("auto", "registry", "mmdebstrap"):
        raise UsageError(f"platform {platform.name}: option base: {way!r} is none of auto, registry, mmdebstrap")
    local = name_of(shop)
    there = engine.image_id(local)
    if there and platform.base.debian:
        return there  # stages bring its packages up to date
    if way != "mmdebstrap":
        # An older one of itb's, or one of that name somebody loaded by hand.
        there = there or engine.image_id(platform.base.image)
        can_make = way == "auto" and platform.base.debian and shutil.which("mmdebstrap") is not None
        pulled = _pull(shop, hurried=bool(there or can_make))
        if pulled.ok:
            engine.call("tag", platform.base.image, local)
            return engine.image_id(local)
        if there:
            return there
        if way == "registry" or not platform.base.debian:
            raise TestbedError(
                f"platform {platform.name}: image {platform.base.image} cannot be had: {pulled.reason}",
                hint="check the network and the registry's name, or choose a platform that needs none (deb13)",
                evidence=pulled.output,
            )
    return _debootstrap(shop, local)


def name_of(shop: Workshop) -> str:
    """Name of the base image in the engine's store."""
    settings = {name: value for name, value in shop.settings.items() if name != REFRESH_HOURS}
    text = json.dumps([shop.platform.base.model_dump(), settings], sort_keys=True)
    return reference(shop.platform.name, "base", hashlib.sha256(text.encode()).hexdigest()[:16])


def _pull(shop: Workshop, *, hurried: bool) -> Completed:
    """Pull the base image.

    A firewall may leave the registry unanswered for ever: who is ``hurried``,
    with another way at hand, does not wait for long, nor try again.
    """
    engine, image = shop.engine, shop.platform.base.image
    shop.note(f"base: {image}")
    limit = engine.runner.limits("pull-patience" if hurried else "pull")

    def pull() -> Completed:
        return engine.run(Request(["pull", image], timeout=limit, check=False))

    return pull() if hurried else shop.persist("base", pull)


def _debootstrap(shop: Workshop, local: str) -> str:
    """Make a minimal Debian from a mirror with mmdebstrap, on this machine: Debian or a relative of it."""
    if shutil.which("mmdebstrap") is None:
        raise TestbedError(
            f"platform {shop.platform.name}: no registry answers and mmdebstrap is not installed",
            hint="install it (apt-get install mmdebstrap) or make a registry reachable",
        )
    settings = shop.settings
    mirror, security = settings["mirror"], settings["security"]
    valid = ""
    if settings["date"]:
        mirror = f"http://snapshot.debian.org/archive/debian/{settings['date']}"
        security = f"http://snapshot.debian.org/archive/debian-security/{settings['date']}"
        valid = "[check-valid-until=no] "
    suite = settings["suite"]
    sources = (f"{mirror} {suite}", f"{mirror} {suite}-updates", f"{security} {suite}-security")
    shop.note(f"base: mmdebstrap {suite} from {mirror}")
    log = shop.logs / "base.log"
    log.unlink(missing_ok=True)
    with files.temporary_folder() as folder:
        folder.chmod(0o711)  # apt's own user, or mmdebstrap's in a namespace, has to get through
        tar = folder / "base.tar"

        def make() -> Completed:
            return shop.engine.runner.run(Request(
                [
                    *_namespace(shop),
                    "mmdebstrap",
                    "--variant=apt",
                    '--aptopt=Acquire::Languages "none"',
                    suite,
                    str(tar),
                    "-",  # a mirror's address may hold a password: it is in no command line
                ],
                input="".join(f"deb {valid}{source} main\n" for source in sources).encode(),
                env={"TMPDIR": str(folder)},
                timeout=shop.engine.runner.limits("bootstrap"),
                log=log,
                on_line=lambda line: shop.note(f"base: {line}"),
                check=False,
            ))

        done = shop.persist("base", make)
        if not done.ok:
            raise CommandError(done, about="mmdebstrap")
        labels = ["--change", f"LABEL {naming.image_filter(shop.platform.name)}"]
        limit = shop.engine.runner.limits("image-save")
        shop.engine.run(Request(["import", *labels, str(tar), local], timeout=limit))
    return shop.engine.image_id(local)


def _namespace(shop: Workshop) -> list[str]:
    """What makes the mounts of mmdebstrap go with it: as root it makes them in the machine's own namespace."""
    own = ["unshare", "--mount"]
    return own if shop.engine.runner.run(Request([*own, "true"], check=False)).ok else []
