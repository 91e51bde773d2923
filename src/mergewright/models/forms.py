"""How models are named."""

FORMS = (
    "use `openai:MODEL`, `local:MODEL` for a server of your own, `anthropic:MODEL` or another provider's name, "
    "or `recorded:FILE`"
)
