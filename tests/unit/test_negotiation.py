"""Which form an answer takes, by the Accept headers that clients send."""

import pytest

from command_center.web.negotiation import Form, choose_form, choose_stream_form

APOLLO = 'multipart/mixed;boundary="graphql";subscriptionSpec="1.0",application/json'
APOLLO_QUERY = "application/graphql-response+json,application/json;q=0.9"
URQL = (
    "application/graphql-response+json, application/graphql+json, application/json, text/event-stream, multipart/mixed"
)


@pytest.mark.parametrize(
    "accept, form",
    [
        (None, Form.JSON),
        ("", Form.JSON),
        ("*/*", Form.JSON),
        ("application/*", Form.JSON),
        ("application/json", Form.JSON),
        ("application/json; charset=utf-8", Form.JSON),
        ("APPLICATION/JSON", Form.JSON),
        ("application/graphql-response+json", Form.RESPONSE),
        ("application/json, application/graphql-response+json", Form.JSON),
        ("application/graphql-response+json, application/json", Form.RESPONSE),
        ("application/json;q=0.5, application/graphql-response+json;q=0.4", Form.JSON),
        ("application/json;q=0.4, application/graphql-response+json;q=0.5", Form.RESPONSE),
        ("application/json;q=0, */*", Form.RESPONSE),
        ("*/*;q=0.1, application/graphql-response+json", Form.RESPONSE),
        ("text/event-stream, application/json;q=0.1", Form.JSON),
        ("text/event-stream;q=1, */*;q=0.1", Form.JSON),
        ("text/event-stream", Form.EVENTS),
        ("text/event-stream, application/json;q=0", Form.EVENTS),
        (APOLLO, Form.JSON),
        (APOLLO_QUERY, Form.RESPONSE),
        (URQL, Form.RESPONSE),
        ("text/html", None),
        ("text/html, image/*;q=0.8", None),
        ("multipart/mixed", None),
        ("*/*;q=0", None),
        ("application/json;q=nonsense", Form.JSON),
        ('text/plain;a="x,application/json"', None),
        (",,;;,", None),
    ],
)
def test_an_answer_is_json_wherever_json_is_taken(accept: str | None, form: Form | None) -> None:
    assert choose_form(accept) is form


@pytest.mark.parametrize(
    "accept, form",
    [
        ("text/event-stream", Form.EVENTS),
        ("*/*", Form.EVENTS),
        (APOLLO, Form.PARTS),
        (URQL, Form.EVENTS),
        ("multipart/mixed", None),
        ("multipart/mixed;subscriptionSpec=1.0;q=0.1, text/event-stream;q=0.2", Form.EVENTS),
        ("application/json", None),
        ("application/graphql-response+json", None),
        ("text/event-stream;q=0", None),
    ],
)
def test_a_subscription_takes_the_stream_that_is_named(accept: str, form: Form | None) -> None:
    assert choose_stream_form(accept) is form
