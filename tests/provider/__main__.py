"""``python -m tests.provider [--port 8145] [--seed 7] [--share 0.5] [--fault NAME]``: serve until interrupted."""

import argparse
import signal

from tests.provider import modes
from tests.provider.faults import FAULTS
from tests.provider.schedule import by_seed
from tests.provider.server import Server

CARD = {
    "id": "acme/large",
    "context_length": 200_000,
    "top_provider": {"context_length": 200_000, "max_completion_tokens": 8_000},
    "supported_parameters": ["tools"],
    "pricing": {"prompt": "0.000003", "completion": "0.000015"},
}


def main() -> None:
    parser = argparse.ArgumentParser("python -m tests.provider", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="default: any that is free")
    parser.add_argument("--seed", help="misbehave at random, the same way each time")
    parser.add_argument("--share", type=float, default=0.6, help="of the requests that meet a fault, with --seed")
    parser.add_argument("--fault", choices=sorted(FAULTS), metavar="NAME", help="always this: " + "; ".join(FAULTS))
    parser.add_argument("--record-delay", type=float, default=0, help="seconds until a record can be read")
    wish = parser.parse_args()
    usual = by_seed(wish.seed, share=wish.share) if wish.seed else FAULTS.get(wish.fault, modes.plain)
    # Blocked before there are threads: the signal then waits for `sigwait` and hits nobody else.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    server = Server(wish.port, usual=usual)
    server.books.record_delay_s, server.cards = wish.record_delay, [CARD]
    print(server.url, flush=True)
    signal.sigwait({signal.SIGINT, signal.SIGTERM})
    server.close()


if __name__ == "__main__":
    main()
