"""Messages of text alone: answers to commands, explanations of failures, the question whether a result arrived."""

from psycopg import AsyncConnection

from db import deliveries, jobs
from db.deliveries import Delivery
from db.jobs import Job
from runtime.chat.buttons import again_button, read_keyboard, resend_button, written_keyboard
from runtime.chat.captions import TEXT_UNITS, shortened
from runtime.chat.desk import Desk, Done, Unwanted, place_of
from runtime.chat.messages import Envelope
from runtime.chat.status_message import replace_status
from runtime.chat.texts import text

_DETAIL_UNITS = 1000

_EXPLANATIONS: dict[str, tuple[str, bool]] = {
    "BackendUnreachable": ("failure.backend_away", True),
    "PromptLost": ("failure.backend_away", True),
    "UnexpectedAnswer": ("failure.backend_away", True),
    "BackendMisconfigured": ("failure.rejected", False),
    "WorkflowRejected": ("failure.rejected", False),
    "GraphProblems": ("failure.rejected", False),
    "PluginFailed": ("failure.rejected", False),
    "NodeFailed": ("failure.broken_run", True),
    "OutOfMemory": ("failure.out_of_memory", False),
    "QueueTimeout": ("failure.queue_too_long", True),
    "NoBackendFits": ("failure.rejected", False),
    "LoadTimeout": ("failure.run_too_long", True),
    "RunTimeout": ("failure.run_too_long", False),
    "WorkerLost": ("failure.lost", True),
    "InputGone": ("failure.input_gone", False),
}
"""Class name in `jobs.error` -> what the user reads, and whether the same again may help."""


async def send_notice(desk: Desk, delivery: Delivery, job: Job | None) -> Done:
    """Send the text of the payload; with `edits_status` the job's status message says it, where there is one."""
    payload = delivery.payload
    words = shortened(str(payload.get("text", "")), TEXT_UNITS)
    if not words.strip():
        raise Unwanted("nothing to say")
    buttons = read_keyboard(payload.get("buttons") or ())
    if payload.get("edits_status") and job is not None:
        if job.state not in ("collected", "failed"):
            raise Unwanted("answered meanwhile")
        return await replace_status(desk, delivery, job, Envelope(words, buttons=buttons), keeps_status=True)
    sent = await desk.gateway.send_text(place_of(delivery, None), words, buttons)
    return Done((sent.message_id,))


async def send_failure(desk: Desk, delivery: Delivery, job: Job | None) -> Done:
    """Say what went wrong and what to do, in the place of the status message."""
    if job is None or job.state not in ("failed", "dead"):
        raise Unwanted("the job did not fail")
    return await replace_status(desk, delivery, job, failure_envelope(desk, job))


def failure_envelope(desk: Desk, job: Job) -> Envelope:
    """What happened, what to do, and a button where the same again may help."""
    detail = shortened((job.error_detail or "").strip().rstrip("."), _DETAIL_UNITS)
    fallback = "failure.unknown_detail" if detail else "failure.unknown"
    key, may_help = _EXPLANATIONS.get(job.error or "", (fallback, True))
    words = text(key, job.language, detail=detail or (job.error or "?"))
    return Envelope(words, buttons=desk.again_button(job) if may_help else ())


async def owe_question(connection: AsyncConnection, delivery: Delivery) -> int | None:
    """Owe the chat the question whether this delivery, whose outcome is unknown, has arrived; None if it needs none.

    Call it in the transaction that flags the delivery. The question replaces the status message, and its button sends
    the result once more.
    """
    if delivery.kind != "result" or delivery.job_id is None:
        return None
    job = await jobs.get(connection, delivery.job_id)
    if job is None:
        return None
    payload = {
        "text": text("result.uncertain", job.language),
        "buttons": written_keyboard(resend_button(delivery.id, job.language)),
        "reply_to": job.message_id,
        "thread_id": job.thread_id,
        "edits_status": True,
    }
    return await deliveries.owe(connection, delivery.chat_id, "notice", payload, job.id)


async def owe_refusal(connection: AsyncConnection, delivery: Delivery) -> int | None:
    """Owe the chat the news that Telegram did not take the result."""
    if delivery.kind != "result" or delivery.job_id is None:
        return None
    job = await jobs.get(connection, delivery.job_id)
    if job is None:
        return None
    payload = {
        "text": text("result.refused", job.language),
        "buttons": written_keyboard(((again_button(job.id, job.language),),)),
        "reply_to": job.message_id,
        "thread_id": job.thread_id,
        "edits_status": True,
    }
    return await deliveries.owe(connection, delivery.chat_id, "notice", payload, job.id)
