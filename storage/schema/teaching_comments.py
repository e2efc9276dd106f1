"""What the tables of teaching hold: hypotheses, programs, samples, calls, a second judge's labels; see `comments`."""

from __future__ import annotations

RUN = "The run it belongs to."
ROUND = "The round of the run it belongs to, from 1."
WHEN = "When it was made, UTC."
CALL = "The teacher call it came from (teacher_calls); empty where no call was needed."
TEXT_FIELDS = "as JSON: field name -> text."

Comments = dict[str, tuple[str, dict[str, str]]]
"""Table -> what it holds, and column -> what it holds."""

TEACHING: Comments = {
    "hypotheses": (
        "Hypotheses: the teacher's explanations of blind spots.",
        {
            "hypothesis_id": "Identifies the hypothesis.",
            "run_id": RUN,
            "round": ROUND,
            "uu_id": "The UU it explains (uus).",
            "kind": "abstraction (of this blind spot) or extrapolation (to an unseen one).",
            "parent_id": "The abstraction an extrapolation reasons from (hypotheses).",
            "text": "The hypothesis.",
            "reasoning": "How the teacher came to it.",
            "teacher": "Who stated it, as a spec.",
            "call_id": CALL,
            "created_at": WHEN,
            "evidence": "What the teacher's own tests showed, as JSON: probes (texts), uus (of them), attacks, "
            "attack_uus, tool_calls, model_id; empty where it made none.",
        },
    ),
    "programs": (
        "Programs: hypotheses in a form that can be run on samples, in a closed vocabulary of conditions and edits.",
        {
            "program_id": "Identifies the program.",
            "run_id": RUN,
            "round": ROUND,
            "hypothesis_id": "The hypothesis it states (hypotheses); empty if from a file or drawn at random.",
            "position": "Its place among the programs of one hypothesis or file, from 0.",
            "origin": "Who wrote it: teacher, rules, file (a person) or random.",
            "text": "What it does, in words.",
            "program": "The program, as JSON; empty where it could not be read.",
            "problem": "Why it cannot be run; empty where it can.",
            "same_as_id": "A program of the same round that does the same and was tested instead (programs).",
            "revised_from_id": "The refuted program that it was revised from (programs).",
            "call_id": CALL,
        },
    ),
    "program_tests": (
        "Tests of programs: UUs of one model version among the same samples without the program and with it.",
        {
            "program_id": "The program (programs).",
            "model_id": "The model version that was asked (model_versions).",
            "run_id": RUN,
            "round": ROUND,
            "rows": "Samples that the program was tried on.",
            "applied": "How many of them it changes; for templates, how many texts were made of them.",
            "uus_without": "UUs among the samples that it changes, as they are.",
            "uus_with": "UUs among the same samples after the program has changed them.",
            "effect": "Share of UUs with the program minus the share without it, in [-1, 1].",
            "low": "Lower end of its 95 % interval.",
            "high": "Upper end of its 95 % interval.",
            "p_value": "Chance of a difference this large if the program changed nothing (exact McNemar test; Fisher's "
            "exact test for templates).",
            "p_adjusted": "The same, corrected for the number of programs that were tested together.",
            "verdict": "confirmed, refuted, not applicable or invalid (confirmed, but a second judge would label its "
            "texts differently); of a model version that was retrained: closed, half closed or open.",
            "elsewhere": "Validation samples that the program does not apply to.",
            "right_elsewhere": "How many of these the model version gets right: what a repair costs elsewhere.",
        },
    ),
    "judgements": (
        "Labels of a second judge: a teacher or a person who saw a text and the task, and not the label it was given.",
        {
            "judgement_id": "Identifies the judgement.",
            "run_id": RUN,
            "round": ROUND,
            "judge": "Who judged, as a spec.",
            "kind": "program (a text that a program made) or attack (a perturbed text that flipped the label).",
            "subject_id": "The program or the attack (programs, attacks).",
            "fields": "The text, as JSON: field name -> text.",
            "label": "The label that the text was given: a wrong one makes a false UU.",
            "judged": "The label that the judge gave it; empty where the judge could not tell.",
            "call_id": CALL,
            "created_at": WHEN,
        },
    ),
    "synthetic_samples": (
        "Synthetic samples: rows added to the training samples, written by the teacher after a hypothesis, with every "
        "filter verdict, made by a program, or taken by a baseline in their place.",
        {
            "synthetic_id": "Identifies the synthetic sample.",
            "run_id": RUN,
            "round": ROUND,
            "hypothesis_id": "The hypothesis it was written after (hypotheses); empty where no teacher wrote it.",
            "position": "Its place among the samples of its hypothesis, or of the baseline, from 0.",
            "fields": f"The text, {TEXT_FIELDS}",
            "label": "The label the teacher gave it, or the true one of the sample it was taken from.",
            "reasoning": "Why the teacher wrote it this way.",
            "call_id": CALL,
            "accepted": "Whether it passed all checks and is trained on; empty until filtered.",
            "rejected_by": "Name of the first check it failed.",
            "verdicts": "All checks, as JSON: check -> passed.",
            "scores": "What the checks measured, as JSON: score -> value, e.g. characters, bertscore.",
            "origin": "Where it comes from: teacher, program, recorded, relabel, adversarial, random or typos.",
            "source_id": "The sample_id, uu_id or attack_id, or file and line, that it was made from; empty for what a "
            "teacher wrote.",
            "program_id": "The program that made it (programs); empty where none did.",
        },
    ),
    "teacher_calls": (
        "Teacher calls: each one question, its answer and its price.",
        {
            "call_id": "Identifies the call.",
            "run_id": RUN,
            "round": ROUND,
            "phase": "abstract, extrapolate, generate, formalise or revise (programs), judge, or decide (the next step "
            "of an autonomous run).",
            "uu_id": "The UU it is about (uus); empty text where it is about none.",
            "cache_key": "Hash of the whole question; the same question is paid for once.",
            "teacher": "Who was asked, as a spec.",
            "prompt": "The question as it was sent.",
            "prompt_hash": "Hash of the template the question was made from.",
            "reply": "The answer as it came; empty where none came.",
            "model": "The model that answered, as its provider names it.",
            "tokens_in": "Tokens of the question.",
            "tokens_out": "Tokens of the answer.",
            "cost_usd": "Price in US dollars, or the most it may have been where no answer came; empty if unknown.",
            "latency_s": "Time from question to answer, seconds.",
            "attempts": "How many times it was sent, not counting refusals.",
            "cache_hit": "Whether the answer came from the cache and cost nothing.",
            "error": "Why there is no answer.",
            "created_at": WHEN,
            "tool_uses": "The tools that the answer asks for, as JSON: use_id -> name and arguments.",
            "cleared": "Whether the answer was cleared from the cache (blindspot cache --clear).",
        },
    ),
    "tool_calls": (
        "Tool calls: the steps that the state machine or a teacher asked for.",
        {
            "tool_call_id": "Identifies the call.",
            "run_id": RUN,
            "round": ROUND,
            "tool": "Name of the tool, e.g. attack.",
            "caller": "Who called: graph (the state machine) or teacher.",
            "arguments": "What the tool was given, as JSON.",
            "result": "A summary of what it returned, as JSON.",
            "seconds": "How long it took, seconds.",
            "created_at": WHEN,
            "uu_id": "The UU that the teacher was working on (uus); empty for steps of the whole run.",
        },
    ),
    "teacher_comparisons": (
        "Teacher comparisons: what each of several teachers made of the same UUs.",
        {
            "run_id": RUN,
            "teacher": "Who was compared, as a spec.",
            "uus": "UUs it was shown.",
            "uus_skipped": "Of them, those it left without any sample.",
            "calls": "Answers it gave, bought or from the cache; 0 for a teacher that is not a model.",
            "written": "Synthetic samples it wrote.",
            "accepted": "Of the written ones, those that passed every check of the filter.",
            "fooling": "Of the written ones, UUs for the model version under test, by the label the teacher gave.",
            "near_duplicates": "Of the written ones, those rejected as near-duplicates.",
            "tokens_in": "Tokens of all its questions.",
            "tokens_out": "Tokens of all its answers.",
            "cost_usd": "What it cost, US dollars; empty where a price is not known.",
            "latency_s": "Median time of a call, seconds; empty where it makes none.",
        },
    ),
}
