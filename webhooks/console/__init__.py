"""The operators' console: pages under /console that show the deployment live and let one act on it.

app      the application and its routes        gate     who may: host, origin, session, form key
pages    what each page shows                  actions  what its buttons do
stream   the same page again while it changes  shared   read and rendered once for everybody who looks
"""

from webhooks.console.app import Console

__all__ = ["Console"]
