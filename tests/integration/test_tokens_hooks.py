"""Real programs as hooks: every way they go wrong has a message of its own."""

from __future__ import annotations

import json
import os
import resource
import stat
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from itb.errors import UsageError
from itb.process.result import CommandRecord
from itb.process.runner import Runner
from itb.tokens.acquire import acquire
from itb.tokens.issuer import Issuer
from itb.tokens.lookup import list_providers
from itb.tokens.providers.base import ProviderContext
from itb.tokens.request import AcquireCause, AcquireError, TokenRequest

CE = "ce-workspace.glideinwms.org:9619"
REQUEST = TokenRequest(run_id="r1", ce=CE, audience=CE, deadline_s=20)
MakeHook = Callable[..., Path]


@pytest.fixture
def issuer(tmp_path: Path) -> Issuer:
    return Issuer.create(tmp_path / "issuer")


@pytest.fixture
def hooks(tmp_path: Path) -> Path:
    folder = tmp_path / "hooks"
    folder.mkdir()
    return folder


@pytest.fixture
def context(issuer: Issuer, hooks: Path) -> ProviderContext:
    return ProviderContext(runner=Runner(), issuer=issuer, hook_dirs=(hooks,))


@pytest.fixture
def hook(hooks: Path) -> MakeHook:
    def make(body: str, *, name: str = "mine", mode: int = 0o755, first: str = "#!/bin/sh") -> Path:
        path = hooks / name
        path.write_text(f"{first}\n{body}\n")
        path.chmod(mode)
        return path

    return make


def problem(context: ProviderContext, request: TokenRequest = REQUEST, name: str = "mine") -> AcquireError:
    with pytest.raises(AcquireError) as caught:
        acquire(name, request, context)
    error = caught.value
    assert error.exit_code == 6
    assert "\n" not in error.message
    assert "eyJ" not in error.message + error.evidence + error.hint
    return error


