"""The way to a target, tried step by step: names, connections on which nothing is sent, and what packet filters are set to.

Every question is asked in the network namespace that the calling thread is in (setns(2)), and nothing is changed there.
"""
