"""A pipeline is seen before it is saved: rendered with samples, while nothing is run."""

from typing import Any

from shared.vocabulary.scopes import Scope
from tests.integration.gateway.bench import HTTP_CALL, Bench, Caller, task_body

VALIDATE = "/pipelines/validate"
SECRET = "[secret]"


def _transform(name: str, value: object, **more: object) -> dict[str, Any]:
    return {"id": name, "uses": "transform", "with": {"value": value}, **more}


async def _seen(caller: Caller, *pipeline: object, **more: Any) -> dict[str, Any]:  # noqa: ANN401
    params = more.pop("params", {})
    answer = await caller.post(VALIDATE, {"payload": {"params": params, "pipeline": [*pipeline]}, **more})
    assert answer.status_code == 200, answer.text
    seen: dict[str, Any] = answer.json()
    assert seen["valid"] is True
    return seen


async def _step(caller: Caller, *pipeline: object, **more: Any) -> dict[str, Any]:  # noqa: ANN401
    """The last one."""
    step: dict[str, Any] = (await _seen(caller, *pipeline, **more))["steps"][-1]
    return step


async def test_parameters_and_a_sample_event_are_put_in_and_keep_their_types(owner: Caller) -> None:
    value = {"n": "${params.n}", "text": "Hello ${event.payload.name}", "list": ["${event.payload.tags}"]}
    step = await _step(
        owner, _transform("a", value), params={"n": 2.5}, event={"payload": {"name": "Ann", "tags": ["x", True]}}
    )
    assert step["rendered_with"] == {"value": {"n": 2.5, "text": "Hello Ann", "list": [["x", True]]}}
    assert (step["unrendered"], step["is_open"], step["notes"], step["if"]) == ([], False, [], True)


async def test_results_of_steps_stay_as_they_are_and_are_named(owner: Caller) -> None:
    step = await _step(
        owner,
        _transform("a", 1),
        {
            "id": "b",
            "uses": "http.request",
            "with": {"url": "https://example.com/", "json": {"x": ["${steps.a.output}"]}},
        },
    )
    assert step["rendered_with"]["json"] == {"x": ["${steps.a.output}"]}
    assert (step["unrendered"], step["is_open"]) == (["with.json.x[0]"], True)


async def test_secrets_are_never_shown_nor_looked_up(owner: Caller) -> None:
    call = {
        "id": "a",
        "uses": "http.request",
        "with": {"url": "https://example.com/", "headers": {"X-Key": "k ${secrets.key}"}},
    }
    step = await _step(owner, call)
    assert step["rendered_with"]["headers"] == {"X-Key": f"k {SECRET}"}


async def test_an_if_is_true_false_or_not_known(owner: Caller) -> None:
    conditions = ["params.n > 1", "${params.n > 2}", "steps.a.status == 'succeeded'"]
    steps = (
        await _seen(
            owner,
            _transform("a", 1),
            *(_transform(f"b{n}", 1) | {"if": text} for n, text in enumerate(conditions)),
            params={"n": 2},
        )
    )["steps"]
    assert [step["if"] for step in steps] == [True, True, False, None]


async def test_a_foreach_is_shown_with_its_first_item_and_counted(owner: Caller) -> None:
    step = await _step(
        owner,
        _transform("a", "${item.name} ${index}", foreach="params.people"),
        params={"people": [{"name": "Ann"}, {}]},
    )
    assert (step["rendered_with"], step["items"]) == ({"value": "Ann 0"}, 2)


async def test_a_foreach_over_a_result_is_not_known(owner: Caller) -> None:
    step = await _step(owner, _transform("a", [1]), _transform("b", "${item}", foreach="steps.a.output"))
    assert (step["rendered_with"], step["items"], step["is_open"]) == ({"value": "${item}"}, None, True)


async def test_what_does_not_fit_the_sample_is_a_note_not_a_refusal(owner: Caller) -> None:
    step = await _step(owner, _transform("a", "${event.payload.nobody}"), event={"payload": {}})
    assert step["unrendered"] == ["with.value"]
    assert step["notes"]
    assert step["notes"][0].startswith("with.value: ")


async def test_an_address_that_only_the_sample_shows_is_judged(owner: Caller) -> None:
    call = {"id": "a", "uses": "http.request", "with": {"url": "${event.payload.url}"}}
    step = await _step(owner, call, event={"payload": {"url": "http://10.0.0.1/"}})
    assert [note.partition(":")[0] for note in step["notes"]] == ["with.url"]


async def test_an_event_without_a_sample_stays_open_and_is_null_in_a_task_by_the_clock(owner: Caller) -> None:
    opened = await _seen(owner, _transform("a", "${event == null}"))
    timed = await _seen(owner, _transform("a", "${event == null}"), schedule_kind="cron")
    assert (opened["steps"][0]["is_open"], opened["warnings"]) == (True, [])
    assert timed["steps"][0]["rendered_with"] == {"value": True}
    assert [each["field"] for each in timed["warnings"]] == ["payload.pipeline[0]"]


async def test_a_bad_pipeline_is_refused_in_the_same_words_as_by_create(owner: Caller) -> None:
    payload = {"pipeline": [{**HTTP_CALL, "uses": "shell.run", "if": "("}, _transform("call", "${nobody}")]}
    seen, created = (
        await owner.post(VALIDATE, {"payload": payload}),
        await owner.post("/tasks", task_body(payload=payload)),
    )
    assert (seen.status_code, created.status_code) == (422, 422)
    assert seen.json()["validation_errors"] == created.json()["validation_errors"]
    assert [each["field"] for each in seen.json()["validation_errors"]] == [
        "payload.pipeline[0].uses",
        "payload.pipeline[0].if",
        "payload.pipeline[1].id",
        "payload.pipeline[1].with.value",
    ]


async def test_an_update_is_judged_as_a_creation_is(owner: Caller) -> None:
    task = await owner.create_task()
    payload = {"pipeline": [_transform("a", "${steps.b}"), _transform("b", 1)]}
    answer = await owner.put(f"/tasks/{task['id']}", {"payload": payload})
    created = await owner.post("/tasks", task_body(payload=payload))
    assert answer.status_code == 422
    assert answer.json()["validation_errors"] == created.json()["validation_errors"]
    assert (await owner.show_task(task["id"]))["version"] == 1


async def test_a_pipeline_of_many_steps_is_stored_as_it_was_given(owner: Caller) -> None:
    payload = {
        "params": {"list": [1]},
        "pipeline": [
            _transform("a", 1, save_as="x", on_error="continue", retry={"max_retries": 2}),
            {"parallel": [_transform("b", "${steps.x}"), _transform("c", "${item}", foreach="params.list")]},
        ],
    }
    task = await owner.create_task(payload=payload)
    assert task["payload"] == payload
    assert (await owner.show_task(task["id"]))["payload"] == payload


async def test_validating_needs_the_right_to_write_tasks(gateway: Bench) -> None:
    reader = await gateway.caller(Scope.TASKS_READ)
    answer = await reader.post(VALIDATE, {"payload": {"pipeline": [HTTP_CALL]}})
    assert (answer.status_code, answer.json()["error_code"]) == (403, "insufficient_scope")


async def test_validating_leaves_nothing_behind(gateway: Bench, owner: Caller) -> None:
    await _seen(owner, HTTP_CALL)
    assert await gateway.pool.fetchval("SELECT count(*) FROM task WHERE agent_id = $1", owner.agent_id) == 0
    assert await gateway.pool.fetchval("SELECT count(*) FROM audit_log WHERE actor_id = $1", owner.agent_id) == 0
