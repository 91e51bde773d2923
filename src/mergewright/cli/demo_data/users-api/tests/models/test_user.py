import sqlite3
import unittest

from src.models.user import User, UserTable


class UserTableTest(unittest.TestCase):
    def setUp(self) -> None:
        self.table = UserTable()
        self.addCleanup(self.table.close)

    def test_users_come_back_in_the_order_of_their_ids(self) -> None:
        self.table.add("Ada Byron", "ada@example.com")
        self.table.add("Grace Hopper", "grace@example.com")
        self.assertEqual([user.name for user in self.table.all()], ["Ada Byron", "Grace Hopper"])

    def test_a_user_is_found_by_id(self) -> None:
        self.table.add("Ada Byron", "ada@example.com")
        self.assertEqual(self.table.find(1), User(1, "Ada Byron", "ada@example.com"))
        self.assertIsNone(self.table.find(2))

    def test_an_email_is_unique(self) -> None:
        self.table.add("Ada Byron", "ada@example.com")
        with self.assertRaises(sqlite3.IntegrityError):
            self.table.add("Another Ada", "ada@example.com")


if __name__ == "__main__":
    unittest.main()
