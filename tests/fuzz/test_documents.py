"""Documents at random and bent ones: each is answered, and none makes a mistake of ours show."""

import json
import os
from random import Random
from typing import Any

import pytest
from graphql import GraphQLError, OperationDefinitionNode, parse, type_from_ast

from tests.fuzz.fuzz_server import FuzzServer, count
from tests.fuzz.generated_documents import GeneratedDocument
from tests.fuzz.generated_values import WRONG, Values
from tests.fuzz.http_cases import Case, cases, request
from tests.fuzz.mutated_documents import mutate_text, real_documents
from tests.support.schema_coverage import published_schema

DOCUMENTS = count("FUZZ_DOCUMENTS", 400)
ACCEPT = ("application/json", "application/json", "application/graphql-response+json", "text/event-stream", "*/*")


@pytest.mark.timeout(120 + DOCUMENTS)
async def test_whatever_the_document_it_is_answered(ground: FuzzServer) -> None:
    async def one(case: Case) -> None:
        body = composed(case.random, list(ground.known))
        # Escaped to ASCII: only so can a text say half a character. Now and then a byte is wrong as well.
        content = json.dumps(body).encode()
        if case.random.random() < 0.02:
            place = case.random.randrange(len(content))
            content = content[:place] + bytes([case.random.randrange(256)]) + content[place + 1 :]
        token = case.random.choice(ground.tokens)
        sent = content.decode(errors="replace")
        await case.ask(
            ground, request(content, token, case.random.choice(ACCEPT)), sent + json.dumps(body, ensure_ascii=False)
        )

    await cases(ground, "documents", DOCUMENTS, one, "FUZZ_DOCUMENTS" in os.environ)


def composed(random: Random, known: list[str]) -> dict[str, Any]:
    """The parameters of a request."""
    if random.random() < 0.5:
        made = GeneratedDocument(published_schema(), random, known)
        text, variables = made.text, made.variables
        if random.random() < 0.2:
            text = mutate_text(text, random, real_documents())
    else:
        whole = random.choice(real_documents())
        text, variables = mutate_text(whole, random, real_documents()), _variables(whole, random, known)
    body: dict[str, Any] = {"query": text, "variables": variables}
    if random.random() < 0.05:
        body["operationName"] = random.choice(("A", "", "Nobody", "\ud800", None, 1, []))
    if random.random() < 0.02:
        body["variables"] = random.choice(WRONG)
    return body


def _variables(text: str, random: Random, known: list[str]) -> dict[str, Any]:
    """Values for what a document declares."""
    values = Values(random, known, random.choice((0.0, 0.02, 0.2)))
    found: dict[str, Any] = {}
    for definition in parse(text).definitions:
        if isinstance(definition, OperationDefinitionNode):
            for each in definition.variable_definitions or ():
                try:
                    type_ = type_from_ast(published_schema(), each.type)
                except GraphQLError:
                    type_ = None
                found[each.variable.name.value] = random.choice(WRONG) if type_ is None else values.fitting(type_)
    return found
