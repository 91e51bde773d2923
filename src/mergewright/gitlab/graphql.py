"""The few mutations that a review needs and REST does not have. https://docs.gitlab.com/api/graphql/reference/"""

from mergewright.domain.session import JSON

_TYPES = {
    "mergeRequestRequestChanges": "MergeRequestRequestChangesInput",
    "mergeRequestDestroyRequestedChanges": "MergeRequestDestroyRequestedChangesInput",
    "mergeRequestReviewerRereview": "MergeRequestReviewerRereviewInput",
    "mergeRequestSetReviewers": "MergeRequestSetReviewersInput",
}


def mutation(name: str, given: dict[str, JSON]) -> dict[str, JSON]:
    """Give the request's body; values go as variables, so that no name can change the query."""
    query = f"mutation($input: {_TYPES[name]}!) {{ {name}(input: $input) {{ errors }} }}"
    return {"query": query, "variables": {"input": given}}
