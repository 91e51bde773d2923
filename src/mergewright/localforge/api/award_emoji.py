"""Award emoji on issues, merge requests and notes."""

import re

from sqlalchemy import select

from mergewright.localforge.api.notes import both, find, need_note, subject_of
from mergewright.localforge.call import Answer, Call, Wire
from mergewright.localforge.errors import Refused, forbidden, not_found
from mergewright.localforge.notes import kind
from mergewright.localforge.tables import AwardEmoji
from mergewright.localforge.wire.notes import award_wire


def _awardable(call: Call) -> tuple[str, int]:
    subject = subject_of(call)
    if "note_id" in call.names:
        return "Note", find(call, subject).id
    return kind(subject), subject.id


def index(call: Call) -> Answer:
    about, row_id = _awardable(call)
    query = select(AwardEmoji).where(AwardEmoji.awardable_type == about, AwardEmoji.awardable_id == row_id)
    return call.rows(query.order_by(AwardEmoji.id), lambda award: award_wire(call.instance, award))


def create(call: Call) -> Wire:
    about, row_id = _awardable(call)
    need_note(call)
    name = call.params.required("name").strip(":")
    if not re.fullmatch(r"[\w+-]{1,100}", name):
        raise Refused(400, {"message": "400 Bad request - Award Emoji Name is not a valid emoji name"})
    known = select(AwardEmoji).where(
        AwardEmoji.awardable_type == about,
        AwardEmoji.awardable_id == row_id,
        AwardEmoji.name == name,
        AwardEmoji.user_id == call.me.id,
    )
    if call.session.scalar(known):
        raise Refused(404, {"message": "404 Award Emoji Name has already been taken Not Found"})
    award = AwardEmoji(awardable_type=about, awardable_id=row_id, name=name, user_id=call.me.id)
    call.session.add(award)
    call.session.flush()
    return award_wire(call.instance, award)


def delete(call: Call) -> Answer:
    about, row_id = _awardable(call)
    award = call.session.get(AwardEmoji, call.number("award_id", "Award Emoji"))
    if award is None or (award.awardable_type, award.awardable_id) != (about, row_id):
        raise not_found("Award Emoji")
    if award.user_id != call.me.id and not call.me.admin:
        raise forbidden()
    call.session.delete(award)
    return Answer(status=204)


ROUTES = [
    *both("GET", "/award_emoji", index),
    *both("POST", "/award_emoji", create),
    *both("DELETE", "/award_emoji/:award_id", delete),
    *both("GET", "/notes/:note_id/award_emoji", index),
    *both("POST", "/notes/:note_id/award_emoji", create),
    *both("DELETE", "/notes/:note_id/award_emoji/:award_id", delete),
]
