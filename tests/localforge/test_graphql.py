"""The part of GraphQL that reviews need, over HTTP."""

import itertools
import time
from typing import Any

import pytest

from mergewright.localforge.graphql import GraphQLError, parse
from tests.localforge.conftest import PROJECT, OnTier, Tiered
from tests.localforge.test_webhooks import Receiver, receiver  # noqa: F401 - a fixture

BRANCHES = (f"graphql-{number}" for number in itertools.count())
HIDDEN = (
    "The resource that you are attempting to access does not exist or you don't have permission to perform this action"
)
STATES = """query($path: ID!, $iid: String!) { project(fullPath: $path) { mergeRequest(iid: $iid) {
    draft state approved diffHeadSha reviewers { nodes { username mergeRequestInteraction { reviewState approved } } }
} } }"""


@pytest.fixture(params=["free", "premium"])
def any_tier(request: pytest.FixtureRequest, on_tier: OnTier) -> Tiered:
    return on_tier(request.param)


@pytest.fixture
def premium(on_tier: OnTier) -> Tiered:
    return on_tier("premium")


def mutate(tiered: Tiered, name: str, who: str, path: str, **given: Any) -> dict[str, Any]:
    """Send one mutation about a merge request and return its answer."""
    kind = f"{name[0].upper()}{name[1:]}Input"
    document = f"mutation($input: {kind}!) {{ {name}(input: $input) {{ mergeRequest {{ iid }} errors }} }}"
    whole = {"projectPath": PROJECT, "iid": path.rpartition("/")[2]} | given
    return tiered.graphql(getattr(tiered.people, who), document, input=whole)


def errors(answer: dict[str, Any], name: str) -> list[str]:
    found = answer["data"][name]["errors"]
    assert isinstance(found, list)
    return found


def test_who_am_i(any_tier: Tiered) -> None:
    document = "{ currentUser { id username active } }"
    answer = any_tier.graphql(any_tier.people.mia, document)
    me = {"id": f"gid://gitlab/User/{any_tier.ids['mia']}", "username": "mia", "active": True}
    assert answer == {"data": {"currentUser": me}}
    assert any_tier.graphql(any_tier.people.nobody, document) == {"data": {"currentUser": None}}


def test_the_states_of_the_reviewers(any_tier: Tiered) -> None:
    path = any_tier.opened(next(BRANCHES), "mia")
    variables = {"path": PROJECT, "iid": path.rpartition("/")[2]}
    any_tier.people.mia.post(f"{path}/approve")
    answer = any_tier.graphql(any_tier.people.dev, STATES, **variables)
    row = answer["data"]["project"]["mergeRequest"]
    assert (row["state"], row["draft"], row["approved"]) == ("opened", False, True)
    assert row["diffHeadSha"] == any_tier.people.dev.get(path).json()["sha"]
    interaction = {"reviewState": "APPROVED", "approved": True}
    assert row["reviewers"]["nodes"] == [{"username": "mia", "mergeRequestInteraction": interaction}]
    for who in ("gus", "eve", "nobody"):
        assert any_tier.graphql(getattr(any_tier.people, who), STATES, **variables) == {"data": {"project": None}}
    missing = any_tier.graphql(any_tier.people.dev, STATES, path=PROJECT, iid="99999")
    assert missing == {"data": {"project": {"mergeRequest": None}}}


def test_requesting_changes_takes_a_reviewer(any_tier: Tiered) -> None:
    name, path = "mergeRequestRequestChanges", any_tier.opened(next(BRANCHES), "mia")
    assert errors(mutate(any_tier, name, "owen", path), name) == ["Reviewer not found"]
    assert mutate(any_tier, name, "rita", path) == {"errors": [{"message": HIDDEN}]}
    assert mutate(any_tier, name, "eve", path) == {"errors": [{"message": HIDDEN}]}
    any_tier.people.mia.post(f"{path}/approve")
    assert errors(mutate(any_tier, name, "mia", path), name) == []
    assert any_tier.states(path) == {"mia": "requested_changes"}
    assert any_tier.people.dev.get(f"{path}/approvals").json()["approved_by"] == []
    licensed = any_tier.world.forge.settings.tier != "free"
    assert any_tier.status(path) == ("requested_changes" if licensed else "mergeable")


def test_a_request_is_taken_back_where_it_has_force(any_tier: Tiered) -> None:
    name, path = "mergeRequestDestroyRequestedChanges", any_tier.opened(next(BRANCHES), "mia")
    mutate(any_tier, "mergeRequestRequestChanges", "mia", path)
    if any_tier.world.forge.settings.tier == "free":
        assert errors(mutate(any_tier, name, "mia", path), name) == ["Invalid license"]
        return
    nothing = ["User has not requested changes for this merge request"]
    assert errors(mutate(any_tier, name, "owen", path), name) == nothing
    assert any_tier.status(path) == "requested_changes"
    assert errors(mutate(any_tier, name, "mia", path), name) == []
    assert any_tier.status(path) == "mergeable"
    assert errors(mutate(any_tier, name, "mia", path), name) == nothing


