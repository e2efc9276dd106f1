"""`import blindspot`: runs, studies and results in Python, as a notebook has them, and what they leave behind."""

from __future__ import annotations

import asyncio
import inspect
import json
import logging
import os
import random
import re
import signal
import subprocess
import sys
import threading
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import blindspot
from blindspot import errors
from blindspot.agents.teachers.teacher import Case, Draft, Explanation, Teacher
from blindspot.cli.show.notebook import NotebookLive, notebook_console
from blindspot.graphs.context import Progress
from blindspot.storage.settings.file import Source
from support.commands import Cli
from support.places import ROOT
from support.runs import Table

Tables = dict[str, dict[str, Any]]


@pytest.fixture
def settings(small_run: Table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tables:
    """Settings as a mapping, in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    return deepcopy(small_run)


class Shouting(Teacher):
    """A teacher as a researcher writes one: it says the UU louder."""

    spec = "shouting"

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.closed = 0

    async def abstract(self, case: Case) -> Explanation:
        self.asked.append(f"abstract {case.uu_id}")
        await asyncio.sleep(0)
        return Explanation(f"what is said of {case.task} quietly is not heard", "it was quiet", None)

    async def extrapolate(self, case: Case, abstraction: Explanation) -> Explanation:
        assert "quietly" in abstraction.text
        assert case.labels == ("negative", "positive")
        return Explanation("what is whispered is not heard either", "a guess", None)

    async def generate(self, case: Case, hypothesis: Explanation, kind: str, n: int) -> list[Draft]:
        assert hypothesis.text
        self.asked.append(f"generate {kind} {case.uu_id}")
        fields = {name: f"{text.upper()} {kind.upper()}!" for name, text in case.original.items()}
        return [Draft(fields, case.label, "louder", None)] * n

    async def aclose(self) -> None:
        self.closed += 1


def test_the_package_has_the_names_that_it_lists() -> None:
    assert sorted(blindspot.__all__) == blindspot.__all__
    assert set(blindspot.__all__) <= set(dir(blindspot))
    for name in blindspot.__all__:
        value = getattr(blindspot, name)
        assert inspect.getdoc(value), name
        if inspect.isfunction(value):
            assert all(
                parameter.annotation is not parameter.empty
                for parameter in inspect.signature(value).parameters.values()
            )
    with pytest.raises(AttributeError, match="no attribute 'runs'"):
        blindspot.runs  # noqa: B018
    assert issubclass(errors.SettingsError, errors.BlindspotError)


# ---- settings


def test_settings_are_the_same_from_a_file_a_mapping_and_settings(settings: Tables, tmp_path: Path) -> None:
    (tmp_path / "m.toml").write_text("\n".join(
        f"[{section}]\n" + "\n".join(f"{key} = {json.dumps(value)}" for key, value in values.items())
        for section, values in settings.items()
    ))  # fmt: skip
    before = deepcopy(settings)
    sources: list[Source] = ["m.toml", Path("m.toml"), settings, blindspot.load_settings(settings)]
    loaded = [blindspot.load_settings(source, {"run.seed": 3}) for source in sources]
    assert [each.run.seed for each in loaded] == [3] * 4
    assert loaded[1:] == loaded[:-1]
    assert loaded[0].run.workspace == str(tmp_path / "ws")
    assert settings == before


def test_overrides_take_values_of_python_and_the_last_one_holds(settings: Tables, tmp_path: Path) -> None:
    loaded = blindspot.load_settings(
        settings, {"attack.timeout_s": None, "data.path": tmp_path / "d", "attack.recipes": ("pruthi",)}
    )
    assert (loaded.attack.timeout_s, loaded.data.path) == (None, str(tmp_path / "d"))
    assert loaded.attack.recipes == ("pruthi",)
    assert blindspot.load_settings(settings, [("run.seed", 1), "run.seed=2"]).run.seed == 2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"run.sed": 1}, r"^settings: run\.sed: unknown key; did you mean seed\?"),
        ({"seed": 1}, "write section.key=value"),
        ({"run.name.x": 1}, "name is a value, not a section"),
        ("run.seed=1", "is a text; write a list of overrides, or a mapping"),
    ],
)
def test_a_wrong_override_is_one_clear_line(settings: Tables, changes: Any, message: str) -> None:
    with pytest.raises(errors.SettingsError, match=message) as raised:
        blindspot.load_settings(settings, changes)
    assert "\n" not in str(raised.value)


# ---- runs


async def test_a_run_in_a_cell_of_a_notebook_shows_its_progress_and_its_frames(settings: Tables) -> None:
    seen: list[Progress] = []
    assert asyncio.get_running_loop().is_running()  # as in a cell
    end = blindspot.run(settings, show=seen.append)
    assert (end.run.status, end.run_id, end.kind) == ("finished", "small-1", "mitigation")
    assert {"prepare", "teach", "retrain", "evaluate"} <= {progress.phase for progress in seen}
    assert end.summary().uus is not None
    assert "small-1" in repr(end)
    assert "\n" not in repr(end)
    with end.results() as results:
        frame = results.frame(
            "SELECT kind, count(*) AS n FROM hypotheses WHERE run_id = $run GROUP BY ALL", {"run": "small-1"}
        )
        assert set(frame["kind"]) == {"abstraction", "extrapolation"}
        assert int(frame["n"].sum()) > 0
        assert results.connection.sql("SELECT count(*) FROM runs").fetchall() == [(1,)]
        with pytest.raises(errors.StoreError, match="cannot be answered"):
            results.frame("FROM no_such_table")


def test_results_that_are_open_do_not_hide_what_is_published_later(settings: Tables) -> None:
    first = blindspot.attack(settings, show="none")
    with first.results() as before:
        second = blindspot.attack(settings, show="none")
        with blindspot.open_results(second.workspace) as after:
            assert [len(results.frame("FROM runs")) for results in (before, after)] == [1, 2]


def test_an_interrupt_stops_a_run_in_order_and_resume_goes_on(settings: Tables) -> None:
    def show(progress: Progress) -> None:
        if progress.phase == "teach" and not progress.message:
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    with pytest.raises(errors.Cancelled):
        blindspot.run(settings, show=show)
    with blindspot.open_results("ws") as results:
        assert results.frame("FROM runs")["status"].tolist() == ["stopped"]
    assert blindspot.resume("ws", show="none").run.status == "finished"
    with pytest.raises(errors.StoreError, match="every run is finished"):
        blindspot.resume("ws")


def test_plain_progress_is_written_and_an_unknown_display_refused(
    settings: Tables, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(errors.SettingsError, match=r"^show: 'loud': give a function, or one of"):
        blindspot.attack(settings, show="loud")  # type: ignore[arg-type]
    assert not Path("ws").exists()
    blindspot.attack(settings)
    shown = capsys.readouterr()
    assert "attack: " in shown.err
    assert shown.out == ""


def test_a_run_that_may_cost_too_much_is_refused_unless_it_was_agreed_to(
    settings: Tables, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test-0123456789abcdef")
    settings["teacher"] = {"confirm_usd": 0, "usd_per_million_in": 9, "usd_per_million_out": 9}
    with pytest.raises(errors.SettingsError, match=r"may cost more than teacher\.confirm_usd = 0 .*agreed=True"):
        blindspot.run(settings, teacher="openai:some-model")
    plan = {**settings, "study": {"methods": ["openai:some-model"]}}
    with pytest.raises(errors.SettingsError, match=r"may cost more than teacher\.confirm_usd = 0"):
        blindspot.study(plan)
    assert not Path("ws").exists()


# ---- teachers that are objects


def test_an_object_teaches_in_place_of_a_name_and_its_rows_say_so(settings: Tables) -> None:
    teacher = Shouting()
    settings["teacher"] = {"samples_per_hypothesis": 1, "confirm_usd": 0}
    end = blindspot.run(settings, overrides={"run.rounds": 2, "accept.stop_without_gain": False}, teacher=teacher,
                        show="none")  # fmt: skip
    assert (end.run.status, end.run.teacher) == ("finished", "object:shouting")
    assert end.run.settings["teacher"]["spec"] == "object:shouting"
    with end.results() as results:
        frame = results.frame("FROM hypotheses")
        assert set(frame["teacher"]) == {"object:shouting"}
        assert len(frame) == 2 * sum(asked.startswith("abstract") for asked in teacher.asked)
        written = results.frame("SELECT * FROM synthetic_samples")
        assert written["fields"].map(lambda text: json.loads(text)["text"].isupper()).all()
        assert set(results.frame("FROM rounds")["round"]) == {1, 2}
    assert teacher.closed == 1


def test_a_run_that_is_resumed_is_given_its_object_again(settings: Tables) -> None:
    class Interrupted(Shouting):
        async def generate(self, case: Case, hypothesis: Explanation, kind: str, n: int) -> list[Draft]:
            if len(self.asked) > 2:
                raise ZeroDivisionError("a bug of the researcher's")
            return await super().generate(case, hypothesis, kind, n)

    settings["teacher"] = {"concurrency": 1}
    with pytest.raises(ZeroDivisionError, match="a bug of the researcher's"):
        blindspot.run(settings, teacher=Interrupted(), show="none")
    with pytest.raises(
        errors.TeacherError, match=r"object:shouting is an object in Python, which was not given"
    ) as told:
        blindspot.resume("ws", show="none")
    assert "\n" not in str(told.value)
    other = Shouting()
    other.spec = "other"
    with pytest.raises(
        errors.SettingsError, match="object:other was given, but no setting names it; the teachers are: object:shouting"
    ):
        blindspot.resume("ws", teacher=other, show="none")
    with blindspot.open_results("ws") as results:
        kept = results.frame("FROM hypotheses")["hypothesis_id"].tolist()
    teacher = Shouting()
    end = blindspot.resume("ws", teacher=teacher, show="none")
    assert end.run.status == "finished"
    with end.results() as results:
        assert set(kept) <= set(results.frame("FROM hypotheses")["hypothesis_id"])
        uus = len(results.frame("FROM uus WHERE selected"))
    assert kept
    assert sum(asked.startswith("abstract") for asked in teacher.asked) < uus


def test_the_command_says_in_one_line_that_a_run_has_an_object_for_its_teacher(settings: Tables, cli: Cli) -> None:
    phases: list[str] = []
    with pytest.raises(errors.Cancelled):
        blindspot.run(
            settings,
            teacher=Shouting(),
            show=lambda progress: phases.append(progress.phase),
            cancelled=lambda: "attack" in phases,
        )
    answer = cli("resume", "-w", "ws")
    assert answer.code == 2
    assert answer.err.count("\n") == 1
    assert "object:shouting is an object in Python, which was not given" in answer.err
    assert cli("resume", "-w", "ws", "--quiet", "--set", "teacher.spec=rules").code == 0


class Odd(Shouting):
    """Answers with whatever it is given."""

    def __init__(self, **answers: Any) -> None:
        super().__init__()
        self.answers = answers

    async def abstract(self, case: Case) -> Explanation:
        return self.answers.get("abstract") or await super().abstract(case)

    async def generate(self, case: Case, hypothesis: Explanation, kind: str, n: int) -> list[Draft]:
        return self.answers.get("generate") or await super().generate(case, hypothesis, kind, n)


class Hasty(Shouting):
    def abstract(self, case: Case) -> Explanation:  # type: ignore[override]
        return Explanation(case.task, "", None)


WRONG_ANSWERS: list[tuple[Teacher, str]] = [
    (Odd(abstract="a pattern"), "object:shouting: abstract returned 'a pattern', not an Explanation"),
    (Odd(abstract=Explanation(0, "", None)), "abstract returned 0, not a text for text"),  # type: ignore[arg-type]
    (Odd(abstract=Explanation(" ", "", None)), "abstract returned an Explanation without a text"),
    (Odd(generate=["x"]), r"generate returned \['x'\], not a list of Draft"),
    (Hasty(), "object:shouting: abstract is not asynchronous; write `async def abstract`"),
]


@pytest.mark.parametrize(("teacher", "message"), WRONG_ANSWERS)
def test_an_answer_of_the_wrong_form_is_told_in_one_line(settings: Tables, teacher: Teacher, message: str) -> None:
    with pytest.raises(errors.TeacherError, match=message) as told:
        blindspot.run(settings, teacher=teacher, show="none")
    assert "\n" not in str(told.value)


def test_a_draft_that_cannot_be_used_costs_its_uu_and_no_more(settings: Tables) -> None:
    drafts = [[Draft({"text": "x"}, "no such label", "", None)], [Draft({"txt": "x"}, "positive", "", None)]]
    for number, draft in enumerate(drafts, start=1):
        end = blindspot.run(settings, teacher=Odd(generate=draft), show="none")
        assert end.run.status == "finished"
        with end.results() as results:
            told = results.frame("FROM events WHERE run_id = ? AND level = 'warning'", [f"small-{number}"])
            assert (
                "not one of ['negative', 'positive']" in told["message"][0]
                or "not exactly ['text']" in told["message"][0]
            )
            assert len(results.frame("FROM hypotheses WHERE run_id = ?", [f"small-{number}"])) > 0


class NoName:
    """No teacher."""

    def begin_round(self, run_id: str, number: int) -> None: ...
    async def abstract(self) -> None: ...
    async def extrapolate(self) -> None: ...
    async def generate(self) -> None: ...
    async def aclose(self) -> None: ...


def test_what_is_no_teacher_is_refused_before_anything_is_written(settings: Tables) -> None:
    named = Shouting()
    named.spec = "my teacher, the best"
    wrong: list[tuple[Any, str]] = [
        (object(), "teacher: object has no method begin_round; derive it from"),
        (NoName(), "NoName has no text `spec`"),
        (named, "'my teacher, the best' is not a name for a teacher object"),
        ("ruels", "unknown teacher 'ruels'"),
    ]
    for teacher, message in wrong:
        with pytest.raises(errors.SettingsError, match=message):
            blindspot.run(settings, teacher=teacher, show="none")
    settings["method"] = {"name": "none"}
    with pytest.raises(errors.SettingsError, match="object:shouting was given, but no setting names it"):
        blindspot.run(settings, teacher=Shouting(), show="none")
    with pytest.raises(errors.SettingsError, match="object cannot call tools"):
        blindspot.run(settings, overrides={"method.name": "teacher", "teacher.autonomy": "probing"}, teacher=Shouting())
    assert not Path("ws").exists()


def test_objects_are_compared_with_names(settings: Tables) -> None:
    quiet = Shouting()
    quiet.spec = "quiet"
    end = blindspot.compare(settings, teachers=[Shouting(), "rules", quiet], show="none")
    with end.results() as results:
        frame = results.frame("FROM teacher_comparisons")
    assert set(frame["teacher"]) == {"object:shouting", "rules", "object:quiet"}
    assert (frame["written"] > 0).all()
    with pytest.raises(errors.SettingsError, match='"object:shouting" is listed twice'):
        blindspot.compare(settings, teachers=[Shouting(), Shouting()], show="none")


def test_a_study_has_objects_among_its_methods(settings: Tables) -> None:
    plan = {**settings, "study": {"name": "s", "seeds": [0], "recipes": [["pruthi"]],
                                  "methods": ["none", "object:shouting"]}}  # fmt: skip
    with pytest.raises(errors.TeacherError, match="object:shouting is an object in Python"):
        blindspot.study(plan, show="none")
    entered: list[str] = []
    teacher = Shouting()
    end = blindspot.study(plan, teachers=[teacher], show="none", enter=lambda place: entered.append(place.cell.arm))
    assert (end.study.status, end.done, end.left) == ("finished", 3, 0)
    assert entered == ["original", "none", "object:shouting"]
    assert teacher.asked
    with blindspot.open_results("ws") as results:
        assert set(results.frame("FROM runs")["teacher"]) == {"none", "object:shouting"}
        assert {"none", "object:shouting"} <= set(results.frame("FROM study_figures")["method"])
    with pytest.raises(errors.SettingsError, match="no such method"):
        blindspot.study(plan, teachers=[teacher], only=["method=rules"])


# ---- what is left behind


def umask() -> int:
    value = os.umask(0o022)
    os.umask(value)
    return value


def test_a_run_leaves_the_process_as_it_was(settings: Tables, monkeypatch: pytest.MonkeyPatch) -> None:
    import textattack
    import transformers
    from textattack.shared import AttackedText, attacked_text, utils

    from blindspot.tools.attack.resources import stock_textattack

    def state() -> dict[str, Any]:
        loggers = ("textattack", "flair", "sentence_transformers", "huggingface_hub", "transformers", "root")
        return {
            "levels": {name: logging.getLogger(name).level for name in loggers},
            "bars": transformers.utils.logging.is_progress_bar_enabled(),
            "environment": dict(os.environ),
            "random": random.getstate(),
            "numpy": np.random.get_state()[1].tolist(),  # type: ignore[index]
            "handlers": [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)],
            "streams": (sys.stdout, sys.stderr),
            "functions": (AttackedText.replace_words_at_indices, attacked_text.words_from_text, utils.download_from_s3),
            "umask": umask(),
        }

    assert textattack
    with stock_textattack():
        stock = AttackedText.replace_words_at_indices
    seen: list[bool] = []

    def show(progress: Progress) -> None:
        if progress.phase == "attack":
            seen.append(AttackedText.replace_words_at_indices is not stock)

    monkeypatch.delenv("TOKENIZERS_PARALLELISM", raising=False)
    before = state()
    blindspot.run(settings, show=show)
    assert any(seen)
    assert state() == before


def test_importing_leaves_the_process_as_it_was() -> None:
    code = """
import logging, os, random, signal, sys, threading, warnings
def state():
    return (dict(os.environ), random.getstate(), [signal.getsignal(n) for n in (2, 15, 1)], sys.stdout, sys.stderr,
            list(warnings.filters), logging.root.level, list(logging.root.handlers), threading.active_count())
before = state()
import blindspot
blindspot.load_settings, blindspot.errors
assert state() == before
"""
    subprocess.run([sys.executable, "-c", code], check=True)


# ---- the notebook


class Handle:
    """What IPython hands out for an output that can be drawn again."""

    def __init__(self) -> None:
        self.pages: list[str] = []
        self.drawn = threading.Event()

    def update(self, page: Any) -> None:
        self.pages.append(page.data)
        self.drawn.set()


def test_a_notebook_keeps_lines_and_draws_the_rest_again(monkeypatch: pytest.MonkeyPatch) -> None:
    handle = Handle()

    class Html:
        def __init__(self, data: str) -> None:
            self.data = data

    def display(page: Html, *, display_id: bool) -> Handle:
        assert display_id
        handle.update(page)
        return handle

    module = type(sys)("IPython.display")
    module.HTML = Html  # type: ignore[attr-defined]
    module.display = display  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "IPython", type(sys)("IPython"))
    monkeypatch.setitem(sys.modules, "IPython.display", module)
    console = notebook_console()
    with NotebookLive(console, lambda: "at <work>"):
        console.print("one line [kept]")
        handle.drawn.clear()
        assert handle.drawn.wait(20)
    assert "at &lt;work&gt;" in handle.pages[-2]
    assert "one line [kept]" in handle.pages[-1]
    assert "at " not in handle.pages[-1]
    assert "color" not in handle.pages[-1]  # the notebook has its own


# ---- the documentation


def test_the_examples_of_the_documentation_run(settings: Tables, capsys: pytest.CaptureFixture[str]) -> None:
    text = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    table = {**settings, "run": {"name": "mrpc", "workspace": "mrpc-workspace"}}
    written = "\n".join(
        f"[{section}]\n" + "\n".join(f"{key} = {json.dumps(value)}" for key, value in values.items())
        for section, values in table.items()
    )
    Path("mitigation.toml").write_text(written)
    Path("study.toml").write_text(
        f'{written}\n[study]\nseeds = [0]\nmethods = ["none", "object:quoting"]\nrecipes = ["pruthi"]\n'
    )
    names: dict[str, Any] = {"settings_of_data": settings["data"], "settings_of_classifier": settings["classifier"]}
    for block in blocks:
        exec(compile(block, "docs/python.md", "exec"), names)
    assert len(blocks) >= 8
    shown = capsys.readouterr().out
    assert "mrpc-1" in shown
    for name in blindspot.__all__:
        assert f"blindspot.{name}" in "".join(blocks), name
        assert re.search(rf"^## .*`{name}\b", text, flags=re.MULTILINE), name


def test_the_documentation_lists_every_error() -> None:
    text = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")
    tree = [value.__name__ for value in vars(errors).values() if isinstance(value, type)]
    assert all(f"`{name}`" in text for name in tree), tree
