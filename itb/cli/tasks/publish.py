"""Handing on what a run has built and tested."""

from __future__ import annotations

from itb.cli.declaration import Flags, command, option
from itb.config.option import fields
from itb.config.options import RUN, DeclaredKoji, DeclaredPublish

_PUBLISH, _KOJI = fields(DeclaredPublish), fields(DeclaredKoji)


@command(
    _PUBLISH["to"],
    _PUBLISH["sign_key"],
    option("koji", "hand the SRPM to Koji, as publish: {koji: ...} in itb.yaml says", False),
    _KOJI["target"],
    _KOJI["tag"],
    _KOJI["scratch"],
    option("force", "publish a run that is not green", False),
    option("copied", "publish a run directory that was not made here by you, if you trust what it says", False),
    option("dry_run", "print what would be done, and do nothing", False),
    RUN,
    "runs",
    "engine",
    example="itb publish RUN --to user@host:/srv/yum --dry-run",
)
def publish(
    flags: Flags,
    *,
    run: str,
    koji: bool,
    dry_run: bool,
    force: bool,
    copied: bool,
    **nested: str | bool,
) -> None:
    """Publish a green run: RPMs to a YUM repository, its SRPM to Koji.

    --to copies the signed RPMs and the SRPM to a directory, here or behind
    ssh, adds the public key (RPM-GPG-KEY-itb) and exchanges the index at
    once; what is there already is never replaced by another content.  Users
    of the directory set gpgcheck=1 and gpgkey to that file; itb run
    --from-repo DIRECTORY tries it.  Release managers sign with a key of
    their own (--sign-key); the run's own key is gone with its hosts.
    """
    from itb.cli.commands import publish as commands_publish

    commands_publish.run({**nested, **flags}, run, koji=koji, dry_run=dry_run, force=force, copied=copied)