def test_who_may_merge_bypasses_requests_for_changes(premium: Tiered) -> None:
    name, path = "mergeRequestUpdate", premium.opened(next(BRANCHES), "mia")
    mutate(premium, "mergeRequestRequestChanges", "mia", path)
    assert mutate(premium, name, "dev", path, overrideRequestedChanges=True) == {"errors": [{"message": HIDDEN}]}
    assert premium.status(path) == "requested_changes"
    assert errors(mutate(premium, name, "mia", path, overrideRequestedChanges=True), name) == []
    assert premium.status(path) == "mergeable"
    assert premium.states(path) == {"mia": "requested_changes"}
    assert errors(mutate(premium, name, "owen", path, overrideRequestedChanges=False), name) == []
    assert premium.status(path) == "requested_changes"
    assert premium.said(path)[:2] == [
        "removed the bypass on this merge request",
        "bypassed reviews on this merge request",
    ]


def test_a_bypass_needs_a_license(on_tier: OnTier) -> None:
    free = on_tier("free")
    path = free.opened(next(BRANCHES), "mia")
    answer = mutate(free, "mergeRequestUpdate", "mia", path, overrideRequestedChanges=True)
    assert errors(answer, "mergeRequestUpdate") == ["Invalid license"]


def test_asking_again_sets_the_state_back_and_tells_the_webhooks(
    premium: Tiered,
    receiver: Receiver,  # noqa: F811
) -> None:
    name, path = "mergeRequestReviewerRereview", premium.opened(next(BRANCHES), "mia")
    premium.people.mia.post(f"{path}/approve")
    user = {"userId": f"gid://gitlab/User/{premium.ids['mia']}"}
    hooks = f"{premium.path}/hooks"
    wanted = {"url": receiver.url, "merge_requests_events": True, "push_events": False}
    hook = premium.people.mia.post(hooks, json=wanted).json()["id"]
    assert errors(mutate(premium, name, "dev", path, userId="gid://gitlab/User/1"), name) == ["Reviewer not found"]
    assert errors(mutate(premium, name, "dev", path, **user), name) == []
    payload = receiver.last("merge_request")
    premium.people.mia.delete(f"{hooks}/{hook}")
    assert premium.states(path) == {"mia": "unreviewed"}
    current = payload["changes"]["reviewers"]["current"]
    assert [(one["username"], one["state"], one["re_requested"]) for one in current] == [("mia", "unreviewed", True)]
    assert premium.said(path)[0] == "requested review from @mia"


def test_setting_reviewers_replaces_appends_or_removes(premium: Tiered) -> None:
    name, path = "mergeRequestSetReviewers", premium.opened(next(BRANCHES))

    def asked(*names: str, mode: str) -> list[str]:
        assert errors(mutate(premium, name, "dev", path, reviewerUsernames=list(names), operationMode=mode), name) == []
        return list(premium.states(path))

    assert asked("mia", mode="REPLACE") == ["mia"]
    assert asked("owen", "eve", mode="APPEND") == ["mia", "owen"]
    assert asked("mia", mode="REMOVE") == ["owen"]
    assert asked("mia", mode="REPLACE") == ["mia"]
    assert "errors" in mutate(premium, name, "dev", path, reviewerUsernames=[], operationMode="ALL")


def test_the_free_tier_keeps_one_reviewer(on_tier: OnTier) -> None:
    free = on_tier("free")
    path = free.opened(next(BRANCHES), "mia")
    more = {"reviewerUsernames": ["owen"], "operationMode": "APPEND"}
    assert errors(mutate(free, "mergeRequestSetReviewers", "dev", path, **more), "mergeRequestSetReviewers") == []
    assert list(free.states(path)) == ["owen"]


def test_a_draft_is_made_ready_and_a_draft_again(any_tier: Tiered) -> None:
    name, path = "mergeRequestSetDraft", any_tier.opened(next(BRANCHES))
    for draft, status, word in ((True, "draft_status", "draft"), (False, "mergeable", "ready")):
        assert errors(mutate(any_tier, name, "dev", path, draft=draft), name) == []
        assert any_tier.status(path) == status
        assert any_tier.said(path)[0] == f"marked this merge request as **{word}**"


