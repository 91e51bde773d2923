"""What the rules of ruff and bandit mean for a review: how severe, of what kind, and what happens because of it."""

from dataclasses import dataclass

from mergewright.domain.review import Severity

_CRITICAL, _MAJOR, _MINOR, _INFO = Severity.CRITICAL, Severity.MAJOR, Severity.MINOR, Severity.INFO


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a rule's report is worth in a review."""

    severity: Severity
    category: str
    title: str = ""
    """The consequence; empty where the tool's own message says it."""


RUFF: dict[str, Meaning] = {
    "E902": Meaning(_CRITICAL, "correctness", "The file cannot be read"),
    "invalid-syntax": Meaning(_CRITICAL, "correctness", "The file does not parse, so importing it fails"),
    "F404": Meaning(_CRITICAL, "correctness", "A late `__future__` import is a syntax error"),
    "F502": Meaning(_CRITICAL, "correctness", "This `%` format raises when it runs"),
    "F507": Meaning(_CRITICAL, "correctness", "This `%` format raises when it runs"),
    "F524": Meaning(_CRITICAL, "correctness", "This `.format` raises when it runs"),
    "F601": Meaning(_MAJOR, "correctness"),
    "F631": Meaning(_CRITICAL, "correctness", "This assertion can never fail"),
    "F632": Meaning(_MAJOR, "correctness", "`is` compares identity here, not the value"),
    "F634": Meaning(_CRITICAL, "correctness", "This condition is always true"),
    "F701": Meaning(_CRITICAL, "correctness"),
    "F702": Meaning(_CRITICAL, "correctness"),
    "F704": Meaning(_CRITICAL, "correctness"),
    "F706": Meaning(_CRITICAL, "correctness"),
    "F811": Meaning(_MAJOR, "correctness"),
    "F821": Meaning(_CRITICAL, "correctness", "Running this line raises NameError"),
    "F822": Meaning(_MAJOR, "correctness"),
    "F823": Meaning(_CRITICAL, "correctness", "The variable is read before it has a value"),
    "B006": Meaning(_MAJOR, "correctness", "Calls share one mutable default value"),
    "B008": Meaning(_MINOR, "correctness"),
    "B012": Meaning(_MAJOR, "correctness", "Leaving a `finally` this way swallows the exception"),
    "B015": Meaning(_MAJOR, "correctness", "The comparison is computed and thrown away"),
    "B018": Meaning(_MINOR, "correctness", "The expression is computed and thrown away"),
    "B023": Meaning(_MAJOR, "correctness", "The function sees the loop's last value, not this round's"),
    "B024": Meaning(_INFO, "maintainability"),
    "B025": Meaning(_MAJOR, "correctness"),
    "B030": Meaning(_CRITICAL, "correctness"),
    "B032": Meaning(_MAJOR, "correctness"),
    "B035": Meaning(_MAJOR, "correctness", "Every round overwrites the same key"),
    "B039": Meaning(_MAJOR, "correctness"),
    "B904": Meaning(_INFO, "maintainability"),
    "B909": Meaning(_MAJOR, "correctness", "The loop changes what it walks over"),
    "ASYNC210": Meaning(_MAJOR, "performance", "A blocking request stops the whole event loop"),
    "ASYNC251": Meaning(_MAJOR, "performance", "A blocking sleep stops the whole event loop"),
    "PLE0101": Meaning(_CRITICAL, "correctness"),
    "PLE0604": Meaning(_MAJOR, "correctness"),
    "PLE1205": Meaning(_MAJOR, "correctness", "The logging call has more arguments than its format"),
    "PLE1206": Meaning(_MAJOR, "correctness", "The logging call has fewer arguments than its format"),
    "PLR0124": Meaning(_MAJOR, "correctness", "The value is compared with itself"),
    "PLW0129": Meaning(_MAJOR, "tests", "This assertion can never fail"),
    "RUF006": Meaning(_MINOR, "reliability", "The task may be collected before it has run"),
    "E722": Meaning(_MINOR, "reliability", "A bare `except` also catches Ctrl-C and exit"),
    "F401": Meaning(_INFO, "maintainability"),
    "F841": Meaning(_INFO, "maintainability"),
}
"""Every ruff rule that is asked for; what is left out here is a matter of taste, not of defects."""

BANDIT: dict[str, Meaning] = {
    "B102": Meaning(_CRITICAL, "security", "`exec` runs whatever text gets here"),
    "B105": Meaning(_MAJOR, "security", "A password stands in the code"),
    "B106": Meaning(_MAJOR, "security", "A password stands in the code"),
    "B107": Meaning(_MAJOR, "security", "A password stands in the code"),
    "B108": Meaning(_MINOR, "security"),
    "B113": Meaning(_MINOR, "reliability", "The request can hang for ever: it has no timeout"),
    "B201": Meaning(_CRITICAL, "security", "Flask's debugger lets anybody run code"),
    "B202": Meaning(_CRITICAL, "security", "Unpacking can write outside of its folder"),
    "B301": Meaning(_CRITICAL, "security", "Unpickling runs what the data says"),
    "B302": Meaning(_CRITICAL, "security", "Unmarshalling can crash or run what the data says"),
    "B303": Meaning(_MAJOR, "security"),
    "B304": Meaning(_MAJOR, "security"),
    "B305": Meaning(_MAJOR, "security"),
    "B306": Meaning(_MAJOR, "security", "The temporary file can be taken over before it is opened"),
    "B307": Meaning(_CRITICAL, "security", "`eval` runs whatever text gets here"),
    "B310": Meaning(_MINOR, "security"),
    "B311": Meaning(_INFO, "security"),
    "B314": Meaning(_MAJOR, "security", "Hostile XML can exhaust the machine"),
    "B321": Meaning(_MINOR, "security"),
    "B323": Meaning(_MAJOR, "security", "The other side's certificate is not checked"),
    "B324": Meaning(_MAJOR, "security", "The hash is broken for anything that must be secure"),
    "B501": Meaning(_CRITICAL, "security", "The other side's certificate is not checked"),
    "B502": Meaning(_MAJOR, "security"),
    "B503": Meaning(_MAJOR, "security"),
    "B506": Meaning(_CRITICAL, "security", "Loading this YAML can run what the text says"),
    "B507": Meaning(_CRITICAL, "security", "The host's key is not checked"),
    "B601": Meaning(_CRITICAL, "security"),
    "B602": Meaning(_CRITICAL, "security", "A shell runs what gets into this text"),
    "B604": Meaning(_MAJOR, "security", "A shell runs what gets into this text"),
    "B605": Meaning(_CRITICAL, "security", "A shell runs what gets into this text"),
    "B608": Meaning(_CRITICAL, "security", "What gets into this text runs as SQL"),
    "B609": Meaning(_MAJOR, "security"),
    "B610": Meaning(_MAJOR, "security", "What gets into this text runs as SQL"),
    "B611": Meaning(_MAJOR, "security", "What gets into this text runs as SQL"),
    "B612": Meaning(_CRITICAL, "security"),
    "B614": Meaning(_CRITICAL, "security", "Loading this model can run what the file says"),
    "B701": Meaning(_MAJOR, "security", "The templates do not escape HTML"),
    "B702": Meaning(_MAJOR, "security", "The templates do not escape HTML"),
    "B704": Meaning(_MAJOR, "security", "Text goes into the page as HTML"),
}
"""Every bandit rule that is asked for, by its id."""
