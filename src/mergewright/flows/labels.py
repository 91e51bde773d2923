"""Names that strangers chose, as far as the label of a fence can hold them."""


def label(name: str, *, most: int = 80) -> str:
    """Give a file's or job's name with `_` for what could mean something in a label."""
    return "".join(letter if letter.isalnum() or letter in "_./-" else "_" for letter in name)[:most]