def test_an_alias_a_default_and_an_escape_are_understood() -> None:
    given = 'x: $a, y: "\\u00e9\\n\\"", z: {k: ENUM, n: -1.5}'
    document = f"query q($a: [Int!]! = [1, 2]) {{ one: first({given}) {{ id }} # end\n}}"
    operation = parse(document, {})
    (one,) = operation.selections
    assert (one.key, one.name) == ("one", "first")
    assert one.arguments == {"x": [1, 2], "y": 'é\n"', "z": {"k": "ENUM", "n": -1.5}}
    with pytest.raises(GraphQLError):
        parse("{ a { ...all } }", {})


def test_fragments_and_conditions_are_spread_out_into_what_is_asked_for() -> None:
    document = """
        query one { nobody { id } }
        query two($all: Boolean!) {
          project { ...names mergeRequest { iid } ... on Project { id @include(if: $all) path @skip(if: $all) } }
        }
        fragment names on Project { name mergeRequest { ...title } }
        fragment title on MergeRequest { title }
    """
    (project,) = parse(document, {"all": True}, name="two").selections
    assert [one.name for one in project.selections] == ["name", "mergeRequest", "id"]
    assert [one.name for one in project.selections[1].selections] == ["title", "iid"]


@pytest.mark.parametrize(
    "document",
    [
        "{ ...a } fragment a on Query { ...a }",
        "{ a: first a: second }",
        "{ a @later(if: true) }",
        "{ ...f0 } " + " ".join(f"fragment f{n} on Q {{ ...f{n + 1} ...f{n + 1} }}" for n in range(12))
        + " fragment f12 on Q { a }",
    ],
)  # fmt: skip
def test_a_fragment_that_has_no_end_or_grows_without_one_is_refused(document: str) -> None:
    with pytest.raises(GraphQLError):
        parse(document, {})


def test_a_client_with_fragments_is_answered(any_tier: Tiered) -> None:
    document = "query me { currentUser { ...about } } fragment about on User { username }"
    answer = any_tier.people.mia.post(
        f"{any_tier.world.forge.url}/api/graphql", json={"query": document, "operationName": "me"}
    )
    assert answer.json() == {"data": {"currentUser": {"username": "mia"}}}


@pytest.mark.parametrize(
    "document",
    [
        "",
        "{",
        "{}",
        "{ nothing }",
        "{ currentUser { password } }",
        "subscription { currentUser { id } }",
        "{ currentUser { id } } { currentUser { id } }",
        "mutation { mergeRequestRequestChanges { errors } }",
        "{ a" * 40,
        "{ project(fullPath: $unknown) { id } }",
        "{ project(fullPath: " + "[" * 60 + ") { id } }",
        "{ a }" + " " * 30_000,
        "#" * 10_000,
        "{ a ~ }",
        '{ project(fullPath: "\\ud800") { id } }',
    ],
)
def test_a_document_that_makes_no_sense_is_an_error_in_graphqls_shape(premium: Tiered, document: str) -> None:
    began = time.process_time()
    answer = premium.people.mia.post(f"{premium.world.forge.url}/api/graphql", json={"query": document})
    assert answer.status_code in {200, 400}
    assert list(answer.json()) in (["errors"], ["error"])
    assert time.process_time() - began < 5


def test_a_number_beyond_all_sense_names_nothing(premium: Tiered) -> None:
    answer = premium.graphql(premium.people.mia, "{ project(fullPath: " + "9" * 6_000 + ") { id } }")
    assert answer == {"data": {"project": None}}


def test_what_is_answered_with_an_error_has_changed_nothing(premium: Tiered) -> None:
    path = premium.opened(next(BRANCHES), "mia")
    given = f'projectPath: "{PROJECT}", iid: "{path.rpartition("/")[2]}"'
    document = f"mutation {{ mergeRequestRequestChanges(input: {{{given}}}) {{ nothing }} }}"
    assert "errors" in premium.graphql(premium.people.mia, document)
    assert premium.states(path) == {"mia": "unreviewed"}
    assert premium.status(path) == "mergeable"


def test_nobody_changes_anything_without_a_token(any_tier: Tiered) -> None:
    path = any_tier.opened(next(BRANCHES))
    given = f'projectPath: "{PROJECT}", iid: "{path.rpartition("/")[2]}", draft: true'
    document = f"mutation {{ mergeRequestSetDraft(input: {{{given}}}) {{ errors }} }}"
    url = f"{any_tier.world.forge.url}/api/graphql"
    assert any_tier.people.nobody.post(url, json={"query": document}).status_code == 401
    assert any_tier.people.nobody.post(url, json={"query": "{a}"}, headers={"PRIVATE-TOKEN": "no"}).status_code == 401
    assert any_tier.status(path) == "mergeable"
