"""The ready queries: questions that take more than a view, each by a name, for one run or for all.

In each, `$run` is the run that is meant, NULL for all of them. They read tables and views of the newest version.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from blindspot.storage.database import literal
from blindspot.storage.view import ROUND, RUN

RUN_PARAMETER = "run"


@dataclass(frozen=True, slots=True)
class ReadyQuery:
    """A query with what it answers, and what its columns (in order) and further parameters hold, in plain words."""

    name: str
    question: str
    columns: dict[str, str]
    sql: str
    parameters: Mapping[str, str] = field(default_factory=dict)  # beside `run`; each is NULL where it is not given

    def values(self, given: Mapping[str, object]) -> dict[str, object]:
        """The values of all parameters, NULL for those that are not given."""
        return {name: given.get(name) for name in (RUN_PARAMETER, *self.parameters)}

    def text(self, given: Mapping[str, object]) -> str:
        """The query as any client of DuckDB takes it: described, with values in the place of parameters."""
        about = [self.question, *(f"  {name}: {told}" for name, told in self.columns.items())]
        sql = self.sql.strip()
        for name, value in self.values(given).items():
            sql = sql.replace(f"${name}", constant(value))
        return "".join(f"-- {line}\n" for line in about) + sql


def constant(value: object) -> str:
    """A value as a constant of SQL."""
    if value is None:
        return "NULL"
    if isinstance(value, int | float):
        return str(value)
    return literal(value if isinstance(value, str) else json.dumps(value))


WORKING_HYPOTHESES = ReadyQuery(
    "working-hypotheses",
    "Which hypotheses led to accepted samples, and are about a UU that the round's new model version gets right?",
    {
        "run_id": RUN,
        "round": ROUND,
        "teacher": "Who stated the hypothesis, as a spec.",
        "kind": "abstraction (of this blind spot) or extrapolation (to an unseen one).",
        "text": "The hypothesis.",
        "samples_accepted": "Synthetic samples written after it that passed the filter.",
        "samples_written": "All that were written after it.",
        "uu_id": "The UU it explains (uus).",
        "recipe": "The attack that found the UU; empty for natural UUs.",
        "wrong_before": "How confident the old model version was of the wrong label, in [0, 1].",
        "right_after": "How confident the new one is of the true label, in [0, 1].",
        "version_accepted": "Whether the new model version replaced the old one.",
    },
    """
SELECT h.run_id, h.round, h.teacher, h.kind, h.text, w.accepted AS samples_accepted, w.written AS samples_written,
       u.uu_id, u.recipe, u.confidence AS wrong_before, p.confidence AS right_after, r.accepted AS version_accepted
FROM hypotheses h
JOIN (
    SELECT hypothesis_id, count(*) AS written, count(*) FILTER (accepted) AS accepted
    FROM synthetic_samples GROUP BY hypothesis_id
) w ON w.hypothesis_id = h.hypothesis_id AND w.accepted > 0
JOIN uus u ON u.uu_id = h.uu_id
JOIN rounds r ON r.run_id = h.run_id AND r.round = h.round
JOIN predictions p ON p.model_id = r.new_model_id AND p.subject_id = coalesce(u.attack_id, u.sample_id)
WHERE p.predicted = u.label AND h.run_id = coalesce($run, h.run_id)
ORDER BY h.run_id, h.round, w.accepted DESC, u.confidence DESC, u.uu_id, h.kind
""",
)

UUS_BY_PART_OF_SPEECH = ReadyQuery(
    "uus-by-part-of-speech",
    "Which parts of speech did attacks change to make UUs?",
    {
        "run_id": RUN,
        "recipe": "The attack.",
        "part_of_speech": "Of the changed word; inserted, where none was before; unknown, where none is recorded.",
        "uus": "UUs with at least one such word changed.",
        "share_of_uus": "The same as a share of the recipe's UUs; shares add up to more than 1.",
        "changed_words": "Such words that were changed in them.",
        "mean_confidence": "Confidence in the wrong label, on average over those UUs.",
        "example": "Two of the changes.",
    },
    """
