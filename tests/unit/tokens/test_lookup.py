"""Every token provider that is registered can be found, configured and read about."""

from __future__ import annotations

from pathlib import Path

import pytest

from itb.errors import UsageError
from itb.process.runner import Runner
from itb.tokens import lookup
from itb.tokens.providers.base import ProviderContext

README = Path(lookup.__file__).with_name("README.md")
CONTEXT = ProviderContext(runner=Runner(), options={name: {"nosuch": 1} for name in lookup.PROVIDERS})


@pytest.mark.parametrize("name", lookup.PROVIDERS)
def test_a_provider_describes_itself(name: str) -> None:
    provider_type = lookup.PROVIDERS[name]
    assert provider_type.about
    assert provider_type.__doc__
    (status,) = (status for status in lookup.list_providers(CONTEXT) if status.name == name)
    assert status.about == provider_type.about


@pytest.mark.parametrize("name", lookup.PROVIDERS)
def test_a_provider_refuses_unknown_options(name: str) -> None:
    with pytest.raises(UsageError, match=f"configuration: token.{name}: unknown key 'nosuch'"):
        lookup.find_provider(name, CONTEXT)


@pytest.mark.parametrize("name", lookup.PROVIDERS)
def test_documentation_has_every_provider_and_its_options(name: str) -> None:
    (row,) = (line for line in README.read_text().splitlines() if line.startswith(f"| `{name}`"))
    hidden = {"fault", "program"}  # for itb's own tests
    options = set(lookup.PROVIDERS[name].options_type.model_fields) - hidden
    assert not [option for option in options if f"{option}:" not in row]


def test_a_hook_that_is_no_program_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("text")
    context = ProviderContext(runner=Runner(), hook_dirs=(tmp_path,))
    with pytest.raises(UsageError, match=r"token hook 'mine': .*mine is not executable"):
        lookup.check_hook("mine", context)
    (tmp_path / "mine").chmod(0o755)
    lookup.check_hook("mine", context)
