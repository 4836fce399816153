"""Command lines and listings of both engines, and what podman needs on a machine that refuses things."""

from __future__ import annotations

import json
import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from itb.config.settings import Settings
from itb.containers import connection as module
from itb.containers import naming
from itb.containers.connection import connect, podman_env
from itb.containers.description import container_name, labels_of, privileges_of
from itb.containers.engine import Engine
from itb.errors import TestbedError
from itb.machine import doctor
from itb.machine.requirements import Level
from itb.platforms import images
from itb.process import retry
from itb.process.request import Request
from itb.process.result import Completed
from itb.process.runner import Runner

A, B, C = "itb-0a1b2c3d-ce", "itb-deb13-0a1b2c3d-root", "itb-11111111-ce"


class Door(Runner):
    """A runner that starts nothing: it remembers command lines and answers by their beginning."""

    def __init__(self, **answers: str) -> None:
        super().__init__()
        self.seen: list[list[str]] = []
        self.answers = answers

    def run(self, request: Request) -> Completed:
        self.seen.append(list(request.argv))
        words = "_".join(request.argv[1:3]).replace("-", "")
        answer = next((text for key, text in self.answers.items() if words.startswith(key)), "")
        return Completed(
            tuple(request.argv), 1 if answer == "fail" else 0, "" if answer == "fail" else answer, "", 0.1
        )


def test_container_that_reads_what_a_candidate_made_is_limited_and_leaves_no_log() -> None:
    """A package may take any memory to be read; an engine may log to the machine's journal."""
    door = Door()
    engine = Engine(door)
    engine.controllers = frozenset({"memory"})
    engine.run_once("i", Request(["rpm"]), labels={}, scratch=f"/srv/x:size={1 << 30}")
    engine.run_beside("c", "i", Request(["look"]), labels={})
    for argv, size in zip(door.seen, (5 << 30, 4 << 30), strict=True):
        line = " ".join(argv)
        assert f"--memory {size}b --memory-swap {size}b " in line
        assert " --log-driver none " in line
    engine.controllers = frozenset()
    engine.run_once("i", Request(["rpm"]), labels={})
    assert "--memory" not in door.seen[-1]


def test_exec_command_line() -> None:
    engine = Engine(Door())
    request = Request(["ls", "-l"], user="u", env={"A": "b c"}, cwd="/x")
    inside = engine.exec_request("c", request, interactive=True, tty=True)
    assert (inside.user, inside.cwd, inside.env) == ("", "", {})
    assert inside.argv == (
        "exec",
        "--interactive",
        "--tty",
        "--user",
        "u",
        "--workdir",
        "/x",
        "--env",
        "A=b c",
        "c",
        "ls",
        "-l",
    )
    assert engine.exec_request("c", Request(["ls"])).argv == ("exec", "c", "ls")
    assert engine.exec_request("c", Request(["cat"], input=b"x")).argv == ("exec", "--interactive", "c", "cat")


def test_calls_are_counted() -> None:
    door = Door()
    engine = Engine(door, "podman", env={"CONTAINERS_CONF": "x"})
    engine.call("ps")
    assert (engine.calls, door.seen) == (1, [["podman", "ps"]])


@pytest.mark.parametrize(
    ("program", "is_podman"), [("podman", True), ("/opt/podman-5", True), ("docker", False)]
)
def test_which_engine(program: str, is_podman: bool) -> None:
    assert Engine(Door(), program).is_podman is is_podman