WITH adversarial AS (
    SELECT run_id, recipe, uu_id, attack_id, confidence FROM uus
    WHERE kind = 'adversarial' AND run_id = coalesce($run, run_id)
), counts AS (
    SELECT run_id, recipe, count(*) AS uus FROM adversarial GROUP BY run_id, recipe
), changes AS (
    SELECT u.run_id, u.recipe, u.uu_id, any_value(u.confidence) AS confidence, count(w.attack_id) AS changed_words,
           CASE WHEN w.before = '' THEN 'inserted' ELSE coalesce(w.part_of_speech, 'unknown') END AS part_of_speech,
           min(w.before || ' > ' || w.after) AS change
    FROM adversarial u LEFT JOIN changed_words w ON w.attack_id = u.attack_id
    GROUP BY ALL
)
SELECT w.run_id, w.recipe, w.part_of_speech, count(*) AS uus, count(*) / any_value(c.uus) AS share_of_uus,
       CAST(sum(w.changed_words) AS BIGINT) AS changed_words, avg(w.confidence) AS mean_confidence,
       array_to_string(min(w.change, 2), ', ') AS example
FROM changes w JOIN counts c ON c.run_id = w.run_id AND c.recipe IS NOT DISTINCT FROM w.recipe
GROUP BY w.run_id, w.recipe, w.part_of_speech
ORDER BY w.run_id, w.recipe, uus DESC, w.part_of_speech
""",
)

SPEND_PER_UU = ReadyQuery(
    "spend-per-uu",
    "What did each teacher cost for every UU that its runs removed from the test split?",
    {
        "teacher": "The teacher, as a spec.",
        "runs": "Its runs of which before and after are measured; the other columns are about these.",
        "unmeasured": "Its other runs: not that far yet, or ended before.",
        "calls": "Questions that were put to it, answers out of the cache left out.",
        "tokens": "Tokens of questions and answers.",
        "cost_usd": "US dollars; calls without a known price are left out.",
        "unpriced": "Answers whose price is not known.",
        "uus_before": "UUs of the original model versions at the runs' tau, all attacks together.",
        "uus_removed": "How many fewer the final model versions have.",
        "usd_per_uu_removed": "US dollars for each of them; empty where there are none, or a price is not known.",
        "calls_per_uu_removed": "Calls for each of them; empty where there are none.",
    },
    """
WITH costs AS (
    SELECT c.*, c.uus_removed IS NOT NULL AS measured
    FROM run_cost c JOIN runs r ON r.run_id = c.run_id
    WHERE r.kind = 'mitigation' AND r.teacher <> 'none' AND r.run_id = coalesce($run, r.run_id)
), sums AS (
    SELECT teacher, count(*) FILTER (measured) AS runs, count(*) FILTER (NOT measured) AS unmeasured,
           sum(calls) FILTER (measured) AS calls, sum(tokens_in + tokens_out) FILTER (measured) AS tokens,
           sum(cost_usd) FILTER (measured) AS cost_usd, sum(unpriced) FILTER (measured) AS unpriced,
           sum(uus_before) AS uus_before, sum(uus_removed) AS uus_removed
    FROM costs GROUP BY teacher
)
SELECT teacher, runs, unmeasured, CAST(coalesce(calls, 0) AS BIGINT) AS calls,
       CAST(coalesce(tokens, 0) AS BIGINT) AS tokens, cost_usd, CAST(coalesce(unpriced, 0) AS BIGINT) AS unpriced,
       CAST(uus_before AS BIGINT) AS uus_before, CAST(uus_removed AS BIGINT) AS uus_removed,
       CASE WHEN uus_removed > 0 AND unpriced = 0 THEN cost_usd / uus_removed END AS usd_per_uu_removed,
       CASE WHEN uus_removed > 0 THEN calls / uus_removed END AS calls_per_uu_removed
