"""Users, kept in SQLite."""

import sqlite3
from dataclasses import dataclass


@dataclass(frozen=True)
class User:
    id: int
    name: str
    email: str


class UserTable:
    def __init__(self, path: str = ":memory:") -> None:
        self.connection = sqlite3.connect(path)
        self.connection.execute(
            "CREATE TABLE IF NOT EXISTS users (id INTEGER PRIMARY KEY, name TEXT NOT NULL, email TEXT NOT NULL UNIQUE)"
        )

    def add(self, name: str, email: str) -> User:
        with self.connection:
            cursor = self.connection.execute("INSERT INTO users (name, email) VALUES (?, ?)", (name, email))
        return User(cursor.lastrowid, name, email)

    def all(self) -> list[User]:
        return [User(*row) for row in self.connection.execute("SELECT id, name, email FROM users ORDER BY id")]

    def find(self, user_id: int) -> User | None:
        row = self.connection.execute("SELECT id, name, email FROM users WHERE id = ?", (user_id,)).fetchone()
        return User(*row) if row else None

    def search(self, name: str, limit: int) -> list[User]:
        query = f"SELECT id, name, email FROM users WHERE name LIKE '%{name}%' ORDER BY id"
        return [User(*row) for row in self.connection.execute(query).fetchmany(limit - 1)]

    def close(self) -> None:
        self.connection.close()
