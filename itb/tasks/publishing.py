"""Handing on what a run has built and tested."""

from __future__ import annotations

from invoke import Context

from itb.tasks.flags import task


@task(
    "run",
    "runs",
    "engine",
    help={
        "to": "directory, HOST:PATH or USER@HOST:PATH that is or becomes a YUM repository",
        "sign-key": "sign with this key of your gpg keyring (default: the packages as signed by the run)",
        "koji": "hand the SRPM to Koji, as publish: {koji: ...} in itb.yaml says",
        "target": "with --koji: what Koji builds for, such as osg-24-main-el9",
        "tag": "with --koji and osg-build: the tag the build goes to",
        "scratch": "with --koji: a scratch build (--no-scratch: one that stays)",
        "force": "publish a run that is not green",
        "dry-run": "print what would be done, and do nothing",
    },
)
def publish(
    c: Context,
    run: str = "",
    to: str = "",
    sign_key: str = "",
    koji: bool = False,
    target: str = "",
    tag: str = "",
    scratch: bool = True,
    force: bool = False,
    dry_run: bool = False,
    runs: str = "",
    engine: str = "",
) -> None:
    """Publish a green run: its RPMs to a YUM repository, its SRPM to Koji.

    --to copies the signed RPMs and the SRPM to a directory, here or behind
    ssh, adds the public key (RPM-GPG-KEY-itb) and exchanges the index at
    once; what is there already is never replaced by another content.  Users
    of the directory set gpgcheck=1 and gpgkey to that file; itb run
    --from-repo DIRECTORY tries it.  Release managers sign with a key of
    their own (--sign-key); the run's own key is gone with its hosts.
    """
    flags = {
        "to": to,
        "sign_key": sign_key,
        "target": target,
        "tag": tag,
        "scratch": scratch,
        "runs": runs,
        "engine": engine,
    }
    from itb import publishing

    publishing.run(flags, run, koji=koji, dry_run=dry_run, force=force)
