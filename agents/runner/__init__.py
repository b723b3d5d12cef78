"""The host of the agents' runs: an asyncio loop in each worker process that drives many runs at once.

claims     who drives which run: leases with fencing epochs
turns      whose turn it is: a fair share of runners and threads for every project
drive      one run: model, tools, model, tools, until an outcome
resting    why it does not go on
cuts       when the context is condensed, and the ladder out of a circle; condense: carrying it out; ladder: its rungs
hands      what a tool thread does
reading    where a run stands; journal: the transactions that write what happened; states: those that end a run, let it
           wait or put it back. Each is fenced.
news       what whoever looks at it hears
deltas     the text that is being streamed, for those who watch
control    heartbeats and wishes: a stop takes effect within a second
runner     the service that holds it all together
"""
