class ApiError(Exception):
    """An answer other than 200, with a sentence for the client."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
