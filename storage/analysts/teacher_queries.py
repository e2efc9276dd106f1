"""The ready queries about teachers: what their work led to, what it cost, how far two of them agree."""

from __future__ import annotations

from blindspot.storage.analysts.ready_query import ReadyQuery
from blindspot.storage.schema.view import ROUND, RUN

WORKING_HYPOTHESES = ReadyQuery(
    "working-hypotheses",
    "Which hypotheses led to accepted samples, and explain a UU that the round's new model version gets right?",
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

SPEND_PER_UU = ReadyQuery(
    "spend-per-uu",
    "What did each teacher cost for every UU that its runs removed from the test split?",
    {
        "teacher": "The teacher, as a spec.",
        "runs": "Its runs that were measured before and after; the other columns are about these.",
        "unmeasured": "Its other runs: not that far yet, or ended too early.",
        "calls": "Questions that it was asked, without those answered from the cache.",
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
           sum(CASE WHEN calls = 0 THEN 0 ELSE cost_usd END) FILTER (measured) AS cost_usd,
           sum(unpriced) FILTER (measured) AS unpriced,
           sum(uus_before) FILTER (measured) AS uus_before, sum(uus_removed) AS uus_removed
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
    "How far do two teachers agree when they are shown the same UUs (blindspot compare-teachers)?",
    {
        "run_id": RUN,
        "teacher_a": "One teacher, as a spec.",
        "teacher_b": "The other.",
        "kind": "What is compared: abstractions or extrapolations, and the samples written after them.",
        "uus": "UUs that both explained.",
        "words_shared": "Different words that both hypotheses about a UU have, as a share of those that either has, "
        "on average: 1 is the same words, 0 no word in common.",
        "words_shared_by_chance": "The same between a hypothesis of teacher_a and one of teacher_b about another UU.",
        "samples": "Pairs of samples, the first of each teacher after its hypothesis, the second of each, and so on.",
        "same_label": "Share of pairs with the same label.",
        "same_label_by_chance": "What that would be if each teacher assigned its labels at random.",
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
        "share": "The same as a share of what that teacher wrote in the round after hypotheses of that kind.",
        "measured": "Median of what the check measured: characters (length), likeness to the nearest other text "
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
