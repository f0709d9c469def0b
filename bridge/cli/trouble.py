"""What went wrong, said to the person at the command line. Imports nothing, as every command needs it."""


class Trouble(Exception):
    """Ends the command: the message goes to standard error, `status` is the exit status."""

    def __init__(self, message: str, status: int = 1) -> None:
        super().__init__(message)
        self.status = status
