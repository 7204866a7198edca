"""Functions over HTTP, without the HTTP: tokens, requests that become jobs, what is told of jobs, result webhooks.

The routes: `webhooks.functions`.
"""

PATH = "/v1"
"""Where the web process offers them."""
