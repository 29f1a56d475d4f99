"""What a process counts of its own work, and how Prometheus gets to see it.

A module for each thing that is counted; whoever does it imports the module, so that a process
shows what is its own. Labels take their values from sets that are known when the process starts
(operations, methods, statuses, jobs, outcomes), never from what a client sent, which would make
a series of each value.

In a process that has others beside it (`exporter.show_together`), values are kept in files
that all of them share; a gauge then says how those of several are put together.
"""
