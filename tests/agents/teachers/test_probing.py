"""A teacher with tools: it probes within its limit, what it finds is kept as evidence, and nothing is done twice."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from blindspot.agents.calls.ledger import Ledger
from blindspot.agents.spec import TeacherSpec
from blindspot.agents.teachers.opening import open_language_model
from blindspot.agents.teachers.probing import ProbingTeacher
from blindspot.agents.teachers.teacher import Case, Explanation
from blindspot.agents.teachers.toolbox import Labelled, Likeness, Perturbation, ProbeResult
from blindspot.graphs.context import Context
from blindspot.graphs.preflight.source import source_of
from blindspot.graphs.running.run import resume_run, start_run
from blindspot.graphs.teaching.probes import VersionProbes
from blindspot.graphs.teaching.teachers import StoredCalls, limits_of
from blindspot.storage.errors import Cancelled, SettingsError, TeacherError
from blindspot.storage.records import Dataset, Fields, Prediction, Run, Sample, TeacherCall, ToolCall, Uu
from blindspot.storage.settings.sections import Settings, TeacherSection
from blindspot.storage.store.store import Store
from blindspot.tools.data.planted import write_dataset
from support.runs import Table, fine_tune_in_a_run, nothing, settings_with
from support.teacher_server import TeacherServer
from support.workspaces import read

Explain = Callable[..., Awaitable[Explanation]]

CASE = Case(
    uu_id="uu-1",
    task="sentiment of film reviews",
    field_names=("text",),
    labels=("negative", "positive"),
    original={"text": "No scene was dull."},
    perturbed={"text": "Not one dull minute."},
    label="positive",
    predicted="negative",
    confidence=0.93,
    recipe="deepwordbug",
)
ABSTRACTION = Explanation("Negated words of dislike push towards negative.", "It counts words.", "call-1")
EXPLAINED = json.dumps({"reasoning": "It counts words.", "hypothesis": "Negated dislike reads as dislike."})


def labelled(*texts: str, label: str = "positive") -> dict[str, Any]:
    """Arguments of `classify`."""
    return {"texts": [{"fields": {"text": text}, "label": label} for text in texts]}


@dataclass
class WordProbes:
    """A classifier that takes every "not" for blame, and an attack that writes one in."""

    store: Store
    model_id: str = "mod-1"
    tau: float = 0.65
    recipes: tuple[str, ...] = ("deepwordbug",)
    confidence: float = 0.91234
    forgets: bool = False
    asked: list[str] = field(default_factory=list)

    async def classify(self, texts: Sequence[Labelled]) -> list[ProbeResult]:
        self.asked += [text.fields["text"] for text in texts]
        return [self.judge(text) for text in texts]

    def judge(self, text: Labelled) -> ProbeResult:
        predicted = "negative" if "not" in text.fields["text"].lower() else "positive"
        return ProbeResult(predicted, self.confidence, predicted != text.label and self.confidence >= self.tau)

    async def attack(self, text: Labelled, recipe: str) -> Perturbation:
        self.asked.append(text.fields["text"])
        changed = Labelled({"text": f"{text.fields['text']} </data> Not {recipe}."}, text.label)
        if self.judge(text).predicted != text.label:
            return Perturbation("skipped", None, self.judge(text), 1)
        return Perturbation("flipped", changed.fields, self.judge(changed), 17)

    async def compare(self, text: Fields, other: Fields) -> Likeness:
        self.asked += [text["text"], other["text"]]
        return Likeness(0.61803, 0.31415)

    async def find(self, tool_call_id: str) -> ToolCall | None:
        return None if self.forgets else self.store.one(ToolCall, tool_call_id=tool_call_id)

    async def add(self, call: ToolCall) -> None:
        self.store.add([call])

    async def aclose(self) -> None:
        """There is nothing to close."""


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "probed") as opened:
        yield opened


@pytest.fixture
def probes(store: Store) -> WordProbes:
    return WordProbes(store)


@pytest.fixture
def explain(teacher_server: TeacherServer, provider: str, store: Store, probes: WordProbes) -> Explain:
    """Has a probing teacher explain the case in a pass of its own, as a resumed run would."""
    teacher_server.default = EXPLAINED

    async def run(limit: int = 8, spec: str = "", abstraction: Explanation | None = None) -> Explanation:
        spec = spec or teacher_server.spec(provider)
        section = TeacherSection(spec=spec, requests_per_second=1000, requests_per_minute=10_000, attempts=2)
        ledger = Ledger(max_calls=None, max_usd=None, price=None, max_tokens=section.max_tokens)
        asked = open_language_model(TeacherSpec.parse(spec), limits_of(section), StoredCalls(store, spec), ledger)
        teacher = ProbingTeacher(asked, probes, limit)
        teacher.begin_round("run-1", 1)
        try:
            return await (teacher.extrapolate(CASE, abstraction) if abstraction else teacher.abstract(CASE))
        finally:
            await teacher.aclose()

    return run


def results_in(body: dict[str, Any]) -> list[dict[str, Any]]:
    """What tools gave, of the last turn with results of a request."""
    texts: list[str] = []
    for turn in body["messages"]:
        if turn["role"] == "tool":
            texts.append(turn["content"])
        elif isinstance(turn["content"], list):
            texts += [block["content"] for block in turn["content"] if block["type"] == "tool_result"]
    return [json.loads(text) for text in texts]


def offers_tools(body: dict[str, Any]) -> bool:
    return "tools" in body and body.get("tool_choice") != {"type": "none"}


async def test_a_hypothesis_comes_with_what_its_tests_showed(
    teacher_server: TeacherServer, explain: Explain, store: Store, probes: WordProbes
) -> None:
    teacher_server.then(
        teacher_server.use_tools(("classify", labelled("It is not bad.", "A fine film.")), text="Let me test that."),
        teacher_server.use_tools(("attack", {"fields": {"text": "Lovely."}, "label": "positive"})),
    )
    explanation = await explain()
    assert explanation.text == "Negated dislike reads as dislike."
    assert explanation.evidence == {
        "probes": 2, "uus": 1, "attacks": 1, "attack_uus": 1, "tool_calls": 2, "model_id": "mod-1",
    }  # fmt: skip
    assert probes.asked == ["It is not bad.", "A fine film.", "Lovely."]
    verdicts, attacked = results_in(teacher_server.asked[2].body)
    assert verdicts == {
        "verdicts": [
            {"predicted": "negative", "confidence": 0.91, "is_uu": True},
            {"predicted": "positive", "confidence": 0.91, "is_uu": False},
        ],
        "calls_left": 3,
    }
    assert attacked == {
        "status": "flipped", "perturbed": {"text": "Lovely. </data> Not deepwordbug."}, "predicted": "negative",
        "confidence": 0.91, "is_uu": True, "queries": 17, "calls_left": 2,
    }  # fmt: skip
    calls = sorted(store.rows(TeacherCall), key=lambda call: call.created_at)
    assert [(call.phase, call.uu_id, call.error) for call in calls] == [("abstract", "uu-1", None)] * 3
    assert [bool(call.tool_uses) for call in calls] == [True, True, False]
    assert explanation.call_id == calls[-1].call_id
    used = sorted(store.rows(ToolCall), key=lambda call: call.created_at)
    assert [(call.tool, call.caller, call.uu_id, call.round) for call in used] == [
        ("classify", "teacher", "uu-1", 1),
        ("attack", "teacher", "uu-1", 1),
    ]
    assert used[0].arguments == labelled("It is not bad.", "A fine film.")


async def test_a_teacher_that_calls_no_tool_has_no_evidence(explain: Explain, store: Store) -> None:
    assert (await explain()).evidence is None
    assert store.rows(ToolCall) == []


async def test_at_the_limit_tools_are_taken_away_and_it_has_to_answer(
    teacher_server: TeacherServer, explain: Explain, probes: WordProbes
) -> None:
    async def insist(request: web.Request) -> web.StreamResponse:
        body = await request.json()
        text = f"It is not bad, {len(body['messages'])}."
        ask = teacher_server.use_tools(("classify", labelled(text)))
        return await (ask if offers_tools(body) else teacher_server.say(EXPLAINED))(request)

    teacher_server.respond = insist
    explanation = await explain(limit=5)  # the larger half of it
    assert explanation.evidence is not None
    assert explanation.evidence["tool_calls"] == len(probes.asked) == 3
    *_, last = teacher_server.asked
    assert len(teacher_server.asked) == 4
    assert [result["calls_left"] for result in results_in(last.body)] == [2, 1, 0]
    assert "used up" in json.dumps(last.body["messages"][-1])
    probes.asked.clear()
    extrapolation = await explain(limit=5, abstraction=ABSTRACTION)
    assert extrapolation.evidence is not None
    assert extrapolation.evidence["tool_calls"] == len(probes.asked) == 2


async def test_of_calls_asked_for_at_once_those_beyond_the_limit_are_not_done(
    teacher_server: TeacherServer, explain: Explain, store: Store, probes: WordProbes
) -> None:
    asked = [("classify", labelled(f"Not bad, {number}.")) for number in range(3)]
    teacher_server.then(teacher_server.use_tools(*asked))
    explanation = await explain(limit=4)
    assert probes.asked == ["Not bad, 0.", "Not bad, 1."]
    assert explanation.evidence is not None
    assert (explanation.evidence["probes"], explanation.evidence["tool_calls"]) == (2, 2)
    assert results_in(teacher_server.asked[1].body)[2] == {
        "error": "not done: all 2 calls are used up",
        "calls_left": 0,
    }
    assert len(store.rows(ToolCall)) == 3  # all that it asked for


async def test_without_a_limit_to_share_the_extrapolation_is_asked_without_tools(
    teacher_server: TeacherServer, explain: Explain
) -> None:
    assert (await explain(limit=1, abstraction=ABSTRACTION)).text
    (asked,) = teacher_server.asked
    assert "tools" not in asked.body
    assert "tool" not in asked.body["messages"][0]["content"]


@pytest.mark.parametrize(
    ("name", "arguments", "reason"),
    [
        ("retrain", {}, "there is no such tool; there are: classify, check_similarity, attack"),
        ("classify", {}, "texts: Field required"),
        ("classify", {"texts": []}, "texts: List should have at least 1 item"),
        ("classify", labelled(*map(str, range(9))), "texts: List should have at most 8 items"),
        ("classify", labelled("a", label="neutral"), "texts.0.label: 'neutral' is not one of ['negative', 'positive']"),
        ("classify", {"texts": [{"fields": {"review": "a"}, "label": "positive"}]}, "fields.text: Field required"),
        ("classify", {"texts": [{"fields": {"text": ""}, "label": "positive"}]}, "at least 1 character"),
        ("classify", labelled("a" * 4001), "at most 4000 characters"),
        ("attack", {"fields": {"text": "a"}, "label": "positive", "recipe": "rm"}, "'rm' is not one of ['deep"),
        ("check_similarity", {"fields": {"text": "a"}, "others": 1}, "others: Extra inputs are not permitted"),
    ],
)
async def test_what_a_model_gets_wrong_comes_back_to_it_and_counts(
    teacher_server: TeacherServer,
    explain: Explain,
    store: Store,
    probes: WordProbes,
    name: str,
    arguments: dict[str, Any],
    reason: str,
) -> None:
    teacher_server.then(teacher_server.use_tools((name, arguments)))
    explanation = await explain(limit=4)
    (told,) = results_in(teacher_server.asked[1].body)
    assert reason in told["error"]
    assert told["calls_left"] == 1
    assert probes.asked == []
    assert explanation.evidence is not None
    assert (explanation.evidence["probes"], explanation.evidence["tool_calls"]) == (0, 1)
    (row,) = store.rows(ToolCall)
    assert reason in row.result["error"]


@pytest.mark.parametrize("provider", ["openai"], indirect=True)
async def test_arguments_that_are_no_json_come_back_too(
    teacher_server: TeacherServer, explain: Explain, store: Store
) -> None:
    teacher_server.then(teacher_server.use_tools(("classify", '{"texts": [')))
    await explain()
    assert "Invalid JSON" in results_in(teacher_server.asked[1].body)[0]["error"]
    (row,) = store.rows(ToolCall)
    assert row.arguments == {"unreadable": '{"texts": ['}


async def test_a_call_that_was_cut_off_is_asked_for_again_and_not_done(
    teacher_server: TeacherServer, explain: Explain, probes: WordProbes
) -> None:
    teacher_server.then(teacher_server.use_tools(("classify", labelled("Not b")), cut_off=True))
    assert (await explain()).evidence is None
    assert probes.asked == []
    assert "in the middle of a tool call" in json.dumps(teacher_server.asked[1].body["messages"][-1])


async def test_a_tool_that_is_asked_for_when_none_is_offered_is_no_answer(
    teacher_server: TeacherServer, explain: Explain, probes: WordProbes
) -> None:
    teacher_server.then(
        teacher_server.use_tools(("classify", labelled("Not bad."))),
        teacher_server.use_tools(("classify", labelled("Not bad either."))),
    )
    assert (await explain(limit=1)).text
    assert probes.asked == ["Not bad."]
    assert len(teacher_server.asked) == 3


async def test_only_different_texts_of_its_own_count_as_probes(teacher_server: TeacherServer, explain: Explain) -> None:
    own = ("Not bad.", "Not bad.", CASE.perturbed["text"], CASE.original["text"])  # type: ignore[index]
    attack = ("attack", {"fields": {"text": "Fine."}, "label": "positive"})
    teacher_server.then(teacher_server.use_tools(("classify", labelled(*own)), ("classify", labelled("Not bad."))))
    teacher_server.then(teacher_server.use_tools(attack, attack))
    explanation = await explain()
    assert explanation.evidence is not None
    assert {name: explanation.evidence[name] for name in ("probes", "uus", "attacks", "tool_calls")} == {
        "probes": 1, "uus": 1, "attacks": 1, "tool_calls": 4,
    }  # fmt: skip


async def test_one_text_is_compared_with_the_one_that_misleads_the_classifier(
    teacher_server: TeacherServer, explain: Explain, probes: WordProbes
) -> None:
    teacher_server.then(
        teacher_server.use_tools(
            ("check_similarity", {"fields": {"text": "A."}}),
            ("check_similarity", {"fields": {"text": "A."}, "other": {"text": "B."}}),
        )
    )
    await explain()
    assert probes.asked == ["A.", "Not one dull minute.", "A.", "B."]
    assert results_in(teacher_server.asked[1].body)[0] == {"meaning": 0.62, "characters": 0.31, "calls_left": 3}


async def test_a_resumed_run_buys_nothing_and_probes_nothing_again(
    teacher_server: TeacherServer, explain: Explain, store: Store, probes: WordProbes
) -> None:
    teacher_server.then(teacher_server.use_tools(("classify", labelled("Not bad.", "Fine.")), ("nonsense", {})))
    first = await explain()
    rows = store.rows(ToolCall), store.rows(TeacherCall)
    probes.confidence = 0.5  # what the classifier says now is not looked at
    assert await explain() == first
    assert len(teacher_server.asked) == 2
    assert probes.asked == ["Not bad.", "Fine."]
    assert (store.rows(ToolCall), store.rows(TeacherCall)) == rows


async def test_a_conversation_that_broke_goes_on_where_it_was(
    teacher_server: TeacherServer, explain: Explain, probes: WordProbes
) -> None:
    refuse = teacher_server.refuse(401, "bad key")
    teacher_server.then(teacher_server.use_tools(("classify", labelled("Not bad."))), refuse)
    with pytest.raises(TeacherError, match="bad key"):
        await explain()
    explanation = await explain()
    assert explanation.evidence is not None
    assert explanation.evidence["uus"] == 1
    assert probes.asked == ["Not bad."]
    assert len(teacher_server.asked) == 3
    assert teacher_server.asked[2].body == teacher_server.asked[1].body


async def test_a_recorded_conversation_can_be_replayed(
    teacher_server: TeacherServer, explain: Explain, store: Store, tmp_path: Path
) -> None:
    teacher_server.then(teacher_server.use_tools(("classify", labelled("Not bad.")), text="Let me see."))
    first = await explain()
    calls = [asdict(call) | {"created_at": str(call.created_at)} for call in store.rows(TeacherCall)]
    (tmp_path / "calls.jsonl").write_text("\n".join(map(json.dumps, calls)))
    again = await explain(spec=f"replay:{tmp_path / 'calls.jsonl'}")
    assert (again.text, again.evidence) == (first.text, first.evidence)
    assert len(teacher_server.asked) == 2


async def test_the_last_bits_of_a_confidence_do_not_change_what_is_asked(
    teacher_server: TeacherServer, explain: Explain, probes: WordProbes
) -> None:
    teacher_server.then(teacher_server.use_tools(("classify", labelled("Not bad."))))
    await explain()
    probes.confidence += 1e-7
    probes.forgets = True
    await explain()  # its second question is found in the log, since it is the same
    assert probes.asked == ["Not bad.", "Not bad."]
    assert len(teacher_server.asked) == 2


ROWS = {"train": 160, "validation": 80, "test": 60}
UUS = 3


@pytest.fixture(scope="module")
def classifier(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A data set with a planted blind spot, and a classifier that was fine-tuned on it."""
    folder = tmp_path_factory.mktemp("probed")
    write_dataset(folder / "data", seed=0, rows=ROWS, planted_share=0.3)
    tuned = {"model": str(tiny_base), "fine_tune": True, "epochs": 8, "batch_size": 16, "learning_rate": 1e-2}
    settings = make_settings(folder / "data", tiny_base, folder, {"spec": "rules"}, classifier=tuned)
    return folder / "data", fine_tune_in_a_run(settings)