FROM sums ORDER BY usd_per_uu_removed NULLS LAST, teacher
""",
)

TEACHER_AGREEMENT = ReadyQuery(
    "teacher-agreement",
    "How far do two teachers agree that were shown the same UUs (blindspot compare-teachers)?",
    {
        "run_id": RUN,
        "teacher_a": "One teacher, as a spec.",
        "teacher_b": "The other.",
        "kind": "What is compared: abstractions or extrapolations, and the samples written after them.",
        "uus": "UUs that both explained.",
        "words_shared": "Different words that both hypotheses about a UU have, as a share of those that either has, "
        "on average: 1 is the same words, 0 no word in common.",
        "words_shared_by_chance": "The same between a hypothesis of a and what b said of another UU.",
        "samples": "Pairs of samples, the first of each teacher after its hypothesis, the second of each, and so on.",
        "same_label": "Share of pairs with the same label.",
        "same_label_by_chance": "What that would be if each teacher gave its labels out at random.",
        "same_verdict": "Share of pairs of which the filter accepted both or neither.",
        "same_verdict_by_chance": "What that would be if each teacher's share were accepted at random.",
    },
    r"""
WITH stated AS (
    SELECT h.run_id, h.uu_id, h.kind, h.teacher, h.hypothesis_id,
           list_distinct(regexp_extract_all(lower(h.text), '[\p{L}\p{N}]+')) AS words
    FROM hypotheses h JOIN runs r ON r.run_id = h.run_id
    WHERE r.kind = 'comparison' AND r.run_id = coalesce($run, r.run_id)
), turned AS (
    SELECT *, CASE WHEN count(*) OVER everyone > 1
                   THEN coalesce(lead(words) OVER in_turn, first_value(words) OVER in_turn) END AS words_elsewhere
    FROM stated
    WINDOW everyone AS (PARTITION BY run_id, kind, teacher),
           in_turn AS (PARTITION BY run_id, kind, teacher ORDER BY uu_id)
), pairs AS (
    SELECT a.run_id, a.teacher AS teacher_a, b.teacher AS teacher_b, a.kind, a.hypothesis_id AS id_a,
           b.hypothesis_id AS id_b, len(a.words) + len(b.words) AS words,
           len(a.words) + len(b.words_elsewhere) AS words_elsewhere, len(list_intersect(a.words, b.words)) AS common,
           len(list_intersect(a.words, b.words_elsewhere)) AS common_elsewhere
    FROM turned a JOIN turned b
        ON b.run_id = a.run_id AND b.uu_id = a.uu_id AND b.kind = a.kind AND b.teacher > a.teacher
), samples_of_pairs AS (
    SELECT p.run_id, p.teacher_a, p.teacher_b, p.kind, y.label AS label_a, z.label AS label_b,
           CAST(y.accepted AS INTEGER) AS accepted_a, CAST(z.accepted AS INTEGER) AS accepted_b
    FROM pairs p
    JOIN synthetic_samples y ON y.hypothesis_id = p.id_a
    JOIN synthetic_samples z ON z.hypothesis_id = p.id_b AND z.position = y.position
), labels_by_chance AS (
    SELECT run_id, teacher_a, teacher_b, kind, sum(a * b) / any_value(total * total) AS by_chance
    FROM (
        SELECT run_id, teacher_a, teacher_b, kind, label, sum(is_a) AS a, sum(is_b) AS b,
               sum(sum(is_a)) OVER (PARTITION BY run_id, teacher_a, teacher_b, kind) AS total
        FROM (
            SELECT run_id, teacher_a, teacher_b, kind, label_a AS label, 1 AS is_a, 0 AS is_b FROM samples_of_pairs
            UNION ALL
            SELECT run_id, teacher_a, teacher_b, kind, label_b, 0, 1 FROM samples_of_pairs
        ) GROUP BY run_id, teacher_a, teacher_b, kind, label
    ) GROUP BY run_id, teacher_a, teacher_b, kind
), samples_compared AS (
    SELECT run_id, teacher_a, teacher_b, kind, count(*) AS samples,
           avg(CAST(label_a = label_b AS INTEGER)) AS same_label,
           avg(CAST(accepted_a = accepted_b AS INTEGER)) AS same_verdict,
           avg(accepted_a) * avg(accepted_b) + (1 - avg(accepted_a)) * (1 - avg(accepted_b)) AS verdict_by_chance
    FROM samples_of_pairs GROUP BY ALL
), hypotheses_compared AS (
    SELECT run_id, teacher_a, teacher_b, kind, count(*) AS uus, avg(common / (words - common)) AS shared,
           avg(common_elsewhere / (words_elsewhere - common_elsewhere)) AS shared_by_chance
    FROM pairs GROUP BY ALL
)
SELECT h.run_id, h.teacher_a, h.teacher_b, h.kind, h.uus, h.shared AS words_shared,
       h.shared_by_chance AS words_shared_by_chance, coalesce(s.samples, 0) AS samples, s.same_label,
       l.by_chance AS same_label_by_chance, s.same_verdict, s.verdict_by_chance AS same_verdict_by_chance
