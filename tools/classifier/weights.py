"""Loading the weights of classifiers: whole models and adapters, and what the labels of their classes are."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
import transformers
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from blindspot.storage.errors import BlindspotError, ModelError
from blindspot.tools.process import Undo, change, keep_errors_only, one_after_another, set_default

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

ADAPTER_FILE = "adapter_config.json"
SAFE: dict[str, Any] = {"trust_remote_code": False, "use_safetensors": True}  # no file's code runs, pickles neither


def quieten_transformers() -> Undo:
    """Keep transformers and the hub's client from writing, and tokenizers from threads, which deadlock after a fork."""
    verbosity = transformers.logging.get_verbosity()
    bars = transformers.utils.logging.is_progress_bar_enabled()
    transformers.logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    transformers.utils.logging.disable_progress_bar()  # type: ignore[no-untyped-call]

    def undo() -> None:
        transformers.logging.set_verbosity(verbosity)
        if bars:
            with warnings.catch_warnings():  # of a variable of the environment that goes on hiding the hub's bars
                warnings.simplefilter("ignore")
                transformers.utils.logging.enable_progress_bar()  # type: ignore[no-untyped-call]

    # The hub's retries would fill the screen.
    hub = keep_errors_only(["huggingface_hub"])
    return one_after_another([undo, hub, set_default("TOKENIZERS_PARALLELISM", "false")])


@contextmanager
def loading(source: str, what: str = "model") -> Iterator[None]:
    """Turn whatever transformers, peft, safetensors or tokenizers raise over unreadable files into a ModelError.

    They raise OSError, ValueError, RuntimeError, KeyError, ImportError and more, tokenizers a bare Exception.
    """
    change("transformers", quieten_transformers)
    try:
        yield
    except BlindspotError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        absent = "" if os.path.exists(source) else " no such folder here, and"
        raise ModelError(f"{source}:{absent} the {what} cannot be loaded: {reason}") from error


class Loaded(NamedTuple):
    """A model, ready to be trained on or to predict."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    drawn: frozenset[str] = frozenset()  # weights that no file held and the seed drew: the head's, and sometimes more


def load_weights(
    source: str, labels: Sequence[str], *, fine_tuned: bool
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Load weights and tokenizer, as `load_start` does, in full precision."""
    loaded = load_start(source, labels, fine_tuned=fine_tuned)
    return loaded.model, loaded.tokenizer


def load_start(source: str, labels: Sequence[str], *, fine_tuned: bool, dtype: torch.dtype = torch.float32) -> Loaded:
    """Load weights and tokenizer.

    Args:
        source: a folder or a Hugging Face id, as `locate_model` gives it.
        fine_tuned: the head is there already, of a class a label; else a new one is drawn.
        dtype: of the weights.
    Returns: an adapter on its base model where the source is one, ready to be trained on.
    Raises: ModelError, in one line, when it cannot be read, is not a classifier or has other classes.
    """
    adapter = (Path(source) / ADAPTER_FILE).is_file()
    if adapter and not fine_tuned:
        raise ModelError(
            f"{source}: is an adapter, so it is fine-tuned already: set classifier.fine_tune = false, "
            "or name its base model in classifier.model"
        )
    drawn: frozenset[str] = frozenset()
    with loading(source):
        tokenizer = AutoTokenizer.from_pretrained(source, trust_remote_code=False)  # type: ignore[no-untyped-call]
        if adapter:
            model = load_adapter(source, labels, dtype)
        elif fine_tuned:
            model = load_fine_tuned(source, dtype)
        else:
            model, drawn = load_with_new_head(source, labels, dtype)
    make_padding(model, tokenizer, source)
    if fine_tuned:
        check_classes(model, labels, source)
    return Loaded(model, tokenizer, drawn)


def make_padding(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, source: str) -> None:
    """See to it that model and tokenizer agree on a token to pad with, on the right."""
    if tokenizer.pad_token is None:  # Llama and other causal models
        tokenizer.pad_token = tokenizer.eos_token
    if tokenizer.pad_token is None:
        raise ModelError(f"{source}: its tokenizer has no token to pad with; set pad_token in tokenizer_config.json")
    tokenizer.padding_side = "right"  # positions that are learned count from the left
    model.config.pad_token_id = tokenizer.pad_token_id  # a causal model's class is read at the last other token


def naming(labels: Sequence[str]) -> dict[str, Any]:
    """The options that name a model's classes."""
    return {"id2label": dict(enumerate(labels)), "label2id": {label: index for index, label in enumerate(labels)}}


def load_with_new_head(
    source: str, labels: Sequence[str], dtype: torch.dtype
) -> tuple[PreTrainedModel, frozenset[str]]:
    """Load a base model with a head of a class a label; also name the weights that were drawn.

    Raises: ModelError, when they are more than the head and the pooler, which many base models are saved without.
    """
    model: PreTrainedModel
    model, info = AutoModelForSequenceClassification.from_pretrained(
        source, dtype=dtype, ignore_mismatched_sizes=True, output_loading_info=True, **SAFE, **naming(labels)
    )
    lacking = drawn_in_body(model, info)
    if body := {key: fault for key, fault in lacking.items() if ".pooler." not in key}:
        raise ModelError(
            f"{source}: its files hold {in_short(body)}, which would be trained from random numbers; "
            "save or download the whole base model again"
        )
    return model, frozenset(info["missing_keys"]) | mismatched(info)