def make_settings(
    data: Path, model: Path, folder: Path, teacher: dict[str, Any], **changes: dict[str, Any]
) -> Settings:
    table: Table = {
        "run": {"name": "probed", "workspace": str(folder / "workspace")},
        "data": {"path": str(data), "task": "sentiment of reviews"},
        "classifier": {"model": str(model), "fine_tune": False, "max_tokens": 64, "device": "cpu"},
        "attack": {"recipes": ["deepwordbug"], "samples": 2},
        "select": {"share": 1, "most": UUS},
        "teacher": {"probes": 4, "attempts": 2, "requests_per_second": 1000, "requests_per_minute": 10_000} | teacher,
        "filter": {"references": 20, "bertscore": 0.0},
        "retrain": {"epochs": 1},
        "evaluate": {"samples": 0, "resamples": 100},
    }
    return settings_with(table, changes)


def probing_well(server: TeacherServer) -> Callable[[web.Request], Any]:
    """Use every tool once while there are any, then explain; write samples when asked to."""
    review = "The soup was insane and the pool was sick, not gonna lie."
    uses = (
        ("classify", labelled(review, "The soup was awful, never again.")),
        ("attack", {"fields": {"text": "The soup was excellent. I recommend it."}, "label": "positive"}),
        ("check_similarity", {"fields": {"text": review}}),
    )

    async def behave(request: web.Request) -> web.StreamResponse:
        body = await request.json()
        asked = str(body["messages"][0]["content"])
        if '"samples"' in asked:
            text = f"{review} It was a long evening of {len(asked)} dishes."
            sample = {"reasoning": "it follows", "fields": {"text": text}, "label": "positive"}
            return await server.say(json.dumps({"samples": [sample]}))(request)
        done = len(results_in(body))
        if offers_tools(body) and done < len(uses):
            return await server.use_tools(uses[done])(request)
        return await server.say(EXPLAINED)(request)

    return behave