FROM hypotheses_compared h
LEFT JOIN samples_compared s USING (run_id, teacher_a, teacher_b, kind)
LEFT JOIN labels_by_chance l USING (run_id, teacher_a, teacher_b, kind)
ORDER BY h.run_id, h.teacher_a, h.teacher_b, h.kind
""",
)

# Wilson's interval of a share, as tools/statistics.py has it; 1.96 is the normal distribution's 97.5 % point.
ATTACK_SUCCESS_BY_LENGTH = ReadyQuery(
    "attack-success-by-length",
    "Do attacks succeed more on short texts or on long ones?",
    {
        "run_id": RUN,
        "split": "The split the samples are from.",
        "recipe": "The attack.",
        "model_id": "The model version under attack (model_versions).",
        "round": "The round that made it, 0 for the original.",
        "words_from": "Fewest words of a text in the row.",
        "words_to": "Most words; each row's texts are twice as long as those of the row before.",
        "attacked": "Samples of such a length that were right before the attack.",
        "flipped": "Samples whose label it flipped.",
        "success_rate": "Flipped ones as a share of the attacked.",
        "low": "Lower end of the rate's 95 % interval (Wilson).",
        "high": "Upper end of it.",
        "uus": "Flipped ones with a confidence of at least the run's tau.",
        "queries_per_sample": "Queries to the model version for an attacked sample, on average.",
    },
    """
WITH bins AS (
    SELECT a.run_id, a.split, a.recipe, a.model_id, m.round, CAST(floor(log2(greatest(a.words, 1))) AS INTEGER) AS bin,
           a.status = 'flipped' AS flipped, a.confidence >= r.tau AS sure, a.queries
    FROM attacks a
    JOIN runs r ON r.run_id = a.run_id
    LEFT JOIN model_versions m ON m.model_id = a.model_id
    WHERE a.status IN ('flipped', 'failed') AND a.run_id = coalesce($run, a.run_id)
), counts AS (
    SELECT run_id, split, recipe, model_id, round, bin, count(*) AS n, count(*) FILTER (flipped) AS flipped,
           count(*) FILTER (flipped AND sure) AS uus, avg(queries) AS queries,
           count(*) FILTER (flipped) / count(*) AS rate, 1.96 * 1.96 / count(*) AS z2n
    FROM bins GROUP BY ALL
)
SELECT run_id, split, recipe, model_id, round, CAST(2 ** bin AS BIGINT) AS words_from,
       CAST(2 ** (bin + 1) AS BIGINT) - 1 AS words_to, n AS attacked, flipped, rate AS success_rate,
       greatest(0, (rate + z2n / 2 - sqrt(z2n * (rate * (1 - rate) + z2n / 4))) / (1 + z2n)) AS low,
       least(1, (rate + z2n / 2 + sqrt(z2n * (rate * (1 - rate) + z2n / 4))) / (1 + z2n)) AS high,
       uus, queries AS queries_per_sample
