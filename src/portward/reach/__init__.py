"""The only code that tries a target: names, connections, a first sentence of HTTP, and what packet filters are set to.

Every question is asked in the network namespace that the calling thread is in (setns(2)), and nothing is changed there.
"""