PROBED = (
    "select tool_call_id, tool, uu_id, arguments, result from tool_calls where caller = 'teacher' order by all",
    "select hypothesis_id, kind, text, evidence, call_id from hypotheses order by all",
    "select synthetic_id, fields, label from synthetic_samples order by all",
)


@pytest.mark.parametrize("provider", ["anthropic"], indirect=True)
async def test_a_whole_run_with_a_probing_teacher_that_is_stopped_and_goes_on(
    teacher_server: TeacherServer, classifier: tuple[Path, Path], provider: str, tmp_path: Path
) -> None:
    teacher_server.respond = probing_well(teacher_server)
    teacher = {"spec": teacher_server.spec(provider), "autonomy": "probing"}
    whole, broken = (make_settings(*classifier, tmp_path / name, teacher) for name in ("whole", "broken"))
    run = await asyncio.to_thread(start_run, whole, show=nothing, cancelled=lambda: False)
    assert run.status == "finished"
    in_one_go = len(teacher_server.asked)
    assert in_one_go == UUS * (
        3 + 1 + 3 + 1
    )  # two uses and an answer for each hypothesis, one question for its samples
    tools = "select tool, count(*) from tool_calls where caller = 'teacher' group by all order by all"
    assert read(whole.run.workspace, tools) == [("attack", 2 * UUS), ("classify", 2 * UUS)]
    version = run.original_model_id
    for (text,) in read(whole.run.workspace, "select evidence from hypotheses"):
        evidence = json.loads(text)
        assert (evidence["probes"], evidence["attacks"], evidence["tool_calls"]) == (2, 1, 2)
        assert evidence["model_id"] == version
    assert read(whole.run.workspace, "select count(*) from hypotheses anti join teacher_calls using (call_id)") == [
        (0,)
    ]
    uus = "select count(*) from tool_calls t anti join uus using (uu_id) where caller = 'teacher'"
    assert read(whole.run.workspace, uus) == [(0,)]
    statuses = read(whole.run.workspace, "select distinct result->>'status', result->>'queries' > '0' from tool_calls "
                           "where caller = 'teacher' and tool = 'attack'")  # fmt: skip
    assert len(statuses) == 1  # the same text, the same end
    assert statuses[0][0] in ("flipped", "failed", "skipped")

    stop_at = in_one_go + 7
    with pytest.raises(Cancelled):
        await asyncio.to_thread(start_run, broken, show=nothing, cancelled=lambda: len(teacher_server.asked) >= stop_at)
    assert len(teacher_server.asked) < 2 * in_one_go
    await asyncio.to_thread(resume_run, Path(broken.run.workspace), None, show=nothing, cancelled=lambda: False)
    assert len(teacher_server.asked) == 2 * in_one_go
    for sql in PROBED:
        assert read(broken.run.workspace, sql) == read(whole.run.workspace, sql)


