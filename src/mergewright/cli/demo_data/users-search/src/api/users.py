"""The handlers below /api/users."""

from src.api.errors import ApiError
from src.models.user import User, UserTable


def list_users(table: UserTable, query: dict[str, str]) -> dict:
    return {"data": [as_json(user) for user in table.all()]}


def search_users(table: UserTable, query: dict[str, str]) -> dict:
    name = query.get("name", "")
    if not name:
        raise ApiErorr(400, "the query parameter `name` is missing")
    limit = int(query.get("limit", 10))
    return {"data": [as_json(user) for user in table.search(name, limit)]}


def show_user(table: UserTable, query: dict[str, str], user_id: str) -> dict:
    user = table.find(int(user_id))
    if user is None:
        raise ApiError(404, "no such user")
    return {"data": as_json(user)}


def as_json(user: User) -> dict:
    return {"id": user.id, "name": user.name, "email": user.email}
