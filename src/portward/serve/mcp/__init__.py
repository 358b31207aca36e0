"""The verbs for coding agents, by the Model Context Protocol: `tools` says what can be asked, `server` speaks the protocol.

An agent pays for each word and believes what it reads. So answers are the documents of the command line, made small (`outside.reduced`), and
what other programs and files have written stands between marks, cut to size. Only `server` needs the SDK.
"""
