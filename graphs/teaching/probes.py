"""The tools of a probing teacher on a round's model version, and their record in the store."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cached_property
from threading import Event
from typing import TYPE_CHECKING, Any, TypeVar

from blindspot.agents.teachers.toolbox import Labelled, Likeness, Perturbation, ProbeResult
from blindspot.graphs.context import Context
from blindspot.graphs.shared.attacks import plan_of
from blindspot.graphs.versions.versions import load_version
from blindspot.storage.ids import make_id
from blindspot.storage.records import Attack, Fields, Sample, ToolCall
from blindspot.tools.attack.plan import SampleLimits
from blindspot.tools.uu import is_uu

if TYPE_CHECKING:
    from blindspot.tools.attack.attacker import Attacker, Models
    from blindspot.tools.classifier.classifier import Classifier
    from blindspot.tools.text.similarity import BertScorer

T = TypeVar("T")

MOST_QUERIES = 1_000  # of one attack that a teacher asks for: the others wait for it


class VersionProbes:
    """Probes of one model version; see Probes for what its methods do.

    Models are loaded by the first use, and used in one thread: what the teacher asks about several UUs at once is done
    one after another, off the event loop.
    """

    def __init__(self, context: Context, model_id: str) -> None:
        self.model_id = model_id
        self.tau = context.settings.run.tau
        self.recipes = context.settings.attack.recipes
        self._context = context
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="probes")
        self._closed = Event()
        self._attackers: dict[str, Attacker] = {}

    async def classify(self, texts: Sequence[Labelled]) -> list[ProbeResult]:
        """Ask the classifier about each text."""
        return await self._in_thread(self._classify, texts)

    async def attack(self, text: Labelled, recipe: str) -> Perturbation:
        """Attack one text, with at most MOST_QUERIES queries; what comes of it depends on the text alone."""
        return await self._in_thread(self._attack, text, recipe)

    async def compare(self, text: Fields, other: Fields) -> Likeness:
        """Say how much alike two texts are."""
        return await self._in_thread(self._compare, text, other)

    async def find(self, tool_call_id: str) -> ToolCall | None:
        """What an earlier pass of this run recorded."""
        return await asyncio.to_thread(self._context.store.one, ToolCall, tool_call_id=tool_call_id)

    async def add(self, call: ToolCall) -> None:
        """Record a use and what it gave."""
        await asyncio.to_thread(self._context.store.add, [call])

    async def aclose(self) -> None:
        """End the thread; an attack under way stops at its next query."""
        self._closed.set()
        await asyncio.to_thread(self._thread.shutdown, cancel_futures=True)

    async def _in_thread(self, work: Callable[..., T], *arguments: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work, *arguments)

    def _classify(self, texts: Sequence[Labelled]) -> list[ProbeResult]:
        from blindspot.tools.classifier.classifier import texts_of

        asked = texts_of(texts, self._context.dataset.fields)
        predicted, confidences, _ = self._classifier.predict_labels(asked)
        return [
            self._judge(text.label, label, float(confidence))
            for text, label, confidence in zip(texts, predicted, confidences, strict=True)
        ]

    def _judge(self, truth: str, predicted: str, confidence: float) -> ProbeResult:
        return ProbeResult(predicted, confidence, is_uu(truth, predicted, confidence, self.tau))

    def _attack(self, text: Labelled, recipe: str) -> Perturbation:
        row = self._run_attack(text, recipe)
        if row.status == "error":
            return Perturbation("error", None, None, row.queries, row.error)
        after = row.status == "flipped"
        predicted, confidence = row.predicted, row.confidence
        if not after:
            predicted, confidence = row.original_predicted, row.original_confidence
        assert predicted is not None, row
        assert confidence is not None, row
        verdict = self._judge(text.label, predicted, confidence)
        return Perturbation(row.status, row.fields if after else None, verdict, row.queries)

    def _run_attack(self, text: Labelled, recipe: str) -> Attack:
        from blindspot.tools.attack.attacker import Attacker
        from blindspot.tools.attack.engine import run_jobs

        if recipe not in self._attackers:
            plan = plan_of(self._context, self.model_id, recipe)
            most = min(plan.limits.max_queries or MOST_QUERIES, MOST_QUERIES)
            # a limit in seconds would make what a teacher reads depend on the machine
            plan = replace(plan, limits=SampleLimits(max_queries=most), together=1)
            self._attackers[recipe] = Attacker.build(self._models, plan)
        attacker = self._attackers[recipe]
        sample = Sample(
            sample_id=make_id("probe", text.label, *(part for pair in sorted(text.fields.items()) for part in pair)),
            dataset_id=self._context.dataset.dataset_id,
            split="",
            row=0,
            fields=text.fields,
            label=text.label,
        )
        ((row, _),) = run_jobs([lambda: attacker.attack(sample)], together=1, cancelled=self._is_over)
        return row

    def _is_over(self) -> bool:
        return self._closed.is_set() or self._context.cancelled()

    def _compare(self, text: Fields, other: Fields) -> Likeness:
        from blindspot.tools.text.similarity import nearest_ratios, normalise, text_of

        left, right = (text_of(fields, self._context.dataset.fields) for fields in (text, other))
        meaning = self._scorer.best_f1([left], [right], cancelled=self._is_over)[0]
        return Likeness(float(meaning), float(nearest_ratios([normalise(left)], [normalise(right)])[0]))

    @cached_property
    def _classifier(self) -> Classifier:
        return load_version(self._context, self._context.model(self.model_id))

    @cached_property
    def _models(self) -> Models:
        from blindspot.tools.attack.attacker import Models, oracle_of

        classes = len(self._context.dataset.labels)
        return Models(oracle_of(self._classifier, classes, batch=self._classifier.texts_per_call))

    @cached_property
    def _scorer(self) -> BertScorer:
        from blindspot.tools.text.similarity import BertScorer

        settings = self._context.settings
        return BertScorer(settings.filter.encoder, device=settings.classifier.device)
