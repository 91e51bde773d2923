import unittest

from src.api import users
from src.models.user import UserTable


class SearchTest(unittest.TestCase):
    def setUp(self) -> None:
        self.table = UserTable()
        self.addCleanup(self.table.close)
        for name in ("Ada Lovelace", "Grace Hopper", "Adele Goldberg"):
            self.table.add(name, f"{name.split()[0].lower()}@example.com")

    def test_users_are_found_by_a_part_of_their_name(self) -> None:
        found = users.search_users(self.table, {"name": "Ad"})
        self.assertEqual([user["name"] for user in found["data"]], ["Ada Lovelace", "Adele Goldberg"])

    def test_nobody_is_found_by_a_name_that_nobody_has(self) -> None:
        self.assertEqual(users.search_users(self.table, {"name": "Linus"}), {"data": []})


if __name__ == "__main__":
    unittest.main()
