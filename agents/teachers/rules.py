"""The `rules` teacher: states the pattern of a UU and rewrites training samples alike. No model, no network.

It sees the training samples and one UU at a time; never the classifier, never the test split.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from zlib import crc32

import numpy as np

from blindspot.agents.teachers.patterns import Pattern, abstraction_of, extrapolation_of, join, read_pattern
from blindspot.agents.teachers.teacher import Case, Draft, Explanation, Hypotheses, ProgramDraft, Refutation
from blindspot.storage.errors import MalformedAnswer
from blindspot.storage.records import Fields, Sample
from blindspot.storage.words import HypothesisKind
from blindspot.tools.programs.conditions import LabelIs
from blindspot.tools.programs.edit_types import AnyEdit, ChangeNames, Insert, Misspell, Replace, Swap
from blindspot.tools.programs.vocabulary import ParsedProgram
from blindspot.tools.text.rewrite import SLIPS, Slip, misspell_words, swap_words, transplant
from blindspot.tools.text.vocabulary import ENGLISH, Vocabulary, overlap, split_sentences, words_of

MOST_SWAPPED = 30  # telling words of a label that give way to the UU's
MOST_PLACES = 2  # of one text

LEAST_SHARE = 0.12  # of a text's words that are misspelt or rewritten: fewer would make a near copy of another
CARRIERS_COMPARED = 20  # training samples among which the most fitting one is taken


def state_programs(case: Case, pattern: Pattern, vocabulary: Vocabulary) -> list[tuple[HypothesisKind, ParsedProgram]]:
    """State a UU's pattern and its turn as programs.

    Returns: the kind of the hypothesis that each states, and the program.
    """
    others = tuple(label for label in case.labels if label != case.label)
    if pattern.kind == "slips":
        return [
            ("abstraction", program((case.label,), misspelling(pattern, pattern.slips))),
            ("extrapolation", program(others or case.labels, misspelling(pattern, pattern.other_slips))),
        ]
    if len(case.field_names) > 1:
        return [("extrapolation", program((case.label,), ChangeNames(kind="change_names", other_field="same_edit")))]
    swapped = swap_telling(case, pattern, vocabulary)
    stated: list[tuple[HypothesisKind, ParsedProgram]] = []
    if swapped:
        stated.append(("extrapolation", program((case.label,), swapped)))
    (name,) = case.field_names
    text = (case.perturbed or case.original)[name]
    holding = [one for one in split_sentences(text) if not set(words_of(one)).isdisjoint(pattern.words)]
    phrases = tuple(one.strip()[:300] for one in holding if one.strip())
    if phrases and swapped:
        sentence = Insert(kind="insert", phrases=phrases[:20], at="end")
        stated.insert(0, ("abstraction", program((case.label,), swapped, sentence)))
    return stated


def program(labels: Sequence[str], *edits: AnyEdit) -> ParsedProgram:
    """Edits of the samples of some labels, which keep their label."""
    return ParsedProgram(where=(LabelIs(kind="label_is", labels=tuple(labels)),), edits=edits)


def misspelling(pattern: Pattern, slips: Sequence[Slip]) -> Misspell:
    """Slips as the UU shows them, in as large a share of words."""
    return Misspell(
        kind="misspell",
        slips=tuple(slips) or SLIPS,
        which="telling" if pattern.is_telling else "content",
        share=min(1.0, max(pattern.share, LEAST_SHARE)),
    )


def swap_telling(case: Case, pattern: Pattern, vocabulary: Vocabulary) -> Replace | None:
    """The UU's words in the place of the words that speak most for its label; None where no word does."""
    cues = tuple(dict.fromkeys(pattern.words))
    speaking = [word for word in vocabulary.words_for(case.label) if word not in cues and word not in ENGLISH]
    if not cues or not speaking:
        return None
    swaps = tuple(Swap(old=word, new=cues) for word in speaking[:MOST_SWAPPED])
    return Replace(kind="replace", swaps=swaps, at_most=MOST_PLACES)


