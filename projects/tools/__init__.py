"""What the company offers to agents: handing work in, asking, telling, remembering.

A call may be executed again after a crash: everything is written down under ``context.key`` or found again.
"""