FROM counts ORDER BY run_id, split, recipe, round, model_id, bin
""",
)

REJECTED_SAMPLES = ReadyQuery(
    "rejected-samples",
    "How many synthetic samples were rejected, and why?",
    {
        "run_id": RUN,
        "round": ROUND,
        "teacher": "Who wrote them, as a spec; the method, where no teacher did.",
        "kind": "What they were written after: abstraction or extrapolation; empty where no teacher wrote them.",
        "rejected_by": "The first check they failed, e.g. length or bertscore.",
        "samples": "How many.",
        "share": "The same as a share of what that teacher wrote in the round after that kind.",
        "measured": "What the check measured, median: characters (length), likeness to the nearest other text "
        "(near_duplicate), F1 (bertscore); empty for the other checks.",
        "measured_of_accepted": "The same of the samples that were accepted.",
        "example": "The text of one of them, as JSON.",
    },
    """
WITH written AS (
    SELECT y.run_id, y.round, coalesce(h.teacher, y.origin) AS teacher, h.kind, y.accepted, y.rejected_by, y.fields,
           y.synthetic_id, CAST(y.scores->>'characters' AS DOUBLE) AS characters,
           CAST(y.scores->>'bertscore' AS DOUBLE) AS bertscore,
           greatest(CAST(y.scores->>'nearest_training' AS DOUBLE), CAST(y.scores->>'nearest_synthetic' AS DOUBLE))
               AS likeness
    FROM synthetic_samples y LEFT JOIN hypotheses h ON h.hypothesis_id = y.hypothesis_id
    WHERE y.accepted IS NOT NULL AND y.run_id = coalesce($run, y.run_id)
), totals AS (
    SELECT run_id, round, teacher, kind, count(*) AS written, median(characters) FILTER (accepted) AS characters,
           median(bertscore) FILTER (accepted) AS bertscore, median(likeness) FILTER (accepted) AS likeness
    FROM written GROUP BY ALL
), rejected AS (
    SELECT run_id, round, teacher, kind, rejected_by, count(*) AS samples, median(characters) AS characters,
           median(bertscore) AS bertscore, median(likeness) AS likeness, arg_min(fields, synthetic_id) AS example
    FROM written WHERE NOT accepted GROUP BY ALL
)
SELECT r.run_id, r.round, r.teacher, r.kind, r.rejected_by, r.samples, r.samples / t.written AS share,
       CASE r.rejected_by WHEN 'length' THEN r.characters WHEN 'near_duplicate' THEN r.likeness
                          WHEN 'bertscore' THEN r.bertscore END AS measured,
       CASE r.rejected_by WHEN 'length' THEN t.characters WHEN 'near_duplicate' THEN t.likeness
                          WHEN 'bertscore' THEN t.bertscore END AS measured_of_accepted,
       r.example
FROM rejected r JOIN totals t
    ON t.run_id = r.run_id AND t.round = r.round AND t.teacher = r.teacher AND t.kind IS NOT DISTINCT FROM r.kind
ORDER BY r.run_id, r.round, r.teacher, r.kind, r.samples DESC, r.rejected_by
""",
)

ROUND_CHANGES = ReadyQuery(
    "round-changes",
    "What changed between two rounds: what their model versions measure, which texts, what was taught and spent?",
    {
        "run_id": RUN,
        "first": "The earlier round of the two; 0 stands for the original model version.",
        "second": "The later one.",
        "what": "What is compared: a metric on the test split (UUs at the run's tau), or what was done in the round.",
        "recipe": "The attack the texts went through, all for every attack's together; empty for texts as they are.",
        "before": "The figure of the first round.",
        "after": "The figure of the second.",
        "difference": "After minus before.",
    },
    """
