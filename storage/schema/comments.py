"""What every table and column holds, in plain words: the one place where it is said.

Analysts read it in the database (COMMENT ON); the records (`storage/records.py`) have the types.
"""

from __future__ import annotations

RUN = "The run it belongs to."
ROUND = "The round of the run it belongs to, from 1."
WHEN = "When it was made, UTC."
CALL = "The teacher call it came from (teacher_calls); empty where no call was needed."
TEXT_FIELDS = "as JSON: field name -> text."

Comments = dict[str, tuple[str, dict[str, str]]]
"""Table -> what it holds, and column -> what it holds."""

COMMENTS: Comments = {
    "_migrations": (
        "Versions of this database's schema, each with the time it was applied.",
        {
            "number": "Version, from 1; the largest is the schema that the database has.",
            "name": "What the step did.",
            "applied_at": "When it was applied, UTC.",
        },
    ),
    "runs": (
        "Runs: rounds with one configuration, or attacks on one model version.",
        {
            "run_id": "Name and number of the run.",
            "name": "Name given in the settings.",
            "status": "running, waiting (for answers in files), stopped, finished or failed.",
            "settings": "All settings of the run, as JSON.",
            "seed": "The seed of every random choice.",
            "teacher": "Who explains, as a spec, e.g. openai:MODEL or rules; none in an attack run.",
            "dataset_id": "The data set under test (datasets).",
            "tau": "A wrong prediction with at least this confidence is a UU, in [0, 1].",
            "versions": "Versions of the software that ran, as JSON: package -> version.",
            "started_at": "When the run began, UTC.",
            "finished_at": "When it ended, UTC; empty while it goes on.",
            "stop_reason": "Why it ended.",
            "original_model_id": "The model version it began with (model_versions).",
            "final_model_id": "The model version it recommends at its end (model_versions).",
            "kind": "mitigation (rounds that repair a model), attack (attacks alone), comparison (of teachers) or "
            "original (a model version that several runs of a study repair).",
            "method": "Where its added rows come from: teacher, or a baseline: none, random, typos, relabel, "
            "adversarial, recorded, temperature; in a study, its name in the study's file.",
            "study_id": "The study it is part of (studies); empty where it is part of none.",
            "origin_id": "The run (runs) that trained the original model version; empty where this run trained it.",
        },
    ),
    "rounds": (
        "Rounds: passes of the loop of attack, select, teach, filter, retrain and evaluate.",
        {
            "run_id": RUN,
            "round": "Number of the round in its run, from 1.",
            "model_id": "The model version the round started with (model_versions).",
            "started_at": "When the round began, UTC.",
            "new_model_id": "The model version the round trained (model_versions); empty until then.",
            "accepted": "Whether the new model version replaces the old one; empty until decided.",
            "verdict": "Why it was accepted or not, in words and numbers.",
            "finished_at": "When the round ended, UTC.",
        },
    ),
    "datasets": (
        "Data sets: where samples come from and what they look like.",
        {
            "dataset_id": "Identifies the data set.",
            "name": "Short name.",
            "source": "Where it was read from: a folder, files or an id on a hub.",
            "fields": "Names of a sample's text fields, in the classifier's order.",
            "labels": "The labels, in the order of predictions.probabilities.",
            "task": "What is classified, in one sentence; teachers are told this.",
            "rows": "How many rows are used, as JSON: split -> rows.",
        },
    ),
    "samples": (
        "Samples: the labelled inputs of the data sets.",
        {
            "sample_id": "Identifies the sample.",
            "dataset_id": "The data set it belongs to (datasets).",
            "split": "train, validation or test; logged for an error of a deployed model's log.",
            "row": "Position in the source of its split, from 0.",
            "fields": f"The text, {TEXT_FIELDS}",
            "label": "The true label.",
        },
    ),
    "model_versions": (
        "Model versions: each one set of weights of the classifier.",
        {
            "model_id": "Identifies the model version.",
            "run_id": "The run that made it.",
            "round": "The round that made it, 0 for the original.",
            "parent_id": "The model version its training started from; empty where that was a base model.",
            "kind": "original, retrained or calibrated (the weights of its parent, at another temperature).",
            "folder": "The folder with the weights.",
            "rows_train": "Samples of the training split it was trained on.",
            "rows_synthetic": "Synthetic samples it was trained on.",
            "settings": "How it was trained, as JSON.",
            "final_loss": "Training loss at the end; empty where it was not trained here.",
            "seconds": "How long training took, seconds.",
            "created_at": WHEN,
            "temperature": "What its logits are divided by; 1 unless calibration was all that was done.",
        },
    ),
    "predictions": (
        "Predictions: what a model version says of a text.",
        {
            "model_id": "The model version that predicts (model_versions).",
            "subject_id": "The text: a sample_id, attack_id or synthetic_id.",
            "subject_kind": "sample, attack or synthetic: which table the text is in.",
            "label": "The true label.",
            "predicted": "The label the model version gives.",
            "confidence": "The largest softmax probability, in [0, 1].",
            "probabilities": "Probability of each label, in the order of datasets.labels.",
        },
    ),
    "attacks": (
        "Attacks: each one recipe run against one model version on one sample.",
        {
            "attack_id": "Identifies the attack.",
            "run_id": RUN,
            "model_id": "The model version under attack (model_versions).",
            "sample_id": "The sample that was changed (samples).",
            "split": "The split of the sample.",
            "recipe": "Which attack, e.g. textfooler.",
            "status": "flipped (it worked), failed, skipped (wrong before the attack) or error.",
            "fields": f"The perturbed text where the label flipped, {TEXT_FIELDS}",
            "label": "The true label.",
            "predicted": "What the model version says of the perturbed text.",
            "confidence": "How confident it is of that, in [0, 1].",
            "original_predicted": "What it says of the sample as it is.",
            "original_confidence": "How confident it is of that, in [0, 1].",
            "queries": "How many times the attack queried the model version.",
            "words": "Words in the sample.",
            "perturbed_words": "How many of them were changed.",
            "error": "What went wrong, where status is error.",
            "seconds": "How long the attack took, seconds.",
        },
    ),
    "changed_words": (
        "Changed words: each one word that an attack changed in a sample whose label it flipped.",
        {
            "attack_id": "The attack (attacks).",
            "number": "Number of the word among those that the attack changed, from 0.",
            "run_id": RUN,
            "field": "The text field it is in.",
            "position": "Position among the words of the original field, from 0; of an inserted word, that of the "
            "word it stands before.",
            "before": "The word in the original; empty text where a word was inserted.",
            "after": "The word in the perturbed text; empty text where it was deleted.",
            "part_of_speech": "Of the word before, in its sentence, by NLTK's English tagger: noun, verb, adjective, "
            "adverb, pronoun, determiner, adposition, conjunction, particle, numeral, punctuation or other; empty for "
            "an inserted word, or where the tagger was missing.",
        },
    ),
    "uus": (
        "UUs (unknown unknowns): wrong predictions with a confidence of at least tau.",
        {
            "uu_id": "Identifies the UU.",
            "run_id": RUN,
            "round": "The round that found it.",
            "model_id": "The model version that is fooled (model_versions).",
            "kind": "natural (the sample as it is) or adversarial (after an attack).",
            "recipe": "The attack that found it; empty for natural UUs.",
            "sample_id": "The sample it is, or was made from (samples).",
            "attack_id": "The attack that made it (attacks); empty for natural UUs.",
            "fields": f"The text that fools the model version, {TEXT_FIELDS}",
            "label": "The true label.",
            "predicted": "The wrong label that was predicted.",
            "confidence": "How confident the model version was of it, in [0, 1].",
            "selected": "Whether it was shown to the teacher.",
        },
    ),
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
    "evaluations": (
        "Evaluations: one figure a row, either of a model version or the difference between two.",
        {
            "evaluation_id": "Identifies the figure.",
            "run_id": RUN,
            "round": "The round that made the model version, 0 for the original.",
            "model_id": "The model version that was measured (model_versions).",
            "baseline_id": "Set where the value is a difference: model_id's figure minus that of this model version; "
            "for the counts of UUs that came and went, the earlier version.",
            "metric": "What was measured, e.g. accuracy, uus, ece; recall: LABEL, one for each class; uus_fixed: UUs "
            "that no longer are, of them uus_less_confident: still wrong, below tau; uus_new: UUs that were right "
            "before, uus_more_confident: that were wrong before, below tau; uus_calibrated: UUs that temperature "
            "scaling alone would leave, with a baseline_id the new version's minus those of that version so scaled; "
            "…_matched: at matched coverage.",
            "value": "The figure, or the difference.",
            "low": "Lower end of the 95 % interval.",
            "high": "Upper end of the 95 % interval.",
            "p_value": "Chance of a difference this large if there were none.",
            "split": "The split it was measured on; logged for the log's errors that the teacher was never shown, "
            "repaired for the texts that earlier rounds repaired.",
            "recipe": "The attack the texts went through; empty for texts as they are.",
            "threshold": "The confidence threshold (tau) it was measured at, where it needs one.",
            "n": "How many texts it was measured on.",
        },
    ),
    "blind_spots": (
        "Blind spots: clusters of UUs of the test split, of the model version a round began with and of the new one.",
        {
            "run_id": RUN,
            "round": ROUND,
            "number": "Number of the blind spot in its round, from 1, the largest first.",
            "words": "Words that tell its texts from other samples.",
            "uus_before": "UUs in it of the model version the round began with.",
            "uus_after": "UUs in it of the new model version.",
            "fixed": "UUs before that no longer are.",
            "new": "UUs now that were right before.",
            "status": "closed (a tenth of its UUs or less is left), shrunk, grown or opened (from a tenth or less): "
            "each beyond chance, p below 0.05; else open.",
            "p_value": "Exact sign test over its samples, before and after, adjusted for the number of blind spots in "
            "the round (Benjamini, Hochberg).",
        },
    ),
    "studies": (
        "Studies: matrices of runs, data sets x classifiers x recipes x methods x seeds.",
        {
            "study_id": "Name and number of the study.",
            "name": "Name given in its settings.",
            "status": "running, stopped, finished, or failed where some of its runs did.",
            "settings": "All its settings, as JSON.",
            "started_at": "When it began, UTC.",
            "finished_at": "When it ended, UTC; empty while it goes on.",
        },
    ),
    "study_figures": (
        "Study figures: what a study measured over its seeds, one figure a row.",
        {
            "study_id": "The study (studies).",
            "dataset": "Name of the data set.",
            "classifier": "Name of the classifier.",
            "recipe": "Which attack; of runs with several: a+b for all of them, a+b: a for one; '' without any.",
            "method": "Name of the method, with its dose where there are several; original: before any method.",
            "metric": "What was measured, as in evaluations; uus_clean: natural UUs of the clean split; …_reduction: "
            "the share of the baseline's that are gone; accepted: the share of seeds whose verdict took the model.",
            "threshold": "Confidence from which a wrong prediction counts; -1 where the metric has none.",
            "baseline": "The method that the value is compared with; '' for a figure by itself.",
            "value": "Mean over the seeds.",
            "std": "Standard deviation over the seeds (n - 1); empty for a single seed.",
            "low": "Lower end of the 95 % interval, paired over samples and seeds.",
            "high": "Upper end of the 95 % interval.",
            "seeds": "How many seeds.",
            "n": "How many rows it was measured on in one seed.",
        },
    ),
    "events": (
        "Events: what is worth knowing about a run, in order of time.",
        {
            "event_id": "Identifies the event.",
            "run_id": RUN,
            "round": ROUND,
            "happened_at": "When it happened, UTC.",
            "phase": "The phase it happened in, e.g. attack.",
            "level": "info, warning or error.",
            "message": "What happened.",
        },
    ),
}
