"""The command line: short commands; each imports what only it needs."""

from __future__ import annotations

from itb.command import Commands, Group, Section
from itb.tasks import looking, platforms, publishing, runs, tokens


def namespace() -> Commands:
    """All commands, grouped by what people do with them."""
    token = Group(
        "token", "Go on with a run's token, or outside of one: get, check, try, hooks.",
        runs.acquire, tokens.get, tokens.check, tokens.hooks, tokens.try_,
    )  # fmt: skip
    platform = Group(
        "platform", "Manage images of platforms: list, show, build, remove.",
        platforms.list_, platforms.show, platforms.build, platforms.remove,
    )  # fmt: skip
    show = Group(
        "show", "Print the summary of a run; also show config, show product NAME.",
        looking.show_run, looking.show_config, looking.show_product,
    )  # fmt: skip
    return Commands(
        Section("Validate a release", (runs.run, looking.refs, publishing.publish)),
        Section(
            "One step of a run at a time",
            (
                runs.build, runs.serve, runs.up, runs.install, token,
                runs.try_scenarios, runs.report, runs.down,
            ),
            short=True,
        ),
        Section("Look at runs", (looking.list_, show, looking.logs, looking.shell)),
        Section("This machine", (looking.doctor, looking.status, looking.clean, looking.version)),
        Section("Platforms and tokens", (platform, token)),
    )
