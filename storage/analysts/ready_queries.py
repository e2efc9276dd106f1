"""The ready queries, in the order in which they are listed. They read tables and views of the newest version."""

from __future__ import annotations

from collections.abc import Mapping

from blindspot.storage.analysts.ready_query import ReadyQuery
from blindspot.storage.analysts.teacher_queries import (
    REJECTED_SAMPLES,
    SPEND_PER_UU,
    TEACHER_AGREEMENT,
    WORKING_HYPOTHESES,
)
from blindspot.storage.schema.uu import is_adversarial_uu, is_uu
from blindspot.storage.schema.view import RUN
from blindspot.storage.words import RECALL

ROUND_CHANGES = ReadyQuery(
    "round-changes",
    "What changed between two rounds: the metrics of their model versions, the texts they get right, what was taught "
    "and spent?",
    {
        "run_id": RUN,
        "first": "The earlier round of the two; 0 stands for the original model version.",
        "second": "The later one.",
        "what": "What is compared: a metric on the test split (UUs at the run's tau), or what was done in the round.",
        "recipe": "The attack the texts went through, all for several attacks together; empty for texts as they are.",
        "before": "The figure of the first round.",
        "after": "The figure of the second.",
        "difference": "After minus before.",
    },
    f"""
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
      AND (metric IN ('accuracy', 'balanced_accuracy', 'uus', 'uus_matched', 'aurc', 'ece', 'brier', 'mean_confidence',
                      'attack_success_rate', 'queries_per_sample') OR starts_with(metric, '{RECALL}'))
    GROUP BY model_id, metric, recipe, threshold
    QUALIFY recipe IS DISTINCT FROM 'all'
         OR len(list_distinct(list(recipe) FILTER (recipe <> 'all') OVER (PARTITION BY model_id))) > 1
), measured AS (
    SELECT * FROM pairs
    WHERE model_a IN (SELECT model_id FROM figures) AND model_b IN (SELECT model_id FROM figures)
), wrong AS (
    SELECT p.model_id, p.subject_id, p.label, p.predicted, p.confidence
    FROM predictions p JOIN samples s ON s.sample_id = p.subject_id
    WHERE p.subject_kind = 'sample' AND p.predicted <> p.label AND s.split = 'test'
      AND p.model_id IN (SELECT model_id FROM versions)
), turns AS ( -- what a version that was measured has not got wrong, it has got right
    SELECT c.run_id, c.first, c.second, 'UUs that are now right' AS what,
           count(a.subject_id) - count(b.subject_id) AS texts
    FROM measured c
    LEFT JOIN wrong a ON a.model_id = c.model_a AND {is_uu("a", "c.tau")}
    LEFT JOIN wrong b ON b.model_id = c.model_b AND b.subject_id = a.subject_id
    GROUP BY ALL
    UNION ALL
    SELECT c.run_id, c.first, c.second, 'UUs that were right before', count(b.subject_id) - count(a.subject_id)
    FROM measured c
    LEFT JOIN wrong b ON b.model_id = c.model_b AND {is_uu("b", "c.tau")}
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
    SELECT c.run_id, c.first, c.second,
           if(starts_with(a.metric, '{RECALL}'), a.metric, replace(a.metric, '_', ' ')) AS what, a.recipe,
           a.value AS before, b.value AS after, 0 AS part
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


UUS_BY_PART_OF_SPEECH = ReadyQuery(
    "uus-by-part-of-speech",
    "Which parts of speech did attacks change to make UUs?",
    {
        "run_id": RUN,
        "recipe": "The attack.",
        "part_of_speech": "Of the changed word; inserted where there was no word; unknown where none is recorded.",
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

# Wilson's interval of a share, as tools/metrics/statistics.py has it; 1.96 is the normal distribution's 97.5 % point.
ATTACK_SUCCESS_BY_LENGTH = ReadyQuery(
    "attack-success-by-length",
    "Do attacks succeed more on short texts or on long ones?",
    {
        "run_id": RUN,
        "split": "The split the samples are from.",
        "recipe": "The attack.",
        "round": "The round that made the model version under attack, 0 for the original.",
        "words_from": "Fewest words of a text in the row.",
        "words_to": "Most words; each row's texts are twice as long as those of the row before.",
        "attacked": "Samples of this length that were right before the attack.",
        "flipped": "Samples whose label it flipped.",
        "success_rate": "Flipped ones as a share of the attacked.",
        "low": "Lower end of the rate's 95 % interval (Wilson).",
        "high": "Upper end of it.",
        "uus": "Flipped ones with a confidence of at least the run's tau.",
        "queries_per_sample": "Queries to the model version for an attacked sample, on average.",
    },
    f"""
WITH bins AS (
    SELECT a.run_id, a.split, a.recipe, m.round, CAST(floor(log2(greatest(a.words, 1))) AS INTEGER) AS bin,
           a.status = 'flipped' AS flipped, {is_adversarial_uu("a", "r.tau")} AS is_uu, a.queries
    FROM attacks a
    JOIN runs r ON r.run_id = a.run_id
    LEFT JOIN model_versions m ON m.model_id = a.model_id
    WHERE a.status IN ('flipped', 'failed') AND a.run_id = coalesce($run, a.run_id)
), counts AS (
    SELECT run_id, split, recipe, round, bin, count(*) AS n, count(*) FILTER (flipped) AS flipped,
           count(*) FILTER (is_uu) AS uus, avg(queries) AS queries,
           count(*) FILTER (flipped) / count(*) AS rate, 1.96 * 1.96 / count(*) AS z2n
    FROM bins GROUP BY ALL
)
SELECT run_id, split, recipe, round, CAST(2 ** bin AS BIGINT) AS words_from,
       CAST(2 ** (bin + 1) AS BIGINT) - 1 AS words_to, n AS attacked, flipped, rate AS success_rate,
       greatest(0, (rate + z2n / 2 - sqrt(z2n * (rate * (1 - rate) + z2n / 4))) / (1 + z2n)) AS low,
       least(1, (rate + z2n / 2 + sqrt(z2n * (rate * (1 - rate) + z2n / 4))) / (1 + z2n)) AS high,
       uus, queries AS queries_per_sample
FROM counts ORDER BY run_id, split, recipe, round, bin
""",
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
