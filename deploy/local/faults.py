"""The one fault of the set-up: a sentence for the person at the keyboard."""


class CannotStart(Exception):
    """Something outside the program keeps it from starting; the message is one line and says what."""
