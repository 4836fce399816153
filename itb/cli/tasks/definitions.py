"""Definitions of one's own: products, scenarios, token hooks and platforms out of templates; their schemas."""

from __future__ import annotations

from itb.cli.declaration import Flags, argument, command, option
from itb.config.option import Heading, Option


def _name(kind: str) -> Option:
    return argument(
        "name",
        f"name of the {kind}, written to the first folder of the setting {kind}s, else to {kind}s/ here, "
        "which itb.yaml here then names; or a path (./NAME)",
    )


@command(_name("product"), example="itb new product hello", name="product")
def new_product(flags: Flags, *, name: str) -> None:
    """Write a product that works at once: source, build command, service and scenario.

    Then: itb run --product NAME.  Comments say what to change for yours;
    itb help products explains every key.
    """
    from itb.cli.commands import definitions

    definitions.new("product", name, flags)


@command(_name("scenario"), "product", example="itb new scenario mine --product pocketwms", name="scenario")
def new_scenario(flags: Flags, *, name: str) -> None:
    """Write a scenario that works at once, on a role of the product.

    Then: itb run --product NAME --scenario NAME.  itb help scenarios
    explains every key.
    """
    from itb.cli.commands import definitions

    definitions.new("scenario", name, flags)


@command(_name("hook"), example="itb new hook mine", name="hook")
def new_hook(flags: Flags, *, name: str) -> None:
    """Write a token hook, a script to be completed.

    Then: itb token try NAME.  itb help tokens has the protocol.
    """
    from itb.cli.commands import definitions

    definitions.new("hook", name, flags)


@command(
    _name("platform"),
    option("like", "the platform to copy", "deb13", value="NAME", heading=Heading.ACTION),
    example="itb new platform mine --like el9",
    name="platform",
)
def new_platform(flags: Flags, *, name: str, like: str) -> None:
    """Write a platform that works at once: another one, to be changed.

    Then: itb platform build NAME.  itb help products explains every key.
    """
    from itb.cli.commands import definitions

    definitions.new("platform", name, flags, like=like)


@command(
    argument("name", "product, scenario, platform, itb (itb.yaml), history or side-effects"),
    example="itb schema scenario",
)
def schema(_: Flags, *, name: str) -> None:
    """Print the JSON schema of a YAML file, by which editors complete and check it.

    itb new writes it beside what it makes.  For another file, put the schema
    beside it (itb schema scenario >scenario.schema.json) and make this the
    file's first line: # yaml-language-server: $schema=scenario.schema.json
    """
    from itb.cli.commands import definitions

    definitions.print_schema(name)
