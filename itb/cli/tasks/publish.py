"""Handing on what a run has built and tested."""

from __future__ import annotations

from itb.cli.declaration import Flags, command, option
from itb.config.options import RUN


@command(
    option("to", "directory, HOST:PATH or USER@HOST:PATH that is or becomes a YUM repository", value="PLACE"),
    option("sign_key", "sign with this key of your gpg keyring", value="KEY", unset="as the run signed them"),
    option("koji", "hand the SRPM to Koji, as publish: {koji: ...} in itb.yaml says", False),
    option("target", "with --koji: what Koji builds for, such as osg-24-main-el9"),
    option("tag", "with --koji and osg-build: the tag the build goes to"),
    option("scratch", "with --koji: a build that stays, no scratch build", True),
    option("force", "publish a run that is not green", False),
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
    **where: str | bool,
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

    commands_publish.run({**where, **flags}, run, koji=koji, dry_run=dry_run, force=force)
