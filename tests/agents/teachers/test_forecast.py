"""The forecast: what it adds up, whom it asks before money is spent, and how far the bill stays under it."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import sys
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from subprocess import PIPE, Popen
from typing import Any

import pytest
from aiohttp import web

from blindspot.agents.calls.ledger import Price
from blindspot.agents.teachers.forecast import Forecast, add_up, forecast
from blindspot.agents.teachers.teacher import Case
from blindspot.cli.confirm import agree_on_spend
from blindspot.cli.show.spend import PhaseSpend, by_phase, spend_in_words
from blindspot.cli.show.summary import read_summary, summary_as_json
from blindspot.graphs.context import Progress
from blindspot.graphs.preflight.forecast import forecast_run
from blindspot.graphs.running.run import start_run
from blindspot.storage import records as rec
from blindspot.storage.analysts.results import Results
from blindspot.storage.errors import SettingsError
from blindspot.storage.ids import make_id
from blindspot.storage.settings.file import load_settings
from blindspot.storage.settings.sections import Settings, TeacherSection, check_settings
from blindspot.storage.store.store import Store
from blindspot.tools.data.planted import write_dataset
from support.commands import Cli
from support.teacher_server import TeacherServer

TEXT = {"text": "the soup was cold and the waiter was gone " * 3}
CASE = Case("uu", "sentiment of reviews", ("text",), ("neg", "pos"), TEXT, TEXT, "neg", "pos", 0.9, "typos")
PRICE = Price(1.0, 4.0)


def made(count: int = 10, price: Price | None = PRICE, rounds: int = 1, **settings: Any) -> Forecast:
    return forecast([CASE], TeacherSection(**settings), price, count=count, rounds=rounds)


def test_four_questions_a_uu_and_as_many_attempts_as_the_settings_allow() -> None:
    found = made()
    assert (found.calls, found.calls_most) == (40, 320)
    assert found.usd is not None
    assert found.usd_most is not None
    assert found.usd == pytest.approx(PRICE.cost(found.tokens_in, found.tokens_out))
    assert found.usd_most >= 320 * PRICE.cost(0, TeacherSection().max_tokens)
    assert made(count=0).usd == 0


def test_more_to_ask_is_never_forecast_to_be_less() -> None:
    less = made()
    for more in (
        made(count=20),
        made(samples_per_hypothesis=5),
        made(autonomy="probing"),
        made(writes="both"),
        made(autonomy="autonomous", max_usd=1e6),
    ):
        assert more.tokens_in + more.tokens_out > less.tokens_in + less.tokens_out
        assert more.usd is not None
        assert less.usd is not None
        assert more.usd > less.usd
        assert (more.usd_most or 0) >= (less.usd_most or 0)
        assert more.seconds >= less.seconds


def test_the_tightest_limit_makes_the_time() -> None:
    easy = made(count=1000, concurrency=1000, tokens_per_minute=10**9, requests_per_minute=10**6)
    assert easy.seconds == pytest.approx(4000 / 20, rel=0.1)  # twenty a second
    for limit, seconds in (
        ({"requests_per_minute": 100}, 2400.0),
        ({"requests_per_second": 1, "requests_per_minute": 10**6}, 4000.0),
        ({"tokens_per_minute": 1000}, 60 * (easy.tokens_in + easy.tokens_out) / 1000),
    ):
        settings: dict[str, Any] = {"concurrency": 1000, "tokens_per_minute": 10**9} | limit
        assert made(count=1000, **settings).seconds == pytest.approx(seconds, rel=0.05)
    assert made(count=1000, concurrency=1).seconds > 10 * easy.seconds


def test_caps_bound_the_forecast_and_say_that_they_end_teaching_early() -> None:
    whole = made()
    assert whole.usd is not None
    few = made(max_calls=10)
    assert (few.calls, few.calls_most, few.tokens_in) == (10, 10, round(whole.tokens_in / 4))
    assert few.notes == ("teacher.max_calls = 10 will end teaching early",)
    cheap = made(max_usd=whole.usd / 2)
    assert (cheap.usd_most, cheap.calls) == (whole.usd / 2, 20)
    assert cheap.usd == pytest.approx(whole.usd / 2)
    assert "will end teaching early" in str(cheap)
    enough = made(max_usd=whole.usd * 1.01)
    assert (enough.usd, enough.usd_most, enough.notes) == (whole.usd, whole.usd * 1.01, ())


def test_only_a_bill_that_may_be_high_has_to_be_agreed_to() -> None:
    assert made().may_pass(0.01)
    assert not made().may_pass(1000)
    assert not made(max_usd=5.0).may_pass(5.0)
    assert not made(price=Price(0, 0)).may_pass(0)
    assert not made(price=Price(0, 0), autonomy="autonomous").may_pass(0)
    assert made(price=None).may_pass(1000)  # whoever sends the bill, nobody knows how high it will be
    assert not forecast([CASE], TeacherSection(), None, count=1, rounds=1, is_billed=False).may_pass(0)
    assert made(autonomy="autonomous").may_pass(1000)  # it may always choose to do more
    assert not made(autonomy="autonomous", max_calls=10).may_pass(1000)


def test_a_forecast_reads_as_one_line() -> None:
    found = replace(made(), calls=148, calls_most=740, tokens_in=118_200, tokens_out=9_000, usd=0.9, usd_most=17.204)
    assert str(found) == (
        "148 to 740 calls, about 118k tokens in and 9,000 out, $0.90 if all goes well, at most $17.20, "
        "1 min of teaching"
    )
    assert "price unknown" in str(made(price=None))
    assert "without an upper bound, " in str(made(autonomy="autonomous"))


def test_teachers_side_by_side_cost_what_they_cost_together() -> None:
    one, other, local = made(), made(count=5), replace(made(price=None), is_billed=False)
    both = add_up([one, other])
    assert both.calls == 60
    assert both.usd == pytest.approx((one.usd or 0) + (other.usd or 0))
    assert both.seconds == one.seconds
    mixed = add_up([one, local])
    assert (mixed.usd, mixed.usd_most) == (None, one.usd_most)


def test_spend_is_told_by_phase_and_for_each_uu_removed() -> None:
    spend = [PhaseSpend("abstract", 10, 1, 1, 0.25, 0), PhaseSpend("generate", 20, 1, 1, 1.0, 2)]
    assert spend_in_words(spend) == "30 calls, $1.25 and 2 unpriced"
    assert by_phase(spend, 0.0625) == "abstract $0.25, generate $1.00; $0.062 for each UU removed"
    assert by_phase(spend, None) == "abstract $0.25, generate $1.00"


START = datetime(2026, 1, 2)


def uus(model_id: str, recipe: str | None, value: float) -> rec.Evaluation:
    """A count of UUs on the test split at tau."""
    name = make_id("evl", model_id, recipe)
    return rec.Evaluation(
        name, "run-1", int(model_id[-1]), model_id, None, "uus", value, None, None, None, "test", recipe, 0.65, 300
    )


def call(name: str, cost_usd: float | None, **changes: Any) -> rec.TeacherCall:
    bought = rec.TeacherCall(
        name, "run-1", 1, "abstract", "uu-1", name, "openai:m", "?", "hash", "!", "m", 100, 10, cost_usd, 2.0, 1,
        False, None, START,
    )  # fmt: skip
    return replace(bought, **changes)


@pytest.mark.parametrize(
    ("final", "calls", "expected"),
    [
        ("mdl-1", [call("a", 0.25), call("b", 0.5)], (40, 10, 30, 0.025, 2 / 30)),
        ("mdl-1", [call("a", 0.25), call("b", 0.5, reply=None, error="late")], (40, 10, 30, 0.025, 2 / 30)),
        ("mdl-1", [call("a", 0.25), call("b", 0.0, cache_hit=True)], (40, 10, 30, 0.25 / 30, 1 / 30)),
        ("mdl-1", [call("a", 0.25), call("b", None)], (40, 10, 30, None, 2 / 30)),  # who knows what b cost
        ("mdl-0", [call("a", 0.25)], (40, 40, 0, None, None)),  # the new model version was not taken
        (None, [call("a", 0.25)], (40, None, None, None, None)),
        ("mdl-1", [], (40, 10, 30, None, 0)),
    ],
)
def test_money_is_set_against_the_uus_that_the_model_which_was_taken_has_less(
    final: str | None, calls: list[rec.TeacherCall], expected: tuple[Any, ...], tmp_path: Path
) -> None:
    run = rec.Run(
        "run-1", "run", "finished", {}, 0, "openai:m", "dat-1", 0.65, {}, START,
        original_model_id="mdl-0", final_model_id=final,
    )  # fmt: skip
    rows = [uus("mdl-0", None, 7), uus("mdl-0", "all", 40), uus("mdl-1", None, 9), uus("mdl-1", "all", 10)]
    ended = rec.Round("run-1", 1, "mdl-0", START, "mdl-1", final == "mdl-1", "said why", START)
    rounds = [ended] if final else []
    with Store.open(tmp_path) as store:
        store.add([run, *rows, *calls, *rounds])
        store.publish()
    columns = "uus_before, uus_after, uus_removed, usd_per_uu_removed, calls_per_uu_removed"
    with Results.open(tmp_path) as results:
        assert results.query(f"SELECT {columns} FROM run_cost")[1] == [pytest.approx(expected)]
        assert read_summary(results, "run-1").usd_per_uu_removed == pytest.approx(expected[3])


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("planted")
    write_dataset(folder / "data", seed=0, rows={"train": 240, "validation": 60, "test": 60}, planted_share=0.3)
    return folder / "data"


def settings_of(data: Path, **teacher: Any) -> Settings:
    table = {"data": {"path": str(data)}, "teacher": teacher, "select": {"share": 0.05}, "run": {"rounds": 2}}
    return check_settings(table, where="test")


def test_a_run_is_forecast_from_its_settings_and_its_training_samples(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    found = forecast_run(settings_of(data, spec="openai:gpt-4o"))
    assert found is not None
    assert (found.calls, found.usd is not None) == (4 * 12 * 2, True)
    assert forecast_run(settings_of(data, spec="rules")) is None
    with pytest.raises(SettingsError, match="usd_per_million_in"):
        forecast_run(settings_of(data, spec="openai:mine@http://127.0.0.1:9/v1", max_usd=1.0))


def test_a_second_judge_is_forecast_beside_the_teacher_or_alone(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    settings = settings_of(data, spec="rules").model_dump(mode="json")
    settings["judge"] |= {"spec": "openai:gpt-4o", "flips": 25}
    settings["evaluate"]["samples"] = 40
    settings["attack"]["recipes"] = ["deepwordbug"]
    rounds = settings["run"]["rounds"]
    alone = forecast_run(check_settings(settings, where="test"))
    assert alone is not None
    assert alone.calls == rounds * 2 * 3  # two versions, 25 texts in questions of 10
    settings["teacher"]["spec"] = "openai:gpt-4o"
    both = forecast_run(check_settings(settings, where="test"))
    taught = forecast_run(settings_of(data, spec="openai:gpt-4o"))
    assert both is not None
    assert taught is not None
    assert both.calls == alone.calls + taught.calls


def write_settings(folder: Path, base: Path, data: Path, **teacher: Any) -> Path:
    lines = [f"{key} = {json.dumps(value)}" for key, value in teacher.items()]
    file = folder / "mitigation.toml"
    file.write_text(
        f'[run]\ntau = 0.5\n[data]\npath = "{data}"\n[classifier]\nmodel = "{base}"\nepochs = 2\n'
        'batch_size = 16\nmax_tokens = 64\nlearning_rate = 3e-3\ndevice = "cpu"\n'
        "[attack]\nsamples = 4\n[select]\nshare = 0.05\nmost = 3\n"
        "[filter]\nreferences = 20\nbertscore = 0.0\n[evaluate]\nsamples = 4\nresamples = 100\n[teacher]\n"
        + "\n".join(lines)
    )
    return file


def test_nobody_to_ask_is_one_line_and_nothing_is_written(
    cli: Cli, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    file = write_settings(tmp_path, tmp_path, data, spec="openai:gpt-4o", confirm_usd=0.01)
    answer = cli("run", file)
    assert (answer.code, answer.out) == (2, "")
    (line,) = answer.err.splitlines()
    assert "teacher.confirm_usd = 0.01" in line
    assert "12 to 96 calls" in line
    assert "--yes" in line
    assert not (tmp_path / "blindspot-workspace").exists()


BLINDSPOT = "import sys; from blindspot.cli.main import main; sys.argv[0] = 'blindspot'; sys.exit(main())"


def test_at_a_terminal_the_operator_is_asked_and_may_say_no(data: Path, tmp_path: Path) -> None:
    file = write_settings(tmp_path, tmp_path, data, spec="openai:gpt-4o", confirm_usd=0.01)
    ours, theirs = pty.openpty()
    command = [sys.executable, "-c", BLINDSPOT, "run", str(file)]
    with Popen(
        command,
        stdin=theirs,
        stderr=theirs,
        stdout=PIPE,
        cwd=tmp_path,
        env=os.environ | {"OPENAI_API_KEY": "sk-test"},
    ) as process:
        os.close(theirs)
        said = b""
        while b"[y/N]" not in said:
            said += os.read(ours, 1000)
        os.write(ours, b"n\n")
        assert process.wait(60) == 130
        said += os.read(ours, 10_000)
        assert process.stdout is not None
        assert process.stdout.read() == b""
    os.close(ours)
    assert b"The teacher may cost more than teacher.confirm_usd = 0.01: 12 to 96 calls" in said
    assert b"nothing was asked or written" in said
    assert not (tmp_path / "blindspot-workspace").exists()


def answered(asked: dict[str, Any]) -> str:
    """A usable answer to whichever question it is."""
    if "new training samples" in asked["messages"][0]["content"]:
        text = f"the {len(asked['messages'][0]['content'])} dumplings were a joy from the first bite to the last one"
        sample = {"reasoning": "so", "fields": {"text": text}, "label": "positive"}
        return json.dumps({"samples": [sample]})
    return json.dumps({"reasoning": "so", "hypothesis": "slang is read literally"})


async def test_a_run_tells_its_forecast_stays_under_it_and_sums_its_spend_up(
    teacher_server: TeacherServer, tiny_base: Path, data: Path, tmp_path: Path
) -> None:
    async def respond(request: web.Request) -> web.StreamResponse:
        return await teacher_server.say(answered(await request.json()))(request)

    teacher_server.respond = respond
    price = Price(1000.0, 4000.0)
    prices = {"usd_per_million_in": price.usd_in, "usd_per_million_out": price.usd_out}
    spec = teacher_server.spec("openai")
    file = write_settings(tmp_path, tiny_base, data, spec=spec, confirm_usd=0.01, **prices)
    settings = load_settings(file, [f"run.workspace={json.dumps(str(tmp_path / 'workspace'))}"])
    forecast = agree_on_spend(settings, yes=True)
    assert forecast is not None
    seen: list[str] = []

    def show(progress: Progress) -> None:
        seen.append(f"{progress.phase}: {progress.message}")

    run = await asyncio.to_thread(start_run, settings, show=show, cancelled=lambda: False, forecast=forecast)
    with Results.open(tmp_path / "workspace") as results:
        summary = summary_as_json(read_summary(results, run.run_id))
        _, told = results.query("SELECT message FROM events WHERE phase = 'forecast'")
        _, costs = results.query("SELECT calls, cost_usd, unpriced FROM run_cost")
        _, phases = results.query("SELECT phase, sum(cost_usd) FROM teacher_spend WHERE cost_usd > 0 GROUP BY phase")
    assert told == [(str(forecast),)]
    assert seen[0] == f"forecast: {forecast}"
    assert (forecast.calls, forecast.calls_most) == (12, 96)
    assert summary["teacher_calls"] >= 4
    assert summary["cost_usd"] == pytest.approx(summary["teacher_calls"] * price.cost(11, 7))  # as the server counts
    assert costs == [(summary["teacher_calls"], pytest.approx(summary["cost_usd"]), 0)]
    assert {row["phase"]: pytest.approx(row["cost_usd"]) for row in summary["spend"]} == dict(phases)
    assert summary["cost_usd"] <= (forecast.usd_most or 0)
