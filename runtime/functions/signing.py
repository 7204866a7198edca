"""Signatures of result webhooks, as Standard Webhooks has them (spec 1.0.0, symmetric): any of its libraries checks
them.
"""

import base64
import hmac
from collections.abc import Mapping


def signed_headers(secret: bytes, message_id: str, at: int, body: bytes) -> Mapping[str, str]:
    """The three headers for a body sent `at` (seconds since 1970); the receiver refuses what is too old."""
    signed = b".".join([message_id.encode(), str(at).encode(), body])
    signature = base64.b64encode(hmac.digest(secret, signed, "sha256")).decode()
    return {"webhook-id": message_id, "webhook-timestamp": str(at), "webhook-signature": f"v1,{signature}"}
