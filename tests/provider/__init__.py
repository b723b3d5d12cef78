"""A provider of models on 127.0.0.1 that behaves, and misbehaves, as told, and keeps books of its own.

It speaks OpenRouter's dialect over real HTTP: ``/chat/completions`` (always streamed), ``/generation``, ``/key``,
``/activity`` and ``/models``. In a test::

    server = Server()
    server.plan.append(faults.cut)               # how it takes the next request; afterwards as ``server.usual`` says
    ...
    assert spent == server.books.total_nanousd   # what it bills, whatever its clients got to hear

By itself: ``python -m tests.provider --port 8145 --seed 7 --share 0.5`` misbehaves at random, the same way each time.
"""

from tests.provider.books import Books, Generation
from tests.provider.server import Server

__all__ = ["Books", "Generation", "Server"]