WITH versions AS (
    SELECT run_id, 0 AS round, original_model_id AS model_id, tau FROM runs
    WHERE original_model_id IS NOT NULL AND run_id = coalesce($run, run_id)
    UNION ALL
    SELECT o.run_id, o.round, coalesce(o.new_model_id, o.model_id), r.tau
    FROM rounds o JOIN runs r ON r.run_id = o.run_id WHERE o.run_id = coalesce($run, o.run_id)
), pairs AS (
    SELECT a.run_id, a.round AS first, b.round AS second, a.model_id AS model_a, b.model_id AS model_b, a.tau
    FROM versions a JOIN versions b ON b.run_id = a.run_id AND a.round = coalesce($first, b.round - 1)
    WHERE b.round = coalesce($second, b.round) AND a.round <> b.round
), figures AS (
    SELECT model_id, metric, recipe, threshold, arg_max(value, round) AS value
    FROM evaluations
    WHERE baseline_id IS NULL AND split = 'test'
      AND metric IN ('accuracy', 'uus', 'uus_matched', 'aurc', 'ece', 'brier', 'mean_confidence', 'attack_success_rate',
                     'queries_per_sample')
    GROUP BY model_id, metric, recipe, threshold
), measured AS (
    SELECT * FROM pairs
    WHERE model_a IN (SELECT model_id FROM figures) AND model_b IN (SELECT model_id FROM figures)
), wrong AS (
    SELECT p.model_id, p.subject_id, p.confidence
    FROM predictions p JOIN samples s ON s.sample_id = p.subject_id
    WHERE p.subject_kind = 'sample' AND p.predicted <> p.label AND s.split = 'test'
      AND p.model_id IN (SELECT model_id FROM versions)
), turns AS ( -- what a version that was measured has not got wrong, it has got right
    SELECT c.run_id, c.first, c.second, 'UUs that are right now' AS what,
           count(a.subject_id) - count(b.subject_id) AS texts
    FROM measured c
    LEFT JOIN wrong a ON a.model_id = c.model_a AND a.confidence >= c.tau
    LEFT JOIN wrong b ON b.model_id = c.model_b AND b.subject_id = a.subject_id
    GROUP BY ALL
    UNION ALL
    SELECT c.run_id, c.first, c.second, 'UUs that were right before', count(b.subject_id) - count(a.subject_id)
    FROM measured c
    LEFT JOIN wrong b ON b.model_id = c.model_b AND b.confidence >= c.tau
    LEFT JOIN wrong a ON a.model_id = c.model_a AND a.subject_id = b.subject_id
    GROUP BY ALL
), done AS (
    SELECT run_id, round, unnest(['UUs found', 'hypotheses', 'samples written', 'samples accepted', 'teacher calls',
                                  'cost in US dollars']) AS what,
           unnest([CAST(uus AS DOUBLE), hypotheses, samples_written, samples_accepted, teacher_calls, cost_usd])
               AS value
    FROM round_summary LEFT JOIN (SELECT run_id, round, count(*) AS uus FROM uus GROUP BY run_id, round)
        USING (run_id, round)
)
SELECT run_id, first, second, what, recipe, before, after, after - before AS difference
FROM (
    SELECT c.run_id, c.first, c.second, replace(a.metric, '_', ' ') AS what, a.recipe, a.value AS before,
           b.value AS after, 0 AS part
    FROM pairs c
    JOIN figures a ON a.model_id = c.model_a
    JOIN figures b ON b.model_id = c.model_b AND b.metric = a.metric AND b.recipe IS NOT DISTINCT FROM a.recipe
        AND b.threshold IS NOT DISTINCT FROM a.threshold
    WHERE a.threshold IS NULL OR abs(a.threshold - c.tau) < 1e-9
    UNION ALL
    SELECT run_id, first, second, what, NULL, NULL, texts, 1 FROM turns
    UNION ALL
    SELECT c.run_id, c.first, c.second, b.what, NULL, a.value, b.value, 2
    FROM pairs c
    JOIN done b ON b.run_id = c.run_id AND b.round = c.second
    LEFT JOIN done a ON a.run_id = c.run_id AND a.round = c.first AND a.what = b.what
)
ORDER BY run_id, second, first, part, recipe NULLS FIRST, what
""",
    {"first": "round to compare; the one before", "second": "round to compare with it; every one"},
)

QUERIES = (
    WORKING_HYPOTHESES,
    UUS_BY_PART_OF_SPEECH,
    SPEND_PER_UU,
    TEACHER_AGREEMENT,
    ATTACK_SUCCESS_BY_LENGTH,
    REJECTED_SAMPLES,
    ROUND_CHANGES,
)
READY: Mapping[str, ReadyQuery] = {query.name: query for query in QUERIES}
