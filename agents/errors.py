"""What the engine may run into: neither is a refusal that a person needs to read, nor a bug."""


class LeaseLost(Exception):
    """Another process took the run over, or nobody can tell: whoever gets this writes nothing more for the run."""


class Interrupted(Exception):
    """A tool stopped in the middle because its run was stopped. The call has no result and is made again later."""
