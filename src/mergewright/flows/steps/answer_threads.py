"""Answers every thread that was worked on, once, or the pipeline: what was done for it, or why nothing was."""

from collections.abc import Mapping

from mergewright.domain.plain import code, markdown, one_line
from mergewright.domain.session import JSON, Status
from mergewright.flows.steps.notes import signature
from mergewright.flows.world import Done, Ending, Work, given


async def step(work: Work, arguments: Mapping[str, JSON]) -> Done:
    """Give `outcome`: `pushed`, `answered` when nothing needed a change, or `failed`.

    A thread that one person opened and asked to have worked on is resolved; a reviewer's own verification resolves
    the reviewer's. For a pipeline there is one note, and the outcome `mended` instead of `pushed`.
    """
    feedback, verify = (given(arguments, name, "answer_threads") for name in ("feedback", "verify"))
    answer, push = arguments.get("answer") or {}, arguments.get("push") or {}
    answers = {one["thread"]: one for one in answer.get("threads") or ()}
    pipeline = feedback.get("pipeline")
    silent = not answer.get("summary") if pipeline else not answers
    failed = verify["verdict"] == "failed" or (verify["verdict"] == "unchanged" and silent)
    pushed = bool(push.get("pushed"))
    sha = str(push.get("sha") or "") if pushed else ""
    subject = work.session.subject
    for thread in feedback["threads"]:
        said = answers.get(thread["number"])
        body = _failed(verify) if failed else _answer(said, sha)
        mark = f"feedback.{work.session.id}.{thread['number']}"
        note = await work.world.forge.reply(subject, thread["discussion"], f"{body}\n\n{signature(work)}", mark=mark)
        await work.wrote("reply", subject=str(subject), web_url=note.web_url)
        done = said is not None and said["outcome"] == "done" and pushed and not failed
        if done and thread["wanted"] and not thread["bot"]:
            await work.world.forge.resolve(subject, thread["discussion"], resolved=True)
            await work.wrote("resolve", subject=str(subject), web_url=note.web_url)
    if pipeline:
        body = _failed(verify) if failed else _done(sha, str(answer.get("summary") or ""))
        jobs = ", ".join(code(name) for name in pipeline["jobs"])
        body = f"Pipeline {pipeline['id']} failed in {jobs}.\n\n{body}\n\n{signature(work)}"
        note = await work.world.forge.add_note(subject, body, mark=f"pipeline.{work.session.id}")
        await work.wrote("note", subject=str(subject), web_url=note.web_url)
    if failed:
        reason = str(verify["reason"] or "the feedback was not worked in")
        return Done({"outcome": "failed"}, Ending(Status.FAILED, reason))
    if not pushed:
        what = f"pipeline {pipeline['id']}" if pipeline else f"{len(feedback['threads'])} threads"
        return Done({"outcome": "answered"}, Ending(Status.FINISHED, f"answered {what}; nothing was changed"))
    if pipeline:
        return Done(
            {"outcome": "mended"}, Ending(Status.FINISHED, f"pushed {sha[:8]} for failed pipeline {pipeline['id']}")
        )
    return Done({"outcome": "pushed"})


def _answer(said: Mapping[str, JSON] | None, sha: str) -> str:
    if said is None:
        return "This thread was not worked on; it stays open."
    return _done(sha if said["outcome"] == "done" else "", str(said["answer"]))


def _done(sha: str, answer: str) -> str:
    text = markdown(answer, most=4_000)
    return f"Changed in {sha}.\n\n{text}" if sha else f"Nothing was changed for this.\n\n{text}"


def _failed(verify: Mapping[str, JSON]) -> str:
    reason = one_line(str(verify["reason"] or "nothing was changed"), most=1_000)
    return f"This was tried, and nothing was pushed: {reason}."
