"""The handlers below /api/users."""

from src.api.errors import ApiError
from src.models.user import User, UserTable


def list_users(table: UserTable, query: dict[str, str]) -> dict:
    return {"data": [as_json(user) for user in table.all()]}


def show_user(table: UserTable, query: dict[str, str], user_id: str) -> dict:
    user = table.find(int(user_id))
    if user is None:
        raise ApiError(404, "no such user")
    return {"data": as_json(user)}


def as_json(user: User) -> dict:
    return {"id": user.id, "name": user.name, "email": user.email}
