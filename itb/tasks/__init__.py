"""The command line: short Invoke tasks; each imports what only it needs."""

from __future__ import annotations

from invoke import Collection

from itb.tasks import looking, platforms, publishing, runs, tokens


def namespace() -> Collection:
    """All tasks; groups (``platform``, ``token``, ``show``) are collections of their own."""
    top = Collection(
        runs.run,
        runs.build,
        runs.serve,
        runs.up,
        runs.install,
        runs.try_scenarios,
        runs.report,
        runs.down,
        publishing.publish,
        looking.refs,
        looking.list_,
        looking.status,
        looking.shell,
        looking.logs,
        looking.doctor,
        looking.clean,
        looking.version,
    )
    token = Collection("token")
    token.add_task(runs.acquire, name="acquire", default=True)
    for item in (tokens.get, tokens.check, tokens.hooks, tokens.try_):
        token.add_task(item)
    top.add_collection(token)
    top.add_collection(Collection.from_module(platforms, name="platform"))
    top.add_collection(Collection("show", looking.show_run, looking.show_config, looking.show_product))
    return top
