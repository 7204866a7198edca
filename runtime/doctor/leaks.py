"""Whether anything leaves but through the proxy: the battery of `runtime.leaks`, one line a scenario."""

from collections.abc import AsyncIterator

from runtime.doctor.line import Line, fault, ok
from runtime.leaks import Finding, LeakCheckImpossible, check_leaks

SUBJECT = "leaks"
REPORT = "do not use it for hidden backends, and report this line: it is a fault of veilrun"


async def leak_lines() -> AsyncIterator[Line]:
    """A line for each scenario as it is over, and one about all of them."""
    findings: list[Finding] = []
    try:
        async for finding in check_leaks():
            findings.append(finding)
            yield _line(finding)
    except LeakCheckImpossible as error:
        yield fault(SUBJECT, f"not checked: {error}", "nothing is known about leaks until the check runs to its end")
        return
    bad = [finding for finding in findings if not finding.ok]
    honest = [finding for finding in findings if not finding.is_control]
    if not bad:
        yield ok(SUBJECT, f"{len(honest)} scenarios, 0 packets and 0 DNS questions outside the proxy")


def _line(finding: Finding) -> Line:
    if finding.ok:
        return ok(SUBJECT, f"{finding}, seen as it should be" if finding.is_control else str(finding))
    if finding.is_control:
        return fault(SUBJECT, str(finding), "the other lines prove nothing on this machine")
    return fault(SUBJECT, str(finding), REPORT)
