"""The decisions of `mcp.call` that need no server: its input, what it remembers, what it checks, what it gives."""

import time
from uuid import UUID

import msgspec
import pytest

from services.executor.tools.mcp_answer import answer_of
from services.executor.tools.mcp_offers import OFFER_SECONDS, OFFERS, OFFERS_BYTES, Offer, Offers, key_of
from services.executor.tools.mcp_schema import BUDGET_SECONDS, wrong_argument
from shared.outbound.addresses import AddressPolicy
from shared.tools.catalogue import CATALOGUE
from shared.tools.mcp_call import MCP_CALL, check_open_call
from shared.tools.open_input import check_input
from shared.vocabulary.faults import Invalid
from shared.vocabulary.limits import RESPONSE_BODY_BYTES

POLICY = AddressPolicy()
AGENT = UUID(int=1)
OFFER = Offer({"act": b"{}"})


def wrong(schema: object, arguments: dict[str, object]) -> str | None:
    return wrong_argument(msgspec.json.encode(schema), arguments, "with.arguments")


def test_the_catalogue_has_it_and_its_example_is_valid() -> None:
    assert CATALOGUE["mcp.call"] is MCP_CALL
    check_input(MCP_CALL, MCP_CALL.example["with"], POLICY, "with")


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({"url": "http://127.0.0.1/mcp"}, "with.url"),
        ({"url": "http://127.0.0.1/${params.path}"}, "with.url"),
        ({"url": "${params.url}", "headers": {"Host": "${params.host}"}}, "with.headers.Host"),
        ({"url": "${params.url}", "headers": {"mcp-session-id": "${params.id}"}}, "with.headers.mcp-session-id"),
        ({"url": "${params.url}", "headers": {"Content-Type": "text/plain"}}, "with.headers.Content-Type"),
    ],
)
def test_a_task_that_cannot_be_right_is_refused_when_it_is_written(arguments: dict[str, object], field: str) -> None:
    with pytest.raises(Invalid) as caught:
        check_open_call(arguments, POLICY, "with")
    assert caught.value.validation_errors[0].field == field


def test_a_task_whose_values_are_not_known_yet_is_accepted() -> None:
    headers = {"Authorization": "Bearer ${secrets.token}"}
    check_input(MCP_CALL, {"url": "${params.url}", "tool": "${params.tool}", "headers": headers}, POLICY, "with")


def test_an_offer_is_kept_for_a_minute() -> None:
    offers = Offers()
    key = key_of(AGENT, "http://h.example/", {})
    offers.put(key, OFFER, 100.0)

    assert offers.get(key, 100.0 + OFFER_SECONDS - 0.001) is OFFER
    assert offers.get(key, 100.0 + OFFER_SECONDS) is None
    assert len(offers) == 0


def test_the_least_recently_used_offer_goes_first() -> None:
    offers = Offers()
    keys = [key_of(UUID(int=number), "http://h.example/", {}) for number in range(OFFERS + 1)]
    for key in keys[:-1]:
        offers.put(key, OFFER, 0.0)
    offers.get(keys[0], 0.0)
    offers.put(keys[-1], OFFER, 0.0)

    assert len(offers) == OFFERS
    assert offers.get(keys[0], 0.0) is OFFER
    assert offers.get(keys[1], 0.0) is None


