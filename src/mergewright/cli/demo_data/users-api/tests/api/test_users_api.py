import json
import unittest

from src.app import App
from src.models.user import UserTable


class UsersApiTest(unittest.TestCase):
    def setUp(self) -> None:
        self.table = UserTable()
        self.addCleanup(self.table.close)
        self.app = App(self.table)

    def add_users(self, count: int) -> None:
        for number in range(1, count + 1):
            self.table.add(f"User {number}", f"user{number}@example.com")

    def get(self, path: str, query: str = "", method: str = "GET") -> tuple[int, dict]:
        answer = {}

        def start_response(status, headers):
            answer["status"] = int(status.split()[0])

        body = b"".join(self.app({"REQUEST_METHOD": method, "PATH_INFO": path, "QUERY_STRING": query}, start_response))
        return answer["status"], json.loads(body)

    def test_no_users(self) -> None:
        self.assertEqual(self.get("/api/users"), (200, {"data": []}))

    def test_a_user_is_shown_with_id_name_and_email(self) -> None:
        self.add_users(1)
        status, body = self.get("/api/users/1")
        self.assertEqual(status, 200)
        self.assertEqual(body["data"], {"id": 1, "name": "User 1", "email": "user1@example.com"})

    def test_an_unknown_user_is_404(self) -> None:
        self.assertEqual(self.get("/api/users/7"), (404, {"error": "no such user"}))

    def test_an_unknown_path_is_404(self) -> None:
        self.assertEqual(self.get("/api/nothing")[0], 404)

    def test_only_get_is_served(self) -> None:
        self.assertEqual(self.get("/api/users", method="POST")[0], 405)


if __name__ == "__main__":
    unittest.main()
