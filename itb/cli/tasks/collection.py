"""The list of all commands; a task imports what only it needs, for the speed of ``itb --help``."""

from __future__ import annotations

from itb.cli.declaration import CommandGroup, Commands, HelpSection
from itb.cli.tasks import definitions, inspect, publish, run
from itb.cli.tasks import platform as tasks_platform
from itb.cli.tasks import token as tasks_token


def namespace() -> Commands:
    """Return all commands, grouped by what people do with them."""
    token = CommandGroup(
        "token", "Tokens: acquire for a run; outside of one: get, check, try, hooks.",
        run.acquire, tasks_token.get, tasks_token.check, tasks_token.hooks, tasks_token.try_,
    )  # fmt: skip
    platform = CommandGroup(
        "platform", "Manage images of platforms: list, show, build, remove.",
        tasks_platform.list_, tasks_platform.show, tasks_platform.build, tasks_platform.remove,
    )  # fmt: skip
    new = CommandGroup(
        "new", "Write a product, scenario, token hook or platform to start from.",
        definitions.new_product, definitions.new_scenario, definitions.new_hook, definitions.new_platform,
    )  # fmt: skip
    show = CommandGroup(
        "show", "Show a run, the configuration or a product: run, config, product.",
        inspect.show_run, inspect.show_config, inspect.show_product, default_command=inspect.show_run,
    )  # fmt: skip
    return Commands(
        HelpSection("Validate a release", (run.run, inspect.refs, publish.publish)),
        HelpSection(
            "One phase of a run at a time",
            (
                run.build, run.serve, run.up, run.install, token,
                run.try_scenarios, run.report, run.down,
            ),
            names_only=True,
        ),
        HelpSection("Look at runs", (inspect.list_, show, inspect.logs, inspect.shell)),
        HelpSection("This machine", (inspect.doctor, inspect.status, inspect.clean, inspect.version)),
        HelpSection("Platforms and tokens", (platform, token)),
        HelpSection(
            "Write a product, scenario, hook or platform", (new, definitions.schema, run.defects), names_only=True
        ),
    )