def lives(pid: int) -> bool:
    """A zombie nobody has waited for yet is dead."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def answer(**members: object) -> str:
    return f"printf '%s' '{json.dumps({'version': 1, **members})}'"


def test_a_good_hook_gets_the_request_and_its_token_is_checked(
    context: ProviderContext, hook: MakeHook, issuer: Issuer, tmp_path: Path
) -> None:
    hook(f"cat > {tmp_path}/request; env > {tmp_path}/env; {answer(token=issuer.mint(CE))}")
    token, secret = acquire("mine", REQUEST, context)
    assert token.verified
    assert token.provider == "mine"
    assert secret.reveal().startswith("eyJ")
    asked = json.loads((tmp_path / "request").read_text())
    assert asked["version"] == 1
    assert asked["audience"] == asked["ce"] == CE
    assert asked["scopes"] == ["condor:/READ", "condor:/WRITE"]
    assert 0 < asked["deadline_s"] <= 20
    environment = dict(line.partition("=")[::2] for line in (tmp_path / "env").read_text().splitlines())
    assert environment["ITB_TOKEN_AUDIENCE"] == CE
    assert environment["ITB_TOKEN_SCOPES"] == "condor:/READ condor:/WRITE"


def test_the_environment_is_minimal(
    context: ProviderContext, hook: MakeHook, issuer: Issuer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("BEARER_TOKEN", "BEARER_TOKEN_FILE", "SECRET_OF_MINE", "VAULT_TOKEN"):
        monkeypatch.setenv(name, "planted")
    hook(f"env > {tmp_path}/env; tty > {tmp_path}/tty; pwd > {tmp_path}/pwd; {answer(token=issuer.mint(CE))}")
    acquire("mine", REQUEST, context)
    assert "planted" not in (tmp_path / "env").read_text()
    assert "/dev" not in (tmp_path / "tty").read_text()
    assert not Path((tmp_path / "pwd").read_text().strip()).exists()


def test_the_working_directory_is_private_and_the_group_its_own(
    context: ProviderContext, hook: MakeHook, issuer: Issuer, tmp_path: Path
) -> None:
    hook(
        f"stat -c %a . > {tmp_path}/mode; ps -o pgid= $$ > {tmp_path}/group; {answer(token=issuer.mint(CE))}"
    )
    acquire("mine", REQUEST, context)
    assert (tmp_path / "mode").read_text().strip() == "700"
    assert int((tmp_path / "group").read_text()) != os.getpgrp()


def test_case_1_missing_or_not_executable(context: ProviderContext, hook: MakeHook, hooks: Path) -> None:
    with pytest.raises(UsageError, match="unknown token hook 'mine'"):
        acquire("mine", REQUEST, context)
    assert "does not exist" in problem(context, name=str(hooks / "none")).message
    hook("true", mode=0o644)
    assert "not executable (chmod +x)" in problem(context).message
    hook("true", first="#!/no/such/interpreter")
    assert "interpreter" in problem(context).message
    hook("true", first="no interpreter line")
    assert "Exec format error" in problem(context).message


def noted(file: Path) -> int:
    """How many lines, all of them whole, a hook has written to a file."""
    return file.read_text().count("\n") if file.exists() else 0


def test_case_2_a_hang_while_a_child_holds_the_output(
    context: ProviderContext, hook: MakeHook, tmp_path: Path, limits_start_when: Callable[..., None]
) -> None:
    limits_start_when(lambda: noted(tmp_path / "child") == 1)
    hook(f"sleep 600 & echo $! > {tmp_path}/child; wait")
    began = time.monotonic()
    error = problem(context, REQUEST.model_copy(update={"deadline_s": 1}))
    assert "gave no answer within" in error.message
    assert error.cause is AcquireCause.TEMPORARY
    assert time.monotonic() - began < 60
    assert not lives(int((tmp_path / "child").read_text()))


def test_case_2_a_child_that_left_the_group_keeps_nobody(
    context: ProviderContext, hook: MakeHook, issuer: Issuer, tmp_path: Path
) -> None:
    hook(
        f"setsid sh -c 'echo $$ > {tmp_path}/child; exec sleep 600' & "
        f"until [ -s {tmp_path}/child ]; do sleep 0.05; done; {answer(token=issuer.mint(CE))}"
    )
    began = time.monotonic()
    acquire("mine", REQUEST, context)
    assert time.monotonic() - began < 60
    assert not lives(int((tmp_path / "child").read_text()))


def test_case_2_what_ignores_term_ends_too_and_with_it_all_it_started(
    context: ProviderContext, hook: MakeHook, tmp_path: Path, limits_start_when: Callable[..., None]
) -> None:
    limits_start_when(lambda: noted(tmp_path / "pids") == 4)
    body = f"trap '' TERM; echo $$ >> {tmp_path}/pids; sleep 600 & echo $! >> {tmp_path}/pids"
    hook(f"{body}; setsid sh -c \"{body}; sleep 600\" & while :; do sleep 1; done")
    began = time.monotonic()
    error = problem(context, REQUEST.model_copy(update={"deadline_s": 2}))
    assert "gave no answer within" in error.message
    assert time.monotonic() - began < 60
    pids = [int(pid) for pid in (tmp_path / "pids").read_text().split()]
    assert len(pids) == 4
    assert not [pid for pid in pids if lives(pid)]


def test_case_4_a_gigabyte_is_counted_and_not_kept(context: ProviderContext, hook: MakeHook) -> None:
    hook("head -c 1000000000 /dev/zero", first="#!/bin/sh")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert "wrote 1000000000 bytes" in problem(context, REQUEST.model_copy(update={"deadline_s": 60})).message
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # kilobytes


def test_case_2_endless_output_is_not_kept(context: ProviderContext, hook: MakeHook) -> None:
    hook("yes", first="#!/bin/sh")
    assert "gave no answer" in problem(context, REQUEST.model_copy(update={"deadline_s": 1})).message


def test_case_3_nothing_said(context: ProviderContext, hook: MakeHook) -> None:
    hook("echo; exit 0")
    error = problem(context)
    assert "wrote nothing to standard output" in error.message
    assert error.cause is AcquireCause.HOOK


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("echo hello", "something else than JSON"),
        ('echo \'getting it\'; echo \'{"version": 1, "token": "x"}\'', "something else than JSON"),
        ('echo \'{"version": 1, "token": "x"} done\'', "more than one JSON object"),
        ("echo '{}'; echo '{}'", "more than one JSON object"),
        ('echo \'{"version": 1, "token": "x", "token": "y"}\'', "the key 'token' twice"),
        ("echo '[1]'", "a JSON list"),
        ("echo 'null'", "a JSON null"),
        ("echo '{\"version\": 1}'", "exactly one of token and token_file"),
        ('echo \'{"version": 1, "token": "x", "token_file": "/x"}\'', "exactly one of"),
        ('echo \'{"version": 2, "token": "x"}\'', "version 2; 1 is spoken"),
        ('echo \'{"version": "1", "token": "x"}\'', "another form: version"),
        ('echo \'{"version": 1, "token": "x", "expires": 3}\'', "another form: expires"),
        ('echo \'{"version": 1, "token": 5}\'', "another form: token"),
        ('echo \'{"version": 1, "token_file": "/a\\\\u0000b"}\'', "not a path"),
        ("printf '\\377\\376'", "something else than JSON"),
        ("head -c 70000 /dev/zero | tr '\\0' ' '", "70000 bytes"),
    ],
)
def test_case_4_not_the_one_object(context: ProviderContext, hook: MakeHook, body: str, expected: str) -> None:
    hook(body)
    error = problem(context)
    assert expected in error.message
    assert error.cause is AcquireCause.HOOK


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda text: f"Bearer {text}", "'Bearer'"),
        (lambda text: f'"{text}"', "quotes"),
        (lambda text: f"{text}\n{text}", "2 lines"),
        (lambda _: "", "empty"),
        (lambda _: "\ud800" * 9, "other than ASCII"),
    ],
)
def test_case_5_not_a_bare_token(
    context: ProviderContext, hook: MakeHook, issuer: Issuer, change: Callable[[str], str], expected: str
) -> None:
    hook(answer(token=change(issuer.mint(CE))))
    assert expected in problem(context).message


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ("expired", "expired at"),
        ("soon-expiring", "20 min are needed"),
        ("future", "in the future"),
        ("no-port", "lacks the port"),
        ("wrong-audience", "meant for audience"),
        ("read-only", "does not allow WRITE"),
        ("other-key", "signature does not fit"),
        ("unknown-kid", "not published"),
    ],
)
def test_cases_6_to_11_tokens_a_ce_would_refuse(
    context: ProviderContext, hook: MakeHook, issuer: Issuer, fault: str, expected: str
) -> None:
    hook(answer(token=issuer.mint_faulty(REQUEST, fault)))
    error = problem(context)
    assert error.message.startswith("token from mine: ")
    assert expected in error.message
    assert error.cause is AcquireCause.TOKEN


def test_case_12_a_token_file(context: ProviderContext, hook: MakeHook, issuer: Issuer, tmp_path: Path) -> None:
    path = tmp_path / "bt"
    path.write_text(issuer.mint(CE) + "\n")
    path.chmod(0o600)
    hook(answer(token_file=str(path)))
    assert acquire("mine", REQUEST, context)[0].verified
    path.chmod(0o604)
    assert "open to others (mode 0604" in problem(context).message
    path.chmod(0o600)
    link = tmp_path / "link"
    link.symlink_to(path)
    for name, expected in [
        (str(link), "is a symbolic link"),
        ("bt", "is not an absolute path"),
        (str(tmp_path), "is not a regular file"),
        (str(tmp_path / "none"), "does not exist"),
        ("/dev/zero", "is not a regular file"),
    ]:
        hook(answer(token_file=name))
        assert expected in problem(context).message
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo, 0o600)
    hook(answer(token_file=str(fifo)))
    assert "is not a regular file" in problem(context).message


@pytest.mark.skipif(os.geteuid() != 0, reason="giving a file to another user takes root")
def test_case_12_a_token_file_of_another_owner(
    context: ProviderContext, hook: MakeHook, issuer: Issuer, tmp_path: Path
) -> None:
    path = tmp_path / "bt"
    path.write_text(issuer.mint(CE))
    path.chmod(0o600)
    os.chown(path, 12345, 12345)
    hook(answer(token_file=str(path)))
    assert "belongs to user 12345" in problem(context).message


def test_a_token_file_in_the_hooks_own_directory(context: ProviderContext, hook: MakeHook, issuer: Issuer) -> None:
    hook(
        f'umask 077; printf %s \'{issuer.mint(CE)}\' > t; printf \'{{"version":1,"token_file":"%s/t"}}\' "$PWD"'
    )
    assert acquire("mine", REQUEST, context)[0].verified


@pytest.mark.parametrize(
    ("status", "cause", "expected"),
    [
        (2, AcquireCause.CONFIGURATION, "is not configured: no role"),
        (3, AcquireCause.PERSON, "a person must act: no role"),
        (5, AcquireCause.REFUSED, "the issuer refused: no role"),
        (1, AcquireCause.HOOK, "exit 1, which the protocol does not know: no role"),
        (77, AcquireCause.HOOK, "exit 77"),
    ],
)
def test_exit_codes_by_cause(
    context: ProviderContext, hook: MakeHook, status: int, cause: AcquireCause, expected: str
) -> None:
    hook(f"echo starting >&2; echo 'no role' >&2; exit {status}")
    error = problem(context)
    assert error.cause is cause
    assert expected in error.message
    assert "starting" in error.evidence


def test_a_hook_killed_by_a_signal_is_its_own_fault(context: ProviderContext, hook: MakeHook) -> None:
    hook("kill -SEGV $$")
    assert "signal 11" in problem(context).message


def test_temporary_failures_are_tried_three_times(
    context: ProviderContext, hook: MakeHook, issuer: Issuer, tmp_path: Path
) -> None:
    count = tmp_path / "count"
    hook(f"echo x >> {count}; [ $(wc -l < {count}) -ge 3 ] || exit 4; {answer(token=issuer.mint(CE))}")
    notes: list[str] = []
    acquire("mine", REQUEST, context, note=notes.append)
    assert count.read_text().count("x") == 3
    assert any("trying again in" in note for note in notes)
    count.write_text("")
    hook(f"echo x >> {count}; echo 'vault is sealed' >&2; exit 4")
    error = problem(context)
    assert error.message == "hook mine: cannot get a token for now: vault is sealed (tried 3 times)"
    assert count.read_text().count("x") == 3


def test_no_try_outlives_the_deadline(context: ProviderContext, hook: MakeHook) -> None:
    hook("sleep 1; exit 4")
    began = time.monotonic()
    assert "for now" in problem(context, REQUEST.model_copy(update={"deadline_s": 3})).message
    assert time.monotonic() - began < 4.5


def test_case_15_a_token_on_standard_error_is_seen_nowhere(
    issuer: Issuer, hook: MakeHook, context: ProviderContext, tmp_path: Path
) -> None:
    token = issuer.mint(CE)
    signature = token.rpartition(".")[2]
    commands: list[CommandRecord] = []
    context.runner.record = commands.append
    notes: list[str] = []
    hook(f"echo 'got {token}' >&2; echo 'signature {signature}' >&2; {answer(token=token, extra=1)}")
    error = problem(context)
    hook(f"echo 'got {token}' >&2; echo 'signature {signature}' >&2; {answer(token=token)}")
    record, secret = acquire("mine", REQUEST, context, note=notes.append)
    everything = f"{error!r} {error.evidence} {commands} {notes} {record} {secret}"
    assert token not in everything
    assert signature not in f"{commands} {notes} {record} {secret}"


def test_available_says_what_is_missing(context: ProviderContext, hook: MakeHook, hooks: Path) -> None:
    hook("true", name="good")
    hook("true", name="bad", mode=0o644)
    hook("true", name="local")
    hooks_by_name = {item.path or item.name: item for item in list_providers(context)}
    assert hooks_by_name["local"].usable == ""
    assert "command" in hooks_by_name["command"].usable
    assert hooks_by_name[str(hooks / "good")].usable == ""
    assert hooks_by_name[str(hooks / "bad")].usable == "not executable (chmod +x)"
    assert "comes first" in hooks_by_name[str(hooks / "local")].usable


def test_an_unknown_name_comes_with_the_nearest(context: ProviderContext, hook: MakeHook) -> None:
    hook("true", name="fermilab-vault")
    with pytest.raises(UsageError, match="did you mean 'fermilab-vault'"):
        acquire("fermilab-valt", REQUEST, context)


def test_the_command_provider_is_configured(context: ProviderContext, hook: MakeHook, issuer: Issuer) -> None:
    path = hook(f"[ \"$1\" = 'a b' ] || exit 2; {answer(token=issuer.mint(CE))}")
    options = {"command": {"command": [str(path), "a b"]}}
    configured = ProviderContext(runner=Runner(), issuer=issuer, options=options)
    assert acquire("command", REQUEST, configured)[0].verified
    with pytest.raises(UsageError, match=r"command.*'comand'.*did you mean 'command'"):
        acquire("command", REQUEST, ProviderContext(runner=Runner(), options={"command": {"comand": ["x"]}}))


def test_local_can_be_asked_for_a_bad_token(issuer: Issuer) -> None:
    context = ProviderContext(runner=Runner(), issuer=issuer, options={"local": {"fault": "expired"}})
    assert "expired at" in problem(context, name="local").message


def test_nothing_of_a_hook_stays_on_disk(
    context: ProviderContext, hook: MakeHook, issuer: Issuer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    hook(f"ls -l > {tmp_path}/listing; {answer(token=issuer.mint(CE))}")
    acquire("mine", REQUEST, context)
    assert list(scratch.iterdir()) == []
    assert (tmp_path / "listing").read_text().splitlines()[1].startswith("p")  # a pipe: output is on no disk
    assert stat.S_ISDIR(scratch.stat().st_mode)
