"""Why a request to the console is not answered with what it asked for. Each becomes a plain page."""


class Unanswered(Exception):
    """Base. status: of the answer; title: its heading; text: what to do."""

    status = 400
    title = "This cannot be done"
    text = ""

    def __init__(self, text: str | None = None) -> None:
        super().__init__(text or self.text)
        self.text = text or self.text


class WrongHost(Unanswered):
    """Asked by a name that is not the deployment's: another page may have made its name point here."""

    status = 421
    title = "Not this address"
    text = "Open the console by the address that veilrun console prints, and set VEILRUN_PUBLIC_URL to the public one."


class SignedOut(Unanswered):
    """Nobody is signed in, or not any more."""

    status = 401
    title = "Sign in"


class LinkVoid(Unanswered):
    """The link does not sign in."""

    status = 403
    title = "This link does not sign in"
    text = "It was used already, or it is older than ten minutes."


class Refused(Unanswered):
    """A form that none of our pages sent, or a page of a session that is over."""

    status = 403
    title = "Not accepted"
    text = "The page you acted on is out of date. Go back, reload it, and try again."


class TooLarge(Refused):
    """A form that is longer than any of ours."""

    status = 413


class NotThere(Unanswered):
    """No such page, job or backend."""

    status = 404
    title = "Not found"
    text = "There is nothing here. Jobs are forgotten some time after their end."
