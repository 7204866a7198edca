"""A Bot API server for demos and tests: true to the protocol, with a chat page, people and faults on demand."""

from runtime.sandbox.telegram.chats import ChatMessage
from runtime.sandbox.telegram.clock import Clock, ManualClock, SystemClock
from runtime.sandbox.telegram.faults import Fault, FaultPlan
from runtime.sandbox.telegram.journal import Journal, JournalEntry
from runtime.sandbox.telegram.people import Chat, Group, Press, User
from runtime.sandbox.telegram.server import SandboxTelegram

__all__ = [
    "Chat",
    "ChatMessage",
    "Clock",
    "Fault",
    "FaultPlan",
    "Group",
    "Journal",
    "JournalEntry",
    "ManualClock",
    "Press",
    "SandboxTelegram",
    "SystemClock",
    "User",
]
