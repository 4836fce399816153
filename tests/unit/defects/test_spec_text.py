"""Changes of a spec file are where they have to be, whatever a section is called."""

from __future__ import annotations

import pytest

from itb.defects.spec_text import SpecText

SPEC = SpecText("""\
Name:           pw
Requires:       condor >= 9.0
%package libs
Summary:        Libraries
%install
install -D a %{buildroot}/usr/bin/a
%post
echo main
%post -n other
echo other
%postun libs -p /sbin/ldconfig
%files
/usr/bin/a
%files libs
%changelog
""")


def lines(spec: SpecText | None) -> list[str]:
    assert spec is not None
    return spec.text.splitlines()


@pytest.mark.parametrize(("package", "after"), [("pw", "%post"), ("other", "%post -n other")])
def test_script_of_a_package_gets_lines_at_its_beginning(package: str, after: str) -> None:
    changed = lines(SPEC.in_script("post", package, "exit 1"))
    assert changed[changed.index("exit 1") - 1] == after
    assert [line for line in changed if line != "exit 1"] == lines(SPEC)


def test_package_without_a_script_gets_one() -> None:
    changed = lines(SPEC.in_script("preun", "pw-libs", "exit 1"))
    place = changed.index("%preun -n pw-libs")
    assert changed[place : place + 4] == ["%preun -n pw-libs", "exit 1", "", "%files"]


def test_script_that_is_no_shell_script_is_left() -> None:
    assert SPEC.in_script("postun", "pw-libs", "exit 1") is None


def test_commands_run_as_the_installation_ends() -> None:
    changed = lines(SPEC.after_install("rm a"))
    place = changed.index("%install")
    assert changed[place + 1 : place + 5] == ["itb_defect() {", "rm a", "}", "trap itb_defect EXIT"]
    assert SpecText("Name: a\n%files\n").after_install("rm a") is None


def test_replaces_what_a_pattern_matches() -> None:
    assert "Requires" not in "".join(lines(SPEC.replaced(r"^Requires:.*\n", "")))
    assert SPEC.replaced("nowhere", "") is None


def test_place_is_in_a_package() -> None:
    places = {word: SPEC.package_at(SPEC.text.index(word)) for word in ("Requires", "Summary", "echo other")}
    assert places == {"Requires": "pw", "Summary": "pw-libs", "echo other": "other"}