class RulesTeacher:
    """Teaches by rule.

    Args:
        training: the training samples; a rewritten one keeps its label.
        field_names: the data set's fields.
        seed: makes every draw, together with the UU's id.
    """

    spec = "rules"

    def __init__(self, training: Sequence[Sample], field_names: Sequence[str], *, seed: int) -> None:
        self.field_names = tuple(field_names)
        self.seed = seed
        self.rows = len(training)
        self.by_label: dict[str, list[Sample]] = {}
        for sample in sorted(training, key=lambda sample: sample.sample_id):
            if all(words_of(text) for text in sample.fields.values()):
                self.by_label.setdefault(sample.label, []).append(sample)
        self.vocabulary = Vocabulary((sample.label, join(sample.fields)) for sample in training)

    def begin_round(self, run_id: str, number: int) -> None:
        """Nothing depends on the round."""

    async def aclose(self) -> None:
        """Nothing is open."""

    async def abstract(self, case: Case) -> Explanation:
        return abstraction_of(case, read_pattern(case, self.vocabulary), rows=self.rows)

    async def extrapolate(self, case: Case, abstraction: Explanation) -> Explanation:  # noqa: ARG002 - its own turn
        return extrapolation_of(case, read_pattern(case, self.vocabulary))

    async def generate(self, case: Case, hypothesis: Explanation, kind: HypothesisKind, n: int) -> list[Draft]:
        """Rewrite n training samples in the way the hypothesis says."""
        pattern = read_pattern(case, self.vocabulary)
        drafts = []
        for position in range(n):
            rng = np.random.default_rng([self.seed, crc32(f"{case.uu_id}:{kind}:{position}".encode())])
            if pattern.kind == "slips" or (pattern.kind, kind) == ("cues", "extrapolation"):
                carrier, fields = self.with_slips(case, pattern, kind, rng)
            elif len(self.field_names) > 1:
                carrier, fields = self.with_names(case, kind, rng)
            else:
                carrier, fields = self.with_words(case, pattern, kind, rng)
            reasoning = f"Rewritten from training sample {carrier.row}. {hypothesis.text}"
            drafts.append(Draft(fields, carrier.label, reasoning, None))
        return drafts

    async def formalise(self, case: Case, hypotheses: Hypotheses, n: int) -> list[ProgramDraft]:
        """State the pattern and its turn as programs."""
        stated = state_programs(case, read_pattern(case, self.vocabulary), self.vocabulary)
        return [
            ProgramDraft(kind, program, hypotheses[kind].reasoning, None)
            for kind, program in stated[:n]
            if kind in hypotheses
        ]

    async def revise(self, case: Case, refutation: Refutation) -> ProgramDraft | None:  # noqa: ARG002 - rules have one turn
        """Nothing: a rule has no second thought."""
        return None

    def draw(self, label: str, rng: np.random.Generator) -> Sample:
        """Draw a training sample of a label.

        Raises: MalformedAnswer, when none has words to rewrite.
        """
        samples = self.by_label.get(label)
        if not samples:
            raise MalformedAnswer(f"no rule applies: no training sample labelled {label} has words to rewrite")
        return samples[int(rng.integers(len(samples)))]

    def with_slips(
        self, case: Case, pattern: Pattern, kind: HypothesisKind, rng: np.random.Generator
    ) -> tuple[Sample, Fields]:
        """Misspell a training sample.

        An abstraction repeats the UU's slips under its label; an extrapolation makes other slips under another label.
        Of a UU without slips, all sorts are made under its own label.
        """
        label, slips = case.label, pattern.slips or SLIPS
        others = sorted(set(self.by_label) - {case.label})
        if kind == "extrapolation" and others and pattern.slips:
            label, slips = others[int(rng.integers(len(others)))], pattern.other_slips
        carrier = self.draw(label, rng)
        text = join(carrier.fields)
        words = [word for word in self.vocabulary.telling(text, label) if len(word) > 2]
        if pattern.slips and not pattern.is_telling:
            words = [words[int(index)] for index in rng.permutation(len(words))]
        count = max(2, round(max(pattern.share, LEAST_SHARE) * len(words_of(text))))
        return carrier, misspell_words(carrier.fields, words[:count], slips, rng)

    def with_words(
        self, case: Case, pattern: Pattern, kind: HypothesisKind, rng: np.random.Generator
    ) -> tuple[Sample, Fields]:
        """Bring the UU's words into another sample of its true label.

        An abstraction transplants the UU's own sentence, in place of the one that speaks most for the label. An
        extrapolation puts one of the words in place of a telling word that follows the same word as it does in the
        UU, after a sentence that says little.
        """
        (name,) = self.field_names
        text = (case.perturbed or case.original)[name]
        if kind == "abstraction":
            carrier = self.draw(case.label, rng)
            holding = [one for one in split_sentences(text) if not set(words_of(one)).isdisjoint(pattern.words)]
            weights = [self.sentence_weight(one, case.label) for one in split_sentences(carrier.fields[name])]
            return carrier, {name: transplant(carrier.fields[name], pick(holding, rng), out=int(np.argmax(weights)))}
        cue = pick(pattern.words, rng)
        drawn = [self.draw(case.label, rng) for _ in range(CARRIERS_COMPARED)]
        slots = [(sample, self.find_slot(sample.fields[name], case.label, followed(text, cue))) for sample in drawn]
        carrier, slot = next(((sample, slot) for sample, slot in slots if slot), (drawn[0], None))
        out = slot or self.vocabulary.telling(carrier.fields[name], case.label)[0]
        talk = split_sentences(self.draw(case.label, rng).fields[name])
        quiet = min(talk, key=lambda one: self.sentence_weight(one, case.label))
        return carrier, {name: f"{quiet} {swap_words(carrier.fields, {out: cue})[name]}"}

    def find_slot(self, text: str, label: str, before: set[str]) -> str | None:
        """Find the most telling word for a label that follows one of the given words; None where there is none."""
        speaking = [word for word in self.vocabulary.telling(text, label) if self.vocabulary.weight(word, label) > 0]
        return next((word for word in speaking if followed(text, word) & before), None)

    def with_names(self, case: Case, kind: HypothesisKind, rng: np.random.Generator) -> tuple[Sample, Fields]:
        """Rename what a sample's texts share, in all of them alike.

        An abstraction takes the UU's own rare words. An extrapolation takes another sample's, and renames the training
        sample whose texts overlap most as the UU's do.
        """
        texts = [(case.perturbed or case.original)[name] for name in self.field_names]
        drawn = [self.draw(case.label, rng) for _ in range(1 if kind == "abstraction" else CARRIERS_COMPARED)]
        carrier = min(drawn, key=lambda sample: abs(overlap(list(sample.fields.values())) - overlap(texts)))
        donor = " ".join(texts) if kind == "abstraction" else join(self.draw(case.label, rng).fields)
        first, *others = (
            [word for word in words_of(carrier.fields[name]) if len(word) > 3] for name in self.field_names
        )
        shared = self.rarest([word for word in first if any(word in other for other in others)])
        names = [word for word in self.rarest(words_of(donor)) if word not in first and len(word) > 3]
        count = max(3, round(LEAST_SHARE * len(words_of(join(carrier.fields)))))
        return carrier, swap_words(carrier.fields, dict(zip(shared[:count], names, strict=False)))

    def rarest(self, words: Sequence[str]) -> list[str]:
        """Each word once, the rarest in training first; ties in alphabetical order."""
        return sorted(set(words), key=lambda word: (self.vocabulary.texts_with[word], word))

    def sentence_weight(self, sentence: str, label: str) -> float:
        """The weight of a sentence's most telling word for a label."""
        return max((self.vocabulary.weight(word, label) for word in words_of(sentence)), default=0.0)


def followed(text: str, word: str) -> set[str]:
    """The words that a word follows in a text."""
    words = words_of(text)
    return {before for before, after in pairwise(words) if after == word}


def pick(options: Sequence[str], rng: np.random.Generator) -> str:
    return options[int(rng.integers(len(options)))]
