"""The benchmark, `python -m benchmarks`. docs/performance.md explains it.

It measures the real service over HTTP and, in turn in the same run, references: the upper limits of
this machine (`ceiling`, `one-query`) and a usual implementation (`plain`).
"""
