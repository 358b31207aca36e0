"""Compose files, as Docker Compose reads them. `discovery` says which are in force, `stack` what they declare.

    files, extends, environment, interpolation    which texts, with which variables
    schema, forms, merge, resets, places, paths   one tree of them all, in long form
    values, checks                                what Compose refuses
    ports, references, commands, volumes          what a service publishes, and every other port that it names

Nothing is loaded here: a project without a Compose file does without a YAML parser.
"""