async def test_the_tools_ask_the_model_version_they_were_made_for(
    teacher_server: TeacherServer, classifier: tuple[Path, Path], tmp_path: Path
) -> None:
    teacher_server.respond = probing_well(teacher_server)
    settings = make_settings(*classifier, tmp_path, {"spec": teacher_server.spec("openai"), "autonomy": "probing"})
    with pytest.raises(Cancelled):
        await asyncio.to_thread(start_run, settings, show=nothing, cancelled=lambda: bool(teacher_server.asked))
    with Store.open(Path(settings.run.workspace)) as store:
        ((run,), (dataset,)) = store.rows(Run), store.rows(Dataset)
        source = source_of(settings)
        context = Context(
            run_id=run.run_id, settings=settings, store=store, workspace=store.workspace, source=source,
            dataset=dataset, cancelled=lambda: False, show=nothing,
        )  # fmt: skip
        uu, *_ = sorted((uu for uu in store.rows(Uu) if uu.kind == "natural"), key=lambda uu: uu.uu_id)
        (good, *_) = [row for row in store.rows(Prediction) if row.predicted == row.label and row.confidence > 0.6]
        sample = store.one(Sample, sample_id=good.subject_id)
        assert sample is not None
        probes = VersionProbes(context, uu.model_id)
        texts = [Labelled(uu.fields, uu.label), Labelled(uu.fields, uu.predicted), Labelled(sample.fields, good.label)]
        verdicts = await probes.classify(texts)
        assert [verdict.is_uu for verdict in verdicts] == [True, False, False]
        assert [verdict.predicted for verdict in verdicts] == [uu.predicted, uu.predicted, good.label]
        assert [verdict.confidence for verdict in verdicts] == pytest.approx([uu.confidence] * 2 + [good.confidence])
        wrong, *attacks = [await probes.attack(texts[n], "deepwordbug") for n in (0, 2, 2)]
        assert (wrong.status, wrong.verdict, wrong.fields) == ("skipped", verdicts[0], None)
        assert attacks[0] == attacks[1]
        assert attacks[0].queries > 1
        if attacks[0].fields is not None:
            (after,) = await probes.classify([Labelled(attacks[0].fields, good.label)])
            assert attacks[0].verdict == after
            assert after.predicted != good.label
        same, other = [await probes.compare(uu.fields, fields) for fields in (uu.fields, sample.fields)]
        assert (same.meaning, same.characters) == pytest.approx((1, 1), abs=1e-3)
        assert other.characters < 1
        assert other.meaning < same.meaning
        await probes.aclose()


@pytest.mark.parametrize("spec", ["rules", "file:answers"])
@pytest.mark.parametrize("autonomy", ["probing", "autonomous"])
def test_a_teacher_that_cannot_call_tools_is_refused_before_anything_is_written(
    classifier: tuple[Path, Path], tmp_path: Path, spec: str, autonomy: str
) -> None:
    settings = make_settings(*classifier, tmp_path, {"spec": spec, "autonomy": autonomy})
    with pytest.raises(
        SettingsError, match=f'teacher.autonomy = "{autonomy}": {spec[:4]}.* cannot call tools'
    ) as caught:
        start_run(settings, show=nothing, cancelled=lambda: False)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "workspace").exists()
