"""``itb help TOPIC`` and the documentation it shows."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from itb import errors
from itb.cli import arguments as cli_arguments
from itb.cli import documents
from itb.cli.tasks import collection
from itb.config import lookup, settings
from itb.errors import UsageError
from itb.util import yamlfile

TOP = Path(__file__).resolve().parents[3]
COMMANDS = ["run", "token", "platform.build"]


@pytest.mark.parametrize("topic", documents.TOPICS)
def test_every_topic_is_a_document(topic: str) -> None:
    about, _ = documents.TOPICS[topic]
    assert documents.text(topic).startswith("# ")
    assert len(f"    {topic}  {about}") <= 100
    assert f"{topic} " in documents.text("topics")


@pytest.mark.parametrize("width", [80, 60, 40])
def test_the_list_of_topics_fits(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    listed = documents.text("topics")
    assert max(map(len, listed.splitlines())) <= width
    assert {*documents.TOPICS} <= {*listed.split()}


def test_the_table_of_the_overview_has_every_topic() -> None:
    text = (TOP / "README.md").read_text()
    rows = re.findall(r"^\| `(.+?)` \| \[(.+?)\]\((.+?)\) \| (.+?) \|$", text, re.MULTILINE)
    assert {name: about for name, _, _, about in rows} == {
        name: about for name, (about, _) in documents.TOPICS.items() if name != "overview"
    }
    for name, path, link, _ in rows:
        assert path == link
        assert (TOP / path).read_text() == documents.text(name)


def test_every_document_has_a_topic() -> None:
    """A document nobody finds is read by nobody."""
    shown = {documents.text(topic) for topic in documents.TOPICS}
    for path in [TOP / "README.md", *(TOP / "itb").rglob("*.md"), *(TOP / "scenarios").rglob("*.md"),
                 *(TOP / "reports").rglob("*.md"), *(TOP / "build_ws").rglob("*.md"), TOP / "tests" / "README.md"]:
        if "source" not in path.parts:  # a product's own
            assert path.read_text() in shown, path


def test_links_lead_somewhere() -> None:
    """``data/`` of the package has links to documents that lie elsewhere."""
    folders = [TOP / name for name in ("itb", "scenarios", "reports", "build_ws", "tests")]
    below = [path for folder in folders for path in folder.rglob("*.md") if not path.is_symlink()]
    assert len(below) > 10
    for path in [TOP / "README.md", *below]:
        for target in re.findall(r"\]\(([^)#:]+)\)", path.read_text()):
            assert (path.parent / target).exists(), f"{path}: {target}"


def test_the_readme_is_short() -> None:
    assert len((TOP / "README.md").read_bytes()) <= 8192


@pytest.mark.parametrize(
    ("words", "topic"),
    [
        (["help", "tokens"], "tokens"),
        (["help", "topics"], "topics"),
        (["help"], ""),
        (["help", "run"], ""),
        (["help", "token"], ""),
        (["help", "rnu"], ""),
        (["help", "platform", "build"], ""),
        (["help", "--json"], ""),
        (["--help", "tokens"], "tokens"),
        (["-h", "topics"], "topics"),
        (["--help", "run"], ""),
        (["--help"], ""),
        (["help", "nosuch", "more"], ""),
        (["run", "tokens"], ""),
        ([], ""),
    ],
)
def test_what_is_a_topic(words: list[str], topic: str) -> None:
    assert documents.requested_topic(words, COMMANDS) == topic


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("scenaros", "no help on 'scenaros'; did you mean 'scenarios'?"),
        ("qqqq", "no help on 'qqqq'"),
    ],
)
def test_unknown_topics(word: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        documents.requested_topic(["help", word], COMMANDS)
    assert caught.value.message == message
    assert "itb help topics" in caught.value.hint


@pytest.mark.parametrize("word", ["help", "--help"])
def test_one_topic_at_a_time(word: str) -> None:
    with pytest.raises(UsageError) as caught:
        documents.requested_topic([word, "tokens", "more"], COMMANDS)
    assert caught.value.message == "help tokens: 'more' is not expected here"


@pytest.mark.parametrize("pager", ["/nonexistent", "nosuch -x", " "])
def test_a_pager_that_is_not_there(
    pager: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PAGER", pager)
    monkeypatch.delenv("MANPAGER", raising=False)
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    documents.show("reports")
    assert capsys.readouterr().out == documents.text("reports")


def examples(topic: str, word: str) -> list[str]:
    """YAML of a document, of those blocks that have this word."""
    return [text for text in re.findall(r"```yaml\n(.*?)```", documents.text(topic), re.DOTALL) if word in text]


@pytest.mark.parametrize("topic", ["overview", "scenarios"])
def test_scenarios_in_the_documentation_are_accepted(topic: str, tmp_path: Path) -> None:
    (text,) = examples(topic, "steps:")
    (tmp_path / "scenario.yaml").write_text(text)
    (tmp_path / "jobs-completed.sh").touch()
    assert lookup.load_scenario(str(tmp_path)).steps


@pytest.mark.parametrize(("topic", "word"), [("configuration", "product:"), ("repositories", "publish:")])
def test_settings_in_the_documentation_are_accepted(topic: str, word: str) -> None:
    (text,) = examples(topic, word)
    assert yamlfile.loads(text, settings.Settings, where=topic)


def test_every_exit_code_is_explained() -> None:
    listed = set(re.findall(r"^\| (\d+) \|", documents.text("reports"), re.MULTILINE))
    assert listed == {str(code.value) for code in errors.ExitCode}


def test_every_command_is_listed() -> None:
    """With its group: ``platform build|list|show|remove``."""
    listed = documents.text("commands").replace("\\|", " ")
    for name in collection.namespace().task_names:
        assert all(re.search(rf"\b{word}\b", listed) for word in name.split(".")), name


def test_no_topic_has_the_name_of_a_command() -> None:
    assert not set(documents.TOPICS) & {*collection.namespace().task_names, *cli_arguments.GROUPS}


def test_as_written_where_there_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    documents.show("reports")
    assert capsys.readouterr().out == (TOP / "reports" / "README.md").read_text()
