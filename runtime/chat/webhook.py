"""Where Telegram sends updates: one path below the public address of the web process."""

from runtime.chat.gateway import TelegramGateway

PATH = "/telegram/webhook"
ALLOWED_UPDATES = ("message", "callback_query", "my_chat_member")
"""The kinds that mean something here; Telegram sends no others."""


async def register_webhook(gateway: TelegramGateway, public_url: str, secret: str) -> str:
    """Have updates posted below `public_url`, with `secret` in their header. The whole address."""
    address = public_url.rstrip("/") + PATH
    await gateway.set_webhook(address, secret=secret, allowed_updates=ALLOWED_UPDATES)
    return address
