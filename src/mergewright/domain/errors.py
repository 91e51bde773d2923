"""Everything that can go wrong in a way a person can act on.

MergewrightError                exit 1
├── WrongUse                    exit 2: an argument, a setting or a file is wrong
│   └── NoSandbox               exit 2: this machine offers no sandbox, so nothing runs
├── ForgeError                  the forge said no
│   ├── Unauthorized            no token, or one it does not know
│   ├── Forbidden               the token's owner may not do this
│   ├── NotFound                it does not exist, or the token's owner may not see it
│   ├── Conflict                somebody else got there first
│   └── Unreachable             no answer, or none that makes sense; worth another try
├── ModelError                  the model or its server failed
│   ├── ModelRefused            wrong key or wrong request: never tried again
│   ├── ContextOverflow         the conversation is longer than the model takes
│   ├── ModelUnavailable        every try failed; the last one says why
│   └── ReplayDiverged          a recorded session was asked something it never heard
├── NoDatabase                  our own database gives no answer, or cannot be used
├── SandboxError                the sandbox itself failed, not the command in it
├── TooMany                     somebody asked too often
├── LimitReached                a session used up its turns, tokens, seconds or money
└── ToolError                   a tool's expected failure: the model reads it and goes on
"""


class MergewrightError(Exception):
    """Something went wrong that a person can act on."""

    exit_code = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def discreet(self) -> "MergewrightError":
        """Give the same as strangers may read it."""
        return self


class WrongUse(MergewrightError):
    """An argument, a setting or a file is wrong."""

    exit_code = 2


class NoSandbox(WrongUse):
    """This machine offers no sandbox, so nothing runs."""


class ForgeError(MergewrightError):
    """The forge said no."""


class Unauthorized(ForgeError):
    """The forge does not know this token."""

    exit_code = 2


class Forbidden(ForgeError):
    """The token's owner may not do this on the forge."""


class NotFound(ForgeError):
    """It does not exist on the forge, or the token's owner may not see it."""


class Conflict(ForgeError):
    """Somebody else got there first."""


class Unreachable(ForgeError):
    """The forge gave no answer, or none that makes sense."""


class ModelError(MergewrightError):
    """The model or its server failed."""


class ModelRefused(ModelError):
    """The model's server refused the key or the request; trying again cannot help."""


class ContextOverflow(ModelError):
    """The conversation is longer than the model takes."""


class ModelUnavailable(ModelError):
    """Every try at the model failed."""


class ReplayDiverged(ModelError):
    """A recorded session was asked something that it never heard."""


class NoDatabase(MergewrightError):
    """Our own database gives no answer, or cannot be used."""

    def discreet(self) -> MergewrightError:
        """Give the same as strangers may read it: what a database says names machines and people."""
        return NoDatabase("the database gives no answer", hint="try again in a moment; the server's log says more")


class SandboxError(MergewrightError):
    """The sandbox itself failed, not the command in it."""


class TooMany(MergewrightError):
    """Somebody asked too often; a little later they may again."""


class LimitReached(MergewrightError):
    """A session used up its turns, tokens, seconds or money."""


class ToolError(MergewrightError):
    """A tool's expected failure, which the model reads."""
