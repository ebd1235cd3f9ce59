"""The fault that ends the pass over one layer."""


class LayerFault(Exception):
    """A layer can't be read further.

    :param stage: a member of `records.STAGES`.
    :param cause: a member of `records.CAUSES`.
    :param message: one sentence for people.
    """

    def __init__(self, stage: str, cause: str, message: str) -> None:
        super().__init__(message)
        self.stage, self.cause, self.message = stage, cause, message