def test_listings_of_both() -> None:
    labels = {"itb.run": "r", "itb.role": "ce"}
    strangers = [{"Names": [B], "Labels": None}, {"Names": [C], "Labels": {"itb.run": "s", "itb.role": "ce"}}]
    door = Door(ps=json.dumps([{"Names": [A], "Labels": labels}, *strangers]))
    found = Engine(door).containers({"itb.run": "r", "itb.role": ""})
    assert [container_name(item) for item in found] == [A], "podman's own filter is not to be relied on"
    assert labels_of(found[0]) == labels
    assert door.seen[0][1:] == [
        "ps", "--all", "--filter", "label=itb.run", "--filter", "label=itb.role", "--format", "json"
    ]  # fmt: skip
    docker = Door(ps=f'{{"Names": "/{A}", "Labels": "itb.run=r,itb.role=ce"}}\n{{"Names": "{B}", "Labels": ""}}\n')
    found = Engine(docker, "docker").containers({"itb.run": "r"})
    assert docker.seen[0][1:] == ["ps", "--all", "--filter", "label=itb.run=r", "--format", "{{json .}}"]
    assert [container_name(item) for item in found] == [A, B]
    assert labels_of(found[0]) == {"itb.run": "r", "itb.role": "ce"}
    assert Engine(Door(ps="")).containers({}) == []
    assert Engine(Door(ps="null")).containers({}) == []


def test_removal_is_of_what_has_the_labels() -> None:
    labels = {"labels": {"itb.run": "r"}}
    container, network = {"Names": [A], **labels}, {"name": B, **labels}
    door = Door(ps=json.dumps([container]), network_ls=json.dumps([network]), volume_ls="[]")
    assert Engine(door).remove_labelled({"itb.run": "r"}) == [f"container {A}", f"network {B}"]
    removals = [line[1:] for line in door.seen if "rm" in line[1:3]]
    assert removals == [["rm", "--force", "--time", "0", "--volumes", A], ["network", "rm", B]]


@pytest.mark.parametrize("program", ["podman", "docker"])
@pytest.mark.parametrize("name", ["sleepy_hopper", "itb", "itb-mine", "my-itb-0a1b2c3d-ce", "itb-0a1b2c3", ""])
def test_what_has_labels_of_an_image_is_not_itbs(program: str, name: str) -> None:
    """A container inherits the labels of its image, and somebody may have committed that from a host."""
    labels: Any = {"itb.run": "r"} if program == "podman" else "itb.run=r"
    items = [{"Names": [name], "Labels": labels}, {"Names": [A], "Labels": labels}]
    listed = json.dumps(items) if program == "podman" else "\n".join(map(json.dumps, items))
    engine = Engine(Door(ps=listed, network_ls="", volume_ls=""), program)
    assert [container_name(item) for item in engine.containers({"itb.run": "r"})] == [A]
    assert [container_name(item) for item in engine.containers({"itb.run": "r"}, foreign=True)] == [name]
    assert engine.remove_labelled({"itb.run": "r"}) == [f"container {A}"]


def test_removal_names_what_stays() -> None:
    door = Door(ps=f'[{{"Names": ["{A}"], "Labels": {{"itb.run": "r"}}}}]', rm_force="fail")
    with pytest.raises(TestbedError, match=f"container {A} cannot be removed") as raised:
        Engine(door).remove_labelled({"itb.run": "r"})
    assert raised.value.conclusive, "that other hosts are gone by then is not its cause"


@pytest.mark.parametrize(
    "said",
    [
        [{"subnets": [{"subnet": "fd00::/64"}, {"subnet": "10.89.3.0/24"}]}],
        [{"IPAM": {"Config": [{"Subnet": "10.89.3.0/24"}]}}],
    ],
)
def test_subnet_of_a_network(said: list[Any]) -> None:
    door = Door(network_inspect=json.dumps(said))
    assert Engine(door).create_network("n", {"a": "b"}) == "10.89.3.0/24"
    assert door.seen[0][1:] == ["network", "create", "--label", "a=b", "n"]
    with pytest.raises(TestbedError, match="network n: the engine gave it no IPv4 subnet"):
        Engine(Door(network_inspect="[{}]")).create_network("n", {})


