"""The views of what rounds changed."""

from __future__ import annotations

from blindspot.storage.records import RECALL
from blindspot.storage.schema.view import FIGURES, ROUND, RUN, View

EVENT_LOG = View(
    "event_log",
    "Events under the column names of older stores, for queries that were written for those.",
    {
        "event_id": "Identifies the event.",
        "run_id": RUN,
        "round": ROUND,
        "at": "When it happened, UTC; in the table it is happened_at.",
        "phase": "The phase it happened in, e.g. attack.",
        "level": "info, warning or error.",
        "message": "What happened.",
    },
    'SELECT event_id, run_id, round, happened_at AS "at", phase, level, message FROM events',
)

ROUND_SUMMARY = View(
    "round_summary",
    "Every round in one row: what it measured before and after, what the teacher wrote, what it cost.",
    {
        "run_id": RUN,
        "round": ROUND,
        "model_id": "The model version the round started with (model_versions).",
        "new_model_id": "The model version it trained (model_versions).",
        "accepted": "Whether the new model version replaces the old one; empty until decided.",
        "verdict": "Why, in words and numbers.",
        "accuracy_before": "Accuracy on the clean test split of the model version the round started with.",
        "accuracy_after": "The same of the new model version.",
        "majority_share": "Share of the most frequent class of the test split: the accuracy of always naming it.",
        "balanced_accuracy_before": "Mean of the classes' recalls of the model version the round started with.",
        "balanced_accuracy_after": "The same of the new model version.",
        "recall_before": "Recall of each class of the starting model version: label -> share that is right.",
        "recall_after": "The same of the new model version.",
        "uus_before": "UUs on the test split at the run's tau of the starting model version: recipe -> count.",
        "uus_after": "The same of the new model version.",
        "hypotheses": "Hypotheses stated.",
        "samples_written": "Synthetic samples written.",
        "samples_accepted": "Synthetic samples that passed the filter.",
        "teacher_calls": "Questions to the teacher, answers out of the cache included.",
        "tokens_in": "Tokens of the questions that were paid for.",
        "tokens_out": "Tokens of the answers that were paid for.",
        "cost_usd": "What the round's calls cost, US dollars; calls without a known price are left out.",
    },
    f"""{FIGURES}, uus_at_tau AS (
    SELECT f.run_id, f.model_id, map(list(f.recipe ORDER BY f.recipe),
                                     list(CAST(f.value AS BIGINT) ORDER BY f.recipe)) AS uus
    FROM figures f JOIN runs r ON r.run_id = f.run_id
    WHERE f.metric = 'uus' AND f.recipe IS NOT NULL AND abs(f.threshold - r.tau) < 1e-9
    GROUP BY f.run_id, f.model_id
), accuracies AS (
    SELECT run_id, model_id, max(value) FILTER (metric = 'accuracy') AS value,
           max(value) FILTER (metric = 'majority_share') AS majority_share,
           max(value) FILTER (metric = 'balanced_accuracy') AS balanced,
           map(list(substr(metric, {len(RECALL) + 1}) ORDER BY metric) FILTER (starts_with(metric, '{RECALL}')),
               list(value ORDER BY metric) FILTER (starts_with(metric, '{RECALL}'))) AS recall
    FROM figures WHERE recipe IS NULL GROUP BY run_id, model_id
), stated AS (
    SELECT run_id, round, count(*) AS hypotheses FROM hypotheses GROUP BY run_id, round
), written AS (
    SELECT run_id, round, count(*) AS written, count(*) FILTER (accepted) AS accepted
    FROM synthetic_samples GROUP BY run_id, round
), spent AS (
    SELECT run_id, round, count(*) AS calls, coalesce(sum(tokens_in) FILTER (NOT cache_hit), 0) AS tokens_in,
           coalesce(sum(tokens_out) FILTER (NOT cache_hit), 0) AS tokens_out,
           sum(CASE WHEN cache_hit THEN 0 ELSE cost_usd END) AS cost_usd
    FROM teacher_calls GROUP BY run_id, round
)
SELECT r.run_id, r.round, r.model_id, r.new_model_id, r.accepted, r.verdict,
       a.value AS accuracy_before, b.value AS accuracy_after, a.majority_share,
       a.balanced AS balanced_accuracy_before, b.balanced AS balanced_accuracy_after, a.recall AS recall_before,
       b.recall AS recall_after, u.uus AS uus_before, v.uus AS uus_after,
       coalesce(h.hypotheses, 0) AS hypotheses, coalesce(w.written, 0) AS samples_written,
       coalesce(w.accepted, 0) AS samples_accepted, coalesce(s.calls, 0) AS teacher_calls,
       CAST(coalesce(s.tokens_in, 0) AS BIGINT) AS tokens_in, CAST(coalesce(s.tokens_out, 0) AS BIGINT) AS tokens_out,
       CASE WHEN s.calls IS NULL THEN 0 ELSE s.cost_usd END AS cost_usd
FROM rounds r
LEFT JOIN accuracies a ON a.run_id = r.run_id AND a.model_id = r.model_id
LEFT JOIN accuracies b ON b.run_id = r.run_id AND b.model_id = r.new_model_id
LEFT JOIN uus_at_tau u ON u.run_id = r.run_id AND u.model_id = r.model_id
LEFT JOIN uus_at_tau v ON v.run_id = r.run_id AND v.model_id = r.new_model_id
LEFT JOIN stated h ON h.run_id = r.run_id AND h.round = r.round
LEFT JOIN written w ON w.run_id = r.run_id AND w.round = r.round
LEFT JOIN spent s ON s.run_id = r.run_id AND s.round = r.round
ORDER BY r.run_id, r.round
""",
)

