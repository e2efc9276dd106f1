"""Specs name a teacher: every form of them, those that installed packages bring, and what is said of mistakes."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blindspot.agents.chat import Unavailable
from blindspot.agents.spec import TeacherSpec
from blindspot.storage.errors import SettingsError, TeacherError, Unanswered
from blindspot.storage.settings.file import load_settings
from support.asking import ask
from support.commands import Cli

CODE = """
from blindspot.agents.chat import Reply, ToolUse
from blindspot.storage.errors import Unanswered

class Shout:
    def __init__(self, rest, endpoint):
        self.rest, self.most = rest, endpoint.max_tokens

    async def complete(self, messages, tools=()):
        if self.rest == "crash":
            raise KeyError("oops")
        if self.rest == "decline":
            raise Unanswered("no")
        if self.rest == "text":
            return "WHY?"
        if self.rest == "halves":
            use = ToolUse("u\\ud83d", "n", '{"texts": ["\\ude00"]}')
            return Reply("half \\ud83d", "m", 1, 1, uses=(use,))
        if self.rest == "none":
            return Reply(None, "m", 1, 1)
        return Reply(f"{messages[-1].text.upper()} {self.rest} {self.most}", "shout-1", 1, 1)

    async def aclose(self):
        pass

class Halfway:
    def __init__(self, rest, endpoint):
        if rest == "fail":
            raise RuntimeError("no microphone")
"""


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An installed package that brings teachers: one that works, one that is half done, one that is not there."""
    info = tmp_path / "shouting-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: shouting\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[blindspot.teachers]\nshout = shouting:Shout\nhalfway = shouting:Halfway\ngone = shouting:Gone\n"
    )
    (tmp_path / "shouting.py").write_text(CODE)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "shouting", raising=False)


NAMES = st.text(st.characters(codec="utf-8", exclude_characters="@", exclude_categories=["C", "Z"]), min_size=1)
URLS = st.sampled_from(["", "@http://127.0.0.1:8000/v1", "@https://host/v1"])


@given(st.sampled_from(["openai", "anthropic", "file", "replay"]), NAMES, URLS)
def test_a_spec_that_was_read_is_written_so_that_it_reads_the_same(provider: str, name: str, url: str) -> None:
    spec = TeacherSpec.parse(f"{provider}:{name}{url if provider in ('openai', 'anthropic') else ''}")
    assert TeacherSpec.parse(str(spec)) == spec


def test_paths_of_teachers_begin_at_the_current_folder_and_become_absolute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in").mkdir()
    toml = tmp_path / "in" / "m.toml"
    toml.write_text('[data]\npath = "x"\n[teacher]\nspec = "file:asked"\n[compare]\nteachers = ["replay:a", "rules"]\n')
    assert str(TeacherSpec.parse("file:asked")) == f"file:{tmp_path}/asked"
    settings = load_settings(toml)
    assert settings.teacher.spec == f"file:{tmp_path}/asked"
    assert settings.compare.teachers == (f"replay:{tmp_path}/a", "rules")
    assert load_settings(toml, ["teacher.spec=replay:../b"]).teacher.spec == f"replay:{tmp_path.parent}/b"
    assert load_settings(toml, ["teacher.spec=openai:m"]).teacher.spec == "openai:m"


@pytest.mark.parametrize("spec", ["file:", "file", "replay:"])
def test_a_teacher_of_files_needs_a_path(spec: str) -> None:
    with pytest.raises(SettingsError, match="needs a path: write"):
        TeacherSpec.parse(spec)


@pytest.mark.usefixtures("plugin")
async def test_an_installed_package_brings_a_teacher() -> None:
    reply = await ask("shout:very loud:indeed", max_tokens=400)
    assert (reply.text, reply.model) == ("WHY? very loud:indeed 400", "shout-1")
    assert str(TeacherSpec.parse("shout")) == "shout"


@pytest.mark.usefixtures("plugin")
async def test_what_goes_wrong_in_a_package_stays_in_its_contract() -> None:
    with pytest.raises(Unavailable, match=r"the teacher 'shout' of the package shouting failed: KeyError: 'oops'"):
        await ask("shout:crash")
    with pytest.raises(Unavailable, match=r"gave 'WHY\?' instead of a Reply"):
        await ask("shout:text")
    with pytest.raises(Unanswered, match=r"^no$"):
        await ask("shout:decline")


@pytest.mark.usefixtures("plugin")
async def test_what_a_package_says_can_be_stored() -> None:
    reply = await ask("shout:halves")
    (use,) = reply.uses
    texts = (reply.text, use.use_id, use.arguments)
    assert texts == ("half \ufffd", "u\ufffd", '{"texts": ["\ufffd"]}')
    with pytest.raises(Unavailable, match="the package shouting failed: TypeError"):
        await ask("shout:none")


@pytest.mark.usefixtures("plugin")
@pytest.mark.parametrize(
    ("spec", "what"),
    [("gone", "AttributeError"), ("halfway:fail", "no microphone"), ("halfway", "has no method complete")],
)
async def test_a_broken_package_is_one_line_that_names_it(spec: str, what: str) -> None:
    with pytest.raises(TeacherError, match=rf"of the package shouting .*{what}.*fix or uninstall") as caught:
        await ask(spec)
    assert "\n" not in str(caught.value)


@pytest.mark.usefixtures("plugin")
def test_an_unknown_teacher_is_told_with_the_known_and_the_installed_ones() -> None:
    with pytest.raises(SettingsError, match=r"unknown teacher 'gemini'; known: rules, .*replay:FILE, gone:… .*shout:…"):
        TeacherSpec.parse("gemini:x")
    with pytest.raises(SettingsError, match="unknown teacher 'rules'"):
        TeacherSpec.parse("rules:x")


def test_only_teachers_with_a_batch_api_are_given_batches(cli: Cli) -> None:
    ended = cli("batch", "submit", ".", "--teacher", "rules")
    assert (ended.code, ended.err.count("\n")) == (2, 1)
    assert "only openai:MODEL[@BASE_URL] and anthropic:MODEL[@BASE_URL] have a batch API" in ended.err
