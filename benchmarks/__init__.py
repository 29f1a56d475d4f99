"""The benchmark, `python -m benchmarks`: a program; docs/performance.md tells of it.

It measures the real service by HTTP and, in the same run and in alternation, references that say
what this machine could do at best (`ceiling`, `one-query`) and what is usual (`plain`).
"""
