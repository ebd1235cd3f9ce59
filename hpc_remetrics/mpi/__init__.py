"""Connect the ranks of a job: communicator, collective calls, task pool, shuffle, signals."""
