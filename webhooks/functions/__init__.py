"""Functions over HTTP: the routes under /v1.

app       the application, its document          invoking  what there is, and asking for it
jobs      a job, its list, its cancellation      stream    a job's life as server-sent events
artifacts pictures in, results out               body      bodies read within their bounds
problems  refusals as documents                  sharing   what all routes share, and whose token it is
openapi   the OpenAPI document
"""

from webhooks.functions.app import Functions

__all__ = ["Functions"]
