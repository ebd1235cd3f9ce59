"""The fault that ends the pass over one layer."""


class LayerFault(Exception):
    """Raised where a layer can't be read further; it becomes a row of `/failures`.

    :param stage: a member of `records.STAGES`.
    :param cause: a member of `records.CAUSES`.
    :param message: one sentence for the user.
    """

    def __init__(self, stage: str, cause: str, message: str) -> None:
        super().__init__(message)
        self.stage = stage
        self.cause = cause
        self.message = message
