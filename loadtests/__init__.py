"""Load and measurement: Locust users, and benches that write their tables into RESULTS.md.

Everything here talks to a server over its public port, on this machine only unless a URL is given, is bounded in
time, and ends only the processes that it started.
"""
