"""The views of model versions, of their attacks, and of what rounds changed."""

from __future__ import annotations

from blindspot.storage.schema.uu import is_adversarial_uu, is_uu
from blindspot.storage.schema.view import FIGURES, ROUND, RUN, View
from blindspot.storage.words import RECALL

# Each table of texts is joined to the predictions of its own kind alone: two thirds of the work of joins to all.
BINNED = """least(floor(p.confidence * 20), 19) AS bin, count(*) AS predictions,
           count(*) FILTER (p.predicted = p.label) AS correct"""

CONFIDENCE_HISTOGRAM = View(
    "confidence_histogram",
    "How confident each model version is when it is right and when it is wrong, in 20 bins of equal width.",
    {
        "run_id": "The run that made the model version.",
        "model_id": "The model version (model_versions).",
        "round": "The round that made it, 0 for the original.",
        "subject_kind": "Which texts: sample, attack (perturbed) or synthetic.",
        "split": "Their split; empty for synthetic samples.",
        "recipe": "The attack that perturbed them; empty for others.",
        "bin_low": "Lower end of the bin of confidence, included.",
        "bin_high": "Upper end of the bin, not included, except for 1.",
        "predictions": "Predictions in the bin.",
        "correct": "How many of them are right.",
        "wrong": "How many of them are wrong.",
    },
    f"""
WITH counted AS (
    SELECT p.model_id, 'sample' AS subject_kind, s.split, CAST(NULL AS VARCHAR) AS recipe, {BINNED}
    FROM predictions p LEFT JOIN samples s ON s.sample_id = p.subject_id
    WHERE p.subject_kind = 'sample' GROUP BY ALL
    UNION ALL
    SELECT p.model_id, 'attack', a.split, a.recipe, {BINNED}
    FROM predictions p LEFT JOIN attacks a ON a.attack_id = p.subject_id
    WHERE p.subject_kind = 'attack' GROUP BY ALL
    UNION ALL
    SELECT p.model_id, p.subject_kind, NULL, NULL, {BINNED}
    FROM predictions p WHERE p.subject_kind NOT IN ('sample', 'attack') GROUP BY ALL
)
SELECT m.run_id, c.model_id, m.round, c.subject_kind, c.split, c.recipe, c.bin / 20 AS bin_low,
       (c.bin + 1) / 20 AS bin_high, c.predictions, c.correct, c.predictions - c.correct AS wrong
FROM counted c LEFT JOIN model_versions m ON m.model_id = c.model_id
""",
)

ATTACK_STATISTICS = View(
    "attack_statistics",
    "Every attack on every model version: how it went, and the usual statistics once they are computed.",
    {
        "run_id": "The run that made the model version; other runs that start from it do not attack it again.",
        "model_id": "The model version under attack (model_versions).",
        "split": "The split the samples are from.",
        "recipe": "Which attack.",
        "samples": "Samples it was run on.",
        "flipped": "Samples whose predicted label it flipped.",
        "failed": "Samples whose predicted label it could not flip.",
        "skipped": "Samples that were wrong before the attack.",
        "errors": "Samples it could not be run on.",
        "queries": "Queries to the model version, all samples together.",
        "seconds": "Seconds of work, all samples together.",
        "uus": "Adversarial UUs: samples flipped with a confidence of at least the run's tau.",
        "natural_uus": "Natural UUs among the samples: skipped, as they were wrong with that confidence already.",
        "original_accuracy": "Accuracy before the attack.",
        "accuracy_under_attack": "Accuracy after it.",
        "attack_success_rate": "Flipped samples as a share of those that were right before.",
        "perturbed_words": "Changed words as a share of a flipped sample's words, on average.",
        "words_per_input": "Words in a sample, on average.",
        "queries_per_sample": "Queries for a sample, on average.",
    },
    f"""
WITH counts AS (
    SELECT run_id, model_id, split, recipe, count(*) AS samples, count(*) FILTER (status = 'flipped') AS flipped,
           count(*) FILTER (status = 'failed') AS failed, count(*) FILTER (status = 'skipped') AS skipped,
           count(*) FILTER (status = 'error') AS errors, CAST(sum(queries) AS BIGINT) AS queries,
           sum(seconds) AS seconds,
           count(*) FILTER ({is_adversarial_uu("t", "tau")}) AS uus,
           count(*) FILTER (status = 'skipped' AND {is_uu("t", "tau", before="original_")}) AS natural_uus
    FROM (SELECT a.*, r.tau FROM attacks a LEFT JOIN runs r ON r.run_id = a.run_id) t
    GROUP BY run_id, model_id, split, recipe
), figures AS (
    SELECT model_id, split, recipe,
           arg_max(value, round) FILTER (metric = 'original_accuracy') AS original_accuracy,
           arg_max(value, round) FILTER (metric = 'accuracy_under_attack') AS accuracy_under_attack,
           arg_max(value, round) FILTER (metric = 'attack_success_rate') AS attack_success_rate,
           arg_max(value, round) FILTER (metric = 'perturbed_words') AS perturbed_words,
           arg_max(value, round) FILTER (metric = 'words_per_input') AS words_per_input,
           arg_max(value, round) FILTER (metric = 'queries_per_sample') AS queries_per_sample
    FROM evaluations WHERE baseline_id IS NULL AND recipe IS NOT NULL
    GROUP BY model_id, split, recipe
)
SELECT c.*, f.* EXCLUDE (model_id, split, recipe)
FROM counts c LEFT JOIN figures f ON f.model_id = c.model_id AND f.split = c.split AND f.recipe = c.recipe
""",
)


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
        "teacher_calls": "Questions to the teacher, including those answered from the cache.",
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