def test_large_offers_are_bounded_by_their_bytes() -> None:
    offers = Offers()
    large = Offer({"act": b"x" * (OFFERS_BYTES // 3)})
    keys = [key_of(UUID(int=number), "http://h.example/", {}) for number in range(10)]
    for key in keys * 2:
        offers.put(key, large, 0.0)

    assert len(offers) == 2
    offers.put(keys[0], Offer({"act": b"x" * (OFFERS_BYTES + 1)}), 0.0)
    assert len(offers) == 0


def test_a_key_tells_agents_urls_and_credentials_apart_and_holds_none() -> None:
    secret = {"Authorization": "Bearer a-secret"}
    keys = {
        key_of(AGENT, "http://h.example/", {}),
        key_of(AGENT, "http://h.example/", secret),
        key_of(AGENT, "http://other.example/", secret),
        key_of(UUID(int=2), "http://h.example/", secret),
        key_of(AGENT, "http://h.example/", {"authorization": "Bearer a-secret"}),
    }
    assert len(keys) == 4
    assert "a-secret" not in repr(keys)


@pytest.mark.parametrize(
    ("schema", "arguments", "message"),
    [
        ({"required": ["city"]}, {}, "with.arguments: 'city' is a required property."),
        (
            {"properties": {"at": {"items": {"maximum": 5}}}},
            {"at": [1, 9]},
            "with.arguments.at[1]: This does not fit the tool's schema, which says maximum: 5.",
        ),
        (
            {"$schema": "http://json-schema.org/draft-07/schema#", "dependencies": {"a": ["b"]}},
            {"a": 1},
            "with.arguments: This does not fit the tool's schema, which says dependencies: ….",
        ),
        (
            {"properties": {"n": {"$ref": "#/$defs/n"}}, "$defs": {"n": {"enum": ["a", "b"]}}},
            {"n": "a-secret"},
            "with.arguments.n: This does not fit the tool's schema, which says enum: ['a', 'b'].",
        ),
    ],
)
def test_a_wrong_argument_is_told_by_its_path_and_without_its_value(
    schema: object, arguments: dict[str, object], message: str
) -> None:
    assert wrong(schema, arguments) == message


@pytest.mark.parametrize(
    "schema",
    [
        {"properties": {"s": {"pattern": "^(a|a)*$"}}, "required": ["missing"]},
        {"patternProperties": {"^(a|a)*$": {}}, "required": ["missing"]},
        {"allOf": [{"unevaluatedProperties": False}], "required": ["missing"]},
        {"$ref": "https://example.com/schema"},
        {"$ref": "#"},
        {"description": "x" * 70_000, "required": ["missing"]},
        {"properties": {"s": {"type": "unknown"}}},
        {"required": 7},
        True,
    ],
)
def test_what_cannot_be_checked_in_bounded_time_is_not(schema: object) -> None:
    assert wrong(schema, {"s": "a" * 60 + "b"}) is None


def test_a_schema_that_branches_at_each_level_ends_within_the_budget() -> None:
    branching = {str(n): {"anyOf": [{"$ref": f"#/$defs/{n + 1}"}] * 10} for n in range(12)}
    began = time.thread_time()
    found = wrong({"$ref": "#/$defs/0", "$defs": {**branching, "12": {"required": ["missing"]}}}, {})

    assert found is None
    assert time.thread_time() - began < BUDGET_SECONDS * 10


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "#"},
        {"allOf": [{"$ref": "#"}]},
        {"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"not": {"$ref": "#/$defs/a"}}}},
        msgspec.json.decode(b'{"not":' * 300 + b"{}" + b"}" * 300),
    ],
)
def test_a_schema_without_end_ends(schema: object) -> None:
    # Where the stack ends decides whether Python or Rust notices it first.
    for frames in range(40):
        assert deeper(frames, schema) is None


def deeper(frames: int, schema: object) -> str | None:
    return wrong(schema, {}) if frames == 0 else deeper(frames - 1, schema)


def test_a_schema_that_contains_itself_is_checked_as_deep_as_the_arguments_are() -> None:
    tree = {"properties": {"child": {"$ref": "#"}, "n": {"type": "integer"}}}

    assert wrong(tree, {"child": {"child": {"n": 1}}}) is None
    assert str(wrong(tree, {"child": {"child": {"n": "1"}}})).startswith("with.arguments.child.child.n: ")


def test_parts_fill_the_room_in_their_order_and_what_does_not_fit_is_told() -> None:
    image = {"type": "image", "mimeType": "image/png", "data": "A" * (RESPONSE_BODY_BYTES // 2)}
    link = {"type": "resource_link", "uri": "file:///a", "name": "a"}
    answer = answer_of({"content": [image, image, link], "structuredContent": {"n": 1}})

    assert answer.structured == {"n": 1}
    assert answer.content == [image, {"type": "image", "mimeType": "image/png", "truncated": True}, link]
    assert answer.truncated
    assert len(msgspec.json.encode(answer.output())) < RESPONSE_BODY_BYTES + 1024


def test_a_structured_answer_that_is_too_large_is_left_out_and_its_text_kept() -> None:
    answer = answer_of(
        {"content": [{"type": "text", "text": "ok"}], "structuredContent": {"s": "x" * RESPONSE_BODY_BYTES}}
    )
    assert (answer.structured, answer.text, answer.truncated) == (None, "ok", True)


def test_what_jsonb_does_not_take_is_replaced() -> None:
    answer = answer_of({"content": [], "structuredContent": {"nan": float("nan"), "nul": "a\0", "big": 2**70}})
    assert answer.structured == {"nan": None, "nul": "a\ufffd", "big": 2**70}
