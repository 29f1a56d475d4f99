"""Metrics, and the server that shows them to Prometheus.

Each subject has a module. The code that does the work imports it, so that a process shows only its
own metrics. Labels take their values from sets that are known when the process starts (operations,
methods, statuses, jobs, outcomes), never from a client: each value would be a new series.

Processes of one API share their values in files (`exporter.serve_shared_metrics`). Each gauge
declares how the values of several processes are combined.
"""