UU_REDUCTION = View(
    "uu_reduction",
    "UUs on the test split before and after every round, for each attack and each threshold.",
    {
        "run_id": RUN,
        "round": ROUND,
        "recipe": "The attack the texts went through.",
        "threshold": "Confidence from which a wrong prediction counts.",
        "model_id": "The model version the round started with (model_versions).",
        "new_model_id": "The model version it trained; empty until then.",
        "uus_before": "UUs of the starting model version.",
        "uus_after": "UUs of the new model version.",
        "difference": "After minus before: below zero is better.",
        "difference_low": "Lower end of the difference's 95 % interval.",
        "difference_high": "Upper end of the difference's 95 % interval.",
        "reduction_percent": "By how much UUs fell, as a percentage of before; below zero where they rose.",
        "n": "How many texts were counted over.",
    },
    f"""{FIGURES}, uu_figures AS (
    SELECT run_id, model_id, recipe, threshold, CAST(value AS BIGINT) AS uus, n FROM figures WHERE metric = 'uus'
), differences AS (
    SELECT run_id, model_id, baseline_id, recipe, threshold, arg_max(low, round) AS low, arg_max(high, round) AS high
    FROM evaluations WHERE baseline_id IS NOT NULL AND metric = 'uus' AND split = 'test'
    GROUP BY run_id, model_id, baseline_id, recipe, threshold
)
SELECT r.run_id, r.round, b.recipe, b.threshold, r.model_id, r.new_model_id, b.uus AS uus_before, a.uus AS uus_after,
       a.uus - b.uus AS difference, d.low AS difference_low, d.high AS difference_high,
       100 * (b.uus - a.uus) / nullif(b.uus, 0) AS reduction_percent, b.n
FROM rounds r
JOIN uu_figures b ON b.run_id = r.run_id AND b.model_id = r.model_id
LEFT JOIN uu_figures a ON a.run_id = r.run_id AND a.model_id = r.new_model_id
    AND a.recipe IS NOT DISTINCT FROM b.recipe AND a.threshold IS NOT DISTINCT FROM b.threshold
LEFT JOIN differences d ON d.run_id = r.run_id AND d.model_id = r.new_model_id AND d.baseline_id = r.model_id
    AND d.recipe IS NOT DISTINCT FROM b.recipe AND d.threshold IS NOT DISTINCT FROM b.threshold
ORDER BY r.run_id, r.round, b.recipe NULLS FIRST, b.threshold
""",
)
