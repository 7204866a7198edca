"""answerCallbackQuery."""

from __future__ import annotations

from runtime.sandbox.telegram import limits
from runtime.sandbox.telegram.calls import Call
from runtime.sandbox.telegram.errors import BadRequest
from runtime.sandbox.telegram.methods.table import Bench, method
from runtime.sandbox.telegram.utf16 import utf16_length

_TOO_LATE = "query is too old and response timeout expired or query ID is invalid"


@method("answerCallbackQuery")
async def answer_callback_query(bench: Bench, call: Call) -> bool:
    """Ends the button's spinner, once and within the answer window; `text` shows as a toast or an alert."""
    world = bench.world
    text = call.text("text")
    if utf16_length(text) > limits.CALLBACK_ANSWER_LENGTH:
        raise BadRequest("MESSAGE_TOO_LONG")
    query = world.callbacks.get(call.text("callback_query_id"))
    if query is None or query.answer is not None:
        raise BadRequest(_TOO_LATE)
    if world.clock.time() - query.asked_at > world.callback_answer_seconds:
        raise BadRequest(_TOO_LATE)
    query.answer = {
        "text": text,
        "show_alert": call.flag("show_alert"),
        "url": call.text("url"),
        "cache_time": call.integer("cache_time", low=0),
    }
    world.events.publish(
        "answer", query.message.room.id, {"callback_query_id": query.id, **query.answer}, audience=query.sender.id
    )
    return True
