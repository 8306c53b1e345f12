"""One try at a run: the task's pipeline, under its timeout."""

import asyncio

import msgspec
from opentelemetry import trace

from services.executor.outcome import Failed, Result, Succeeded, is_beyond_retries
from services.executor.tools.base import StepContext, ToolFault
from services.executor.tools.registry import Toolbox
from services.executor.work import Work
from shared.telemetry.tracing import traceparent_of
from shared.vocabulary.pipeline import Pipeline, Step
from shared.vocabulary.states import ErrorClass


async def attempt(work: Work, toolbox: Toolbox, span: trace.Span) -> Result:
    """Never raises for what a payload or a receiver can do; cancellation passes through."""
    if is_beyond_retries(work):
        return Failed(ErrorClass.LEASE_LOST, "Every executor that tried this run was lost.", is_retryable=True)
    try:
        pipeline = msgspec.convert(work.payload, Pipeline)
    except msgspec.ValidationError as error:
        return Failed(ErrorClass.TEMPLATE, f"The payload cannot be executed: {error}", is_retryable=False)
    step = pipeline.pipeline[0]
    limit_seconds = min(work.timeout_seconds, step.timeout_seconds or work.timeout_seconds)
    try:
        async with asyncio.timeout(limit_seconds):
            return await _run_step(step, work, toolbox, span)
    except TimeoutError:
        message = f"The step {step.id!r} was not finished after {limit_seconds:g} s."
        return Failed(ErrorClass.TIMEOUT, message, is_retryable=True)


async def _run_step(step: Step, work: Work, toolbox: Toolbox, span: trace.Span) -> Result:
    tool = toolbox.get(step.uses)
    if tool is None:
        return Failed(ErrorClass.TOOL, f"There is no tool {step.uses!r}.", is_retryable=False)
    context = StepContext(
        run_id=work.id,
        step_id=step.id,
        attempt=work.attempt,
        idempotency_key=str(work.id),
        traceparent=traceparent_of(span),
    )
    try:
        return Succeeded(await tool.call(step.arguments, context))
    except ToolFault as fault:
        return Failed(
            fault.error_class,
            fault.message,
            is_retryable=fault.retryable,
            retry_after_seconds=fault.retry_after_seconds,
            output=fault.output,
        )