def mismatched(info: Mapping[str, Any]) -> frozenset[str]:
    """The weights of another shape: each comes alone or with both shapes, as transformers' version has it."""
    return frozenset(key if isinstance(key, str) else key[0] for key in info["mismatched_keys"])


def drawn_in_body(model: PreTrainedModel, info: Mapping[str, Any]) -> dict[str, str]:
    """The weights below a model's head that were drawn, each with what its files hold in their place."""
    other = mismatched(info)
    drawn = sorted(key for key in {*info["missing_keys"], *other} if key.startswith(f"{model.base_model_prefix}."))
    odd = "weights of another shape than its config.json says for"
    return {key: odd if key in other else "no weights for" for key in drawn}


def in_short(faults: Mapping[str, str]) -> str:
    """Tell the first of several weights, and how many more there are."""
    key, fault = next(iter(faults.items()))
    return f"{fault} {key}{f' and {len(faults) - 1} more' if len(faults) > 1 else ''}"


def load_fine_tuned(source: str, dtype: torch.dtype) -> PreTrainedModel:
    """Load a whole classifier; transformers would draw what its files lack at random."""
    model: PreTrainedModel
    model, info = AutoModelForSequenceClassification.from_pretrained(
        source, dtype=dtype, output_loading_info=True, **SAFE
    )
    missing = ", ".join(sorted(info["missing_keys"])[:3])
    if missing:
        raise ModelError(
            f"{source}: holds no fine-tuned classifier, its weights lack {missing}; set classifier.fine_tune = true"
        )
    return model


def load_adapter(source: str, labels: Sequence[str], dtype: torch.dtype) -> PreTrainedModel:
    """Load an adapter on the base model that it names, with the names of its classes where it was saved with them."""
    from peft import PeftConfig, PeftModel
    from peft.utils import SAFETENSORS_WEIGHTS_NAME
    from transformers import AutoConfig

    if not (Path(source) / SAFETENSORS_WEIGHTS_NAME).is_file():  # peft would unpickle what else there is
        raise ModelError(f"{source}: the adapter cannot be loaded: it holds no {SAFETENSORS_WEIGHTS_NAME}")
    written = (Path(source) / "config.json").is_file()
    base = PeftConfig.from_pretrained(source).base_model_name_or_path
    if base and Path(base).is_absolute() and not Path(base).is_dir():  # its path would be taken for an id of a hub
        raise ModelError(f"{source}: the base model of the adapter is gone: {base}; put it back")
    config = AutoConfig.from_pretrained(source, trust_remote_code=False) if written else None
    names = list((config.id2label or {}).values()) if config else []
    model: PreTrainedModel
    model, info = AutoModelForSequenceClassification.from_pretrained(
        base,
        dtype=dtype,
        ignore_mismatched_sizes=True,  # of the head, which the adapter brings along
        output_loading_info=True,
        **SAFE,
        **(naming(names) if names else {"num_labels": len(labels)}),
    )
    brought = brought_along(source)
    if lost := {key: fault for key, fault in drawn_in_body(model, info).items() if key not in brought}:
        raise ModelError(
            f"{source}: its base model {base} holds {in_short(lost)}, which would be random numbers; "
            "save or download the whole base model again"
        )
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="Found missing adapter keys")  # they would be drawn at random
        adapted: PreTrainedModel = PeftModel.from_pretrained(model, source, is_trainable=True)
    return adapted


def brought_along(source: str) -> frozenset[str]:
    """The weights that an adapter holds whole, the head among them, by their names in the base model."""
    from peft.utils import SAFETENSORS_WEIGHTS_NAME
    from safetensors import safe_open

    with safe_open(Path(source) / SAFETENSORS_WEIGHTS_NAME, framework="pt") as file:
        keys = file.keys()
    return frozenset(key.removeprefix("base_model.model.") for key in keys)


def class_names(model: PreTrainedModel) -> tuple[str, ...] | None:
    """The names of a model's classes in the order of its logits; None where they are LABEL_0, LABEL_1, …"""
    named = model.config.id2label or {}
    names = tuple(str(named[index]) for index in sorted(named))
    return None if all(name == f"LABEL_{index}" for index, name in enumerate(names)) else names


def check_classes(model: PreTrainedModel, labels: Sequence[str], source: str) -> None:
    """Refuse a model whose classes are not the data set's labels in their order; unnamed ones count only."""
    names, count = class_names(model), model.config.num_labels
    if count != len(labels) or (names and names != tuple(labels)):
        classes = f"{count}, without names" if names is None else ", ".join(names)
        raise ModelError(
            f"{source}: the model's classes are {classes}, the data's labels are {', '.join(labels)}; "
            "set data.labels to the model's order, or classifier.fine_tune = true"
        )


def limit_tokens(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, max_tokens: int) -> int:
    """Never feed more tokens than the model takes; some have positions that no token may take (RoBERTa: 2 of 514)."""
    positions = getattr(model.config, "max_position_embeddings", max_tokens)
    return min(max_tokens, positions, tokenizer.model_max_length)