def test_engine_that_is_missing_or_silent(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(TestbedError, match="'no-such-engine' is not installed") as caught:
        connect(Door(), "no-such-engine", tmp_path)
    assert "install podman" in caught.value.hint
    monkeypatch.setattr("shutil.which", lambda name: f"/bin/{name}")
    with pytest.raises(TestbedError, match="does not answer"):
        connect(Door(info="fail"), "podman", tmp_path)
    with pytest.raises(TestbedError, match="does not answer"):
        connect(Door(info='{"ServerErrors": ["no daemon"]}'), "docker", tmp_path)


NONSENSE = ["hello garbage", '"text"', "[1, 2]", "{", "[{}", "warning: x\\n[]"]


@pytest.mark.parametrize("said", NONSENSE)
def test_engine_that_answers_nonsense(said: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: list[tuple[str, Callable[[Engine], object]]] = [
        ("ps --all", lambda engine: engine.containers(naming.any_run())),
        ("network ls", lambda engine: engine.networks(naming.any_run())),
        ("container inspect", lambda engine: engine.inspect("c")),
        ("container inspect", lambda engine: engine.inspect_all(["c"])),
        ("network inspect", lambda engine: engine.create_network("n", {})),
        ("image inspect", lambda engine: images.find(engine, "deb13", "k")),
        ("image inspect", images.find_sets),
    ]
    for program in ("podman", "docker"):
        for words, ask in asked:
            engine = Engine(Door(ps=said, network=said, container=said, image=said, images="id"), program)
            with pytest.raises(TestbedError, match=f"'{program}' answers {words} with what itb cannot") as caught:
                ask(engine)
            assert caught.value.hint.startswith("itb doctor")
    monkeypatch.setattr("shutil.which", lambda name: f"/bin/{name}")
    with pytest.raises(TestbedError, match="answers info --format with what itb cannot read: "):
        connect(Door(info=said), "podman", tmp_path)


def test_doctor_finds_an_engine_that_answers_nonsense(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(doctor, "connect", lambda *_: Engine(Door(info="{}", ps="hello", images="x", image="y")))
    monkeypatch.setattr("itb.machine.network.examine", lambda *_, **__: ())
    found = doctor.examine(Settings(runs=str(tmp_path), cache=str(tmp_path)))
    bad = [item for item in found if (item.level, item.name) == (Level.BAD, "engine")]
    said = {item.observation.partition(" with ")[0] for item in bad}
    assert said >= {f"container engine 'podman' answers {words}" for words in ("ps --all", "image inspect")}


def test_answer_that_lacks_what_it_should_have() -> None:
    found = Engine(Door(ps=f'[{{"Names": ["{A}"], "Labels": {{"itb.run": "r"}}}}]')).containers({"itb.run": "r"})
    with pytest.raises(TestbedError, match=r"answers ps --all with what itb cannot read \(no 'State'\)"):
        found[0]["State"]
    with pytest.raises(TestbedError, match="answers container inspect with"):
        Engine(Door(container_inspect="[{}]")).inspect_all(["a", "b"])


@pytest.mark.parametrize(
    ("stderr", "is_transient"),
    [
        ("Error: database is locked", True),
        ("Error: no such container", False),
        (
            "Error: cannot remove container 82 as it could not be stopped: given PIDs did not die within timeout",
            True,
        ),
        (
            'Error: retrieving size of image "7d09": you may need to remove the image to resolve the error: '
            'locating image with ID "7d09": image not known',
            True,
        ),
        (
            'Error: checking if image "7d09" is dangling: locating item named "manifest" for image with ID "3740" '
            "(consider removing the image to resolve the issue): file does not exist",
            True,
        ),
    ],
)
def test_errors_of_contention_are_tried_again(
    stderr: str, *, is_transient: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Failing(Runner):
        def run(self, request: Request) -> Completed:
            return Completed(tuple(request.argv), 125, "", stderr, 0.1)

    runner = Failing(retries=1)
    monkeypatch.setattr(runner.stop.event, "wait", lambda _: True)
    with retry.collect_causes() as causes:
        Engine(runner).run(Request(["ps"], check=False))
    assert causes == ([f"ps: {stderr}"] if is_transient else [])


Machine = Callable[..., None]


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    """Pretend to be on a machine: its limits, what exists on it, which programs."""

    def pretend(*paths: str, nofile: int = 20000, raises: bool = False, programs: str = "") -> None:
        monkeypatch.delenv("CONTAINERS_CONF", raising=False)
        monkeypatch.setattr(module, "may_raise_limits", lambda: raises)
        monkeypatch.setattr(resource, "getrlimit", lambda _: (nofile, nofile))
        real = Path.exists
        known = ("/proc/self/status", *paths)

        def there(path: Path) -> bool:
            return str(path) in known if str(path).startswith(("/proc", "/sys", "/run")) else real(path)

        monkeypatch.setattr(Path, "exists", there)
        monkeypatch.setattr("shutil.which", lambda name: name if name in programs.split() else None)

    return pretend


def test_machine_that_refuses_everything(machine: Machine, tmp_path: Path) -> None:
    machine(programs="runc")
    path = Path(podman_env(tmp_path)["CONTAINERS_CONF"])
    assert path.read_text() == (
        '# Made by itb for what this machine refuses.\n[containers]\ndefault_ulimits = ["nofile=20000:20000", '
        '"nproc=4096:4096"]\n[engine]\nruntime = "runc"\ncgroup_manager = "cgroupfs"\nevents_logger = "file"\n'
    )
    before = path.stat().st_mtime_ns
    podman_env(tmp_path)
    assert path.stat().st_mtime_ns == before, "written once"


def test_process_with_other_limits_changes_nothing_under_a_running_one(machine: Machine, tmp_path: Path) -> None:
    machine(programs="runc")
    (tmp_path / "containers.conf").write_text("of an older itb\n")
    path = Path(podman_env(tmp_path)["CONTAINERS_CONF"])
    text = path.read_text()
    machine(programs="runc", nofile=100)
    other = Path(podman_env(tmp_path)["CONTAINERS_CONF"])
    assert "nofile=100:100" in other.read_text()
    assert (path.read_text(), other.parent) == (text, path.parent)
    assert (tmp_path / "containers.conf").read_text() == "of an older itb\n"


def test_machine_with_control_groups_of_version_1(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hook of the runtime keeps hosts from the machine's own, where they could write to these."""
    machine("/sys/fs/cgroup/systemd", programs="runc")
    for user, is_there in ((0, True), (1000, False)):
        monkeypatch.setattr("os.geteuid", lambda user=user: user)
        text = Path(podman_env(tmp_path)["CONTAINERS_CONF"]).read_text()
        assert ("hooks_dir" in text) is is_there


def test_machine_that_refuses_nothing(machine: Machine, tmp_path: Path) -> None:
    machine("/sys/fs/cgroup/cgroup.controllers", "/run/systemd/system", raises=True, programs="runc crun")
    assert podman_env(tmp_path) == {}
    assert not list(tmp_path.iterdir())


def test_the_users_own_configuration_stays(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine()
    monkeypatch.setenv("CONTAINERS_CONF", "/mine")
    assert podman_env(tmp_path) == {}


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ({"EffectiveCaps": ["CAP_KILL", "CAP_CHOWN"]}, "not privileged; 2 capabilities (CHOWN KILL)"),
        (
            {"EffectiveCaps": [], "HostConfig": {"Privileged": True, "SecurityOpt": ["a=b"], "PidMode": "host"}},
            "PRIVILEGED; no capabilities; security options a=b; the machine's Pid namespace",
        ),
        (
            {"HostConfig": {"CapAdd": ["SYS_ADMIN"], "Devices": [{"PathOnHost": "/dev/fuse"}]},
             "Mounts": [{"Type": "bind", "Source": "/"}, {"Type": "volume", "Source": "/v"}]},
            "not privileged; capabilities beyond the engine's own: SYS_ADMIN; devices /dev/fuse; "
            "the machine's folders /",
        ),
    ],
)  # fmt: skip
def test_privileges_are_said_as_the_engine_tells_them(told: dict[str, object], said: str) -> None:
    assert privileges_of(told) == said


def test_a_secret_value_reaches_a_container_by_the_name_of_its_variable() -> None:
    """A mirror's password is in no command line."""
    mirror = "http://someone:planted-1@mirror.example.org/"
    env = {"ITB_MIRROR": mirror, "PLAIN": "x"}
    engine = Engine(Runner())
    inside = engine.exec_request("c", Request(["x"], env=env))
    assert inside.argv == ("exec", "--env", "ITB_MIRROR", "--env", "PLAIN=x", "c", "x")
    assert inside.env == {"ITB_MIRROR": mirror}
